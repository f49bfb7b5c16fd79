"""One seed from its beginning to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from simulated import invariants
from simulated.broker import SimulatedBroker
from simulated.copies import REFERENCE_KEY, Patience, Stage, start_channel, start_orchestrator, start_status
from simulated.database import Asked
from simulated.exchange import Exchange
from simulated.loop import START, SimulationLoop, StandstillError
from simulated.misfortunes import Misfortunes
from simulated.scenario import CHANNELS, Scenario
from simulated.surroundings import SECONDS, SHORT_MINUTE, prepared, uncollected
from simulated.variants import Variant, built
from simulated.watches import StatusWatch, WaitWatch
from simulated.world import Machine, World
from sluice_channel.reports import unpack
from sluice_contracts import topics
from sluice_contracts.identifiers import JobId, page_of
from sluice_contracts.messages.trigger import RetryRequested, TriggerActionRequested
from sluice_contracts.vocabulary import Channel, JobState, Lane
from sluice_messaging.records import outbound
from status_api.domain.progress import state_of

LOOK_SECONDS: Final = 0.5
LONGEST_SECONDS: Final = 400.0
"""How long after the last misfortune everything may take to come to rest."""

_OPEN_WORK: Final = ("commands", "stages", "wait_stages", "releases")


@dataclass
class Outcome:
    """What came of a seed. `violations` is empty when everything held."""

    seed: int
    digest: str
    violations: list[str]
    seconds: float
    messages: int
    deaths: int
    story: list[str] = field(default_factory=list)


def simulate(
    seed: int, variant: Variant | None = None, *, trace: list[Asked] | None = None, tells: bool = False
) -> Outcome:
    """Play one seed. The same seed gives the same digest: the same events, byte for byte, in the same order."""
    loop = SimulationLoop()
    world = World(seed, loop)
    with uncollected(seed), prepared(world, SECONDS, SHORT_MINUTE) as errors, built(variant):
        play = _Play(world, trace)
        try:
            loop.run_until_complete(world.start(None, play.run()))
        except StandstillError:
            play.violations.append("standstill: nothing is left that could happen")
        if play.stage.trace is not None:
            for server in play.stage.servers.values():
                server.forget_trace()
        problems = [*play.violations, *loop.failures, *(f"logged: {event}" for event in errors)]
        outcome = Outcome(seed, world.digest, problems, loop.moment, len(play.exchange.taken), len(world.deaths))
        if tells:
            outcome.story = world.story
        world.end()
    return outcome


class _Play:
    def __init__(self, world: World, trace: list[Asked] | None) -> None:
        fate = world.fate
        self._world = world
        channels = CHANNELS if fate.random() < 0.4 else CHANNELS[:1]
        self.scenario = Scenario(fate, START, channels)
        broker = SimulatedBroker(partitions=fate.choice([1, 2, 3]))
        self.exchange = Exchange(world, broker, REFERENCE_KEY, len(self.scenario.people))
        patience = Patience(
            receipts=fate.choice([None, None, None, 5.0]),
            silence=4.0 if world.weather.losses else None,
            credit=fate.choice([1, 2, 64]),
        )
        self.stage = Stage(world, self.scenario.people, broker, self.exchange, patience, trace)
        self.violations: list[str] = []
        self._retries = fate.random() < 0.2 or world.weather.losses > 0
        self._machines: list[Machine] = []
        self._status = StatusWatch(self.stage.servers["status"].store)
        self._waits = WaitWatch(self.stage.servers["orchestrator"].store)
        self._misfortunes = Misfortunes(self.stage, self._machines)
        self._starters: dict[str, Callable[[Stage, Machine], None]] = {}
        for name, starter in (("orchestrator", start_orchestrator), ("status", start_status)):
            self._starters |= {f"{name}-{copy}": starter for copy in range(fate.choice([1, 1, 2]))}
        for channel in channels:
            self._starters |= {f"{channel}-{copy}": _channel_starter(channel) for copy in range(fate.choice([1, 2]))}
        world.on_death = self._mourn
        world.on_loss = self._forgive_lost_renewals
        for channel in channels:
            self.stage.servers[f"channel_{channel}"].on_commit = self._settle

    async def run(self) -> None:
        for name in self._starters:
            self._start(name)
        for planned in self.scenario.planned:
            record = outbound(planned.topic, planned.message)
            self._world.later(planned.at, lambda record=record: self.stage.bring(record))
        self._misfortunes.announce()
        last = max((planned.at for planned in self.scenario.planned), default=0.0)
        while not self.violations and not self._world.loop.failures:
            await asyncio.sleep(LOOK_SECONDS)
            self.violations += invariants.at_every_look(self.stage, self._status)
            self.violations += [*self._status.violations, *self._waits.violations]
            now = self._world.loop.moment
            if now > last and self._is_at_rest():
                if self._retry():
                    continue
                if not self._world.is_calm:
                    self._misfortunes.hurry()
                    continue
                self.violations += invariants.at_the_end(self.stage, self.scenario, self._waits)
                return
            if now > max(last, self._world.weather.calm_at) + LONGEST_SECONDS:
                self.violations.append(invariants.stuck(self.stage))

    def _is_at_rest(self) -> bool:
        tables = [self.stage.servers["orchestrator"].store.table(name) for name in _OPEN_WORK]
        tables += [server.store.table("parked_receipts") for server in self.stage.servers.values()]
        if self.stage.patience.receipts is not None:
            tables.append(self.stage.servers["status"].store.table("receipt_deadlines"))
        return (
            not any(tables)
            and all(row["outcome"] for row in self.stage.servers["orchestrator"].store.table("waits").values())
            and not self.exchange.receipts_to_come
            and (self.stage.patience.silence is None or invariants.all_final(self.stage))
            and len(self._machines) == len(self._starters)
            and not any(lag for _, lag in invariants.lags(self.stage))
        )

    def _start(self, name: str) -> None:
        machine = self._world.machine(name)
        self._machines.append(machine)
        self._world.note("started", name)
        self._starters[name](self.stage, machine)

    def _mourn(self, machine: Machine) -> None:
        self._world.deaths.append(machine)
        self.exchange.forgive(machine)
        self._machines.remove(machine)
        self._world.later(0.2 + self._world.fate.random() * 3, lambda: self._start(machine.name))

    def _forgive_lost_renewals(self, machine: Machine, label: str) -> None:
        if label == "renew":
            self.exchange.forgive(machine)

    def _settle(self, name: str, arguments: Sequence[Any]) -> None:
        if name in {"record", "record_and_claim"}:
            recorded = arguments if name == "record" else arguments[17:]
            self.exchange.settle([str(JobId(recorded[0], report.seq)) for report in unpack(recorded[5])])

    def _retry(self) -> bool:
        """Once, an operator has tried again whatever failed, also of what is paused; return whether there was any."""
        if not self._retries:
            return False
        self._retries = False
        failed: dict[tuple[UUID, int], list[int]] = {}
        store = self.stage.servers["status"].store
        for row in store.table("jobs").values():
            if state_of(row["facts"].progress) is JobState.FAILED:
                failed.setdefault((row["execution_id"], page_of(row["seq"])), []).append(row["seq"])
        now = self._world.loop.now()
        for (execution_id, page), seqs in failed.items():
            execution = store.table("executions")[execution_id]
            of = {"trigger_id": execution["trigger_id"], "workspace_id": execution["workspace_id"], "requested_at": now}
            topic = topics.triggers(Lane.PRIORITY)
            self.stage.bring(outbound(topic, TriggerActionRequested(**of, action="resume")))
            retry = RetryRequested(**of, execution_id=execution_id, page=page, epoch=1, seqs=seqs)
            self.stage.bring(outbound(topic, retry))
        if failed and self._world.weather.losses:
            self._misfortunes.lose_soon()
        return bool(failed)


def _channel_starter(channel: Channel) -> Callable[[Stage, Machine], None]:
    return lambda stage, machine: start_channel(stage, machine, channel)
