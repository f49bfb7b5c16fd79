"""One seed from its beginning to its end."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from unittest.mock import patch
from uuid import UUID

import structlog

from simulated import invariants
from simulated.broker import SESSION_SECONDS, SimulatedBroker
from simulated.copies import REFERENCE_KEY, Patience, Stage, start_channel, start_orchestrator, start_status
from simulated.database import Asked
from simulated.exchange import Exchange
from simulated.loop import START, SimulationLoop, StandstillError
from simulated.scenario import CHANNELS, Scenario
from simulated.variants import Variant, built
from simulated.world import Machine, World
from sluice_channel.reports import unpack
from sluice_contracts import topics
from sluice_contracts.identifiers import JobId, page_of
from sluice_contracts.messages.trigger import RetryRequested, TriggerActionRequested
from sluice_contracts.vocabulary import Channel, JobState, Lane
from sluice_messaging.records import OutboundRecord, Record, outbound
from status_api.domain.progress import state_of

LOOK_SECONDS: Final = 0.5
LONGEST_SECONDS: Final = 400.0
"""How long after the last misfortune everything may take to come to rest."""

SECONDS: Final = {
    "sluice_messaging.membership.POLL_SECONDS": 5.0,
    "sluice_messaging.table.POLL_SECONDS": 5.0,
    "sluice_channel.parking._LOOK_SECONDS": 2.0,
    "sluice_messaging.committer.COMMIT_EVERY_SECONDS": 1.0,
}
"""How long the services nap between two looks, so that a run of seconds is not all looking."""

HOURS: Final = {
    "sluice_messaging.membership.POLL_SECONDS": 86_400.0,
    "sluice_messaging.table.POLL_SECONDS": 86_400.0,
    "sluice_channel.parking._LOOK_SECONDS": 86_400.0,
    "sluice_messaging.committer.COMMIT_EVERY_SECONDS": 3_600.0,
}
"""The same for a run of weeks."""

_HARMLESS: Final = frozenset({"account.refused"})


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
    state = random.getstate()
    random.seed(seed)
    # What is collected in the middle of a run would be finalised at a moment that no seed decides.
    gc.disable()
    try:
        world = World(seed, loop)
        if tells:
            world.story = []
        with prepared(world, SECONDS) as errors, built(variant):
            play = _Play(world, trace)
            try:
                loop.run_until_complete(world.start(None, play.run()))
            except StandstillError:
                play.violations.append("standstill: nothing is left that could happen")
            if play.stage.trace is not None:
                for server in play.stage.servers.values():
                    server.forget_trace()
            digest, seconds, messages = world.digest, loop.time(), len(play.exchange.taken)
            problems = [*play.violations, *loop.failures, *(f"logged: {event}" for event in errors)]
            loop.end()
    finally:
        random.setstate(state)
        gc.enable()
    return Outcome(seed, digest, problems, seconds, messages, len(world.deaths), world.story or [])


class _Play:
    def __init__(self, world: World, trace: list[Asked] | None) -> None:
        fate = world.fate
        self._world = world
        channels = CHANNELS if fate.random() < 0.4 else CHANNELS[:1]
        self.scenario = Scenario(fate, START, channels)
        broker = SimulatedBroker(partitions=fate.choice([1, 2, 3]))
        self.exchange = Exchange(world, broker, REFERENCE_KEY)
        patience = Patience(receipts=fate.choice([None, None, None, 5.0]), credit=fate.choice([1, 2, 64]))
        self.stage = Stage(world, self.scenario.people, broker, self.exchange, patience, trace)
        self.violations: list[str] = []
        self._retries = fate.random() < 0.2
        self._machines: list[Machine] = []
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
            record = outbound(topics.triggers(planned.lane), planned.message)
            self._world.later(planned.at, lambda record=record: self._append(record))
        self._let_it_rain()
        last = max((planned.at for planned in self.scenario.planned), default=0.0)
        begin = max(last, self._world.weather.calm_at)
        seen = 0
        while not self.violations and not self._world.loop.failures:
            await asyncio.sleep(LOOK_SECONDS)
            changes = self.stage.servers["status"].store.changes
            if changes != seen:
                seen = changes
                self.violations += invariants.at_every_look(self.stage)
            now = self._world.loop.time()
            if now > begin and self._is_at_rest():
                if not self._retry():
                    self.violations += invariants.at_the_end(self.stage, self.scenario)
                    return
            elif now > begin + LONGEST_SECONDS:
                self.violations.append(invariants.stuck(self.stage))

    def _is_at_rest(self) -> bool:
        tables = [self.stage.servers["orchestrator"].store.table(name) for name in ("commands", "stages")]
        tables += [server.store.table("parked_receipts") for server in self.stage.servers.values()]
        if self.stage.patience.receipts is not None:
            tables.append(self.stage.servers["status"].store.table("receipt_deadlines"))
        return (
            not any(tables)
            and not self.exchange.receipts_to_come
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
            reports = arguments[5] if name == "record" else arguments[18]
            self.exchange.settle([str(JobId(arguments[0], report.seq)) for report in unpack(reports)])

    def _let_it_rain(self) -> None:
        world, weather = self._world, self._world.weather
        for number, blow in (
            (weather.freezes, self._freeze),
            (weather.drops, self._drop),
            (weather.rewinds, self._rewind),
            (weather.repeats, self._repeat),
        ):
            for _ in range(number):
                world.later(0.5 + world.fate.random() * (weather.calm_at - 0.5), blow)

    def _freeze(self) -> None:
        fate = self._world.fate
        machine = fate.choice(self._machines) if self._machines else None
        if machine is None or machine.frozen_until > self._world.loop.time():
            return
        seconds = fate.choice([0.3, 2.5, 4.0, 9.0])
        self.exchange.forgive(machine)
        self._world.freeze(machine, seconds)
        if seconds > SESSION_SECONDS:
            for source in self.stage.sources:
                if source.machine is machine:
                    self._world.later(SESSION_SECONDS, source.evict)

    def _drop(self) -> None:
        members = [source for source in self.stage.sources if source.is_member]
        if members:
            self._world.fate.choice(members).evict()

    def _rewind(self) -> None:
        """The broker has lost the last commits of a group."""
        fate = self._world.fate
        members = [source for source in self.stage.sources if source.is_member]
        if members:
            source = fate.choice(members)
            committed = self.stage.broker.group(source.group).committed
            for partition, offset in committed.items():
                committed[partition] = max(0, offset - fate.randint(0, 3))
            self._world.note("rewound", source.group)
            source.evict()

    def _repeat(self) -> None:
        """A producer that had no answer has stored a record once more."""
        fate = self._world.fate
        known: list[Record] = []
        for topic in topics.catalogue():
            if topic.name != topics.CONTROL:
                known += self.stage.broker.records(topic.name)
        if known:
            record = fate.choice(known)
            self._append(OutboundRecord(record.topic, record.key, record.value, record.headers))

    def _append(self, record: OutboundRecord) -> None:
        stored = self.stage.broker.append(record, int(self._world.loop.now().timestamp() * 1000))
        self._world.note("came", stored.topic, stored.partition, stored.offset, stored.value.decode())

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
            self._append(outbound(topic, TriggerActionRequested(**of, action="resume")))
            retry = RetryRequested(**of, execution_id=execution_id, page=page, epoch=1, seqs=seqs)
            self._append(outbound(topic, retry))
        return bool(failed)


def _channel_starter(channel: Channel) -> Callable[[Stage, Machine], None]:
    return lambda stage, machine: start_channel(stage, machine, channel)


@contextmanager
def prepared(world: World, naps: Mapping[str, float]) -> Iterator[list[str]]:
    """Take chance out of what the services do, and set how long they nap; yield what they log as errors."""
    errors: list[str] = []

    def collect(logger: object, method: str, event: dict[str, Any]) -> str:
        if event["event"] not in _HARMLESS:
            errors.append(str({name: value for name, value in event.items() if name != "exc_info"} | _cause(event)))
        raise structlog.DropEvent

    configuration = structlog.get_config()
    with ExitStack() as patches:
        for name, value in (
            ("sluice_channel.ledger.uuid4", world.new_id),
            ("orchestrator.handlers.stages.new_id", world.new_id),
            *naps.items(),
        ):
            patches.enter_context(patch(name, value))
        structlog.configure(
            processors=[collect],
            wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
            cache_logger_on_first_use=False,
        )
        try:
            yield errors
        finally:
            structlog.configure(**configuration)


def _cause(event: dict[str, Any]) -> dict[str, str]:
    cause = event.get("exc_info")
    if cause is True:
        import sys

        cause = sys.exc_info()[1]
    return {"cause": repr(cause)} if cause else {}
