"""One seed from an empty directory to a verdict."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Final, Literal

from chaos import evidence, topics
from chaos.caller import Caller
from chaos.carrier import Carrier
from chaos.checker import check
from chaos.definitions import define
from chaos.disk import SmallDisk
from chaos.faults import Injector, Targets, in_turn
from chaos.history import Act, History
from chaos.journal import Journal
from chaos.leaks import Known
from chaos.load import Load
from chaos.patience import Patience
from chaos.people import populate
from chaos.receipts import unheard
from chaos.relay import Relay
from chaos.report import Outcome
from chaos.schedule import LONG, SHORT, Strike, Tempo, kills, ordeals
from chaos.tenant import Tenant
from sluice_local.stack import Stack

_IMPATIENT: Final = {
    "SLUICE_LEASE_SECONDS": "6",
    "SLUICE_STAGE_LEASE_SECONDS": "6",
    "SLUICE_COMMAND_DEADLINE_SECONDS": "10",
    "SLUICE_LONGEST_COMMAND_DEADLINE_SECONDS": "60",
    "SLUICE_SESSION_SECONDS": "6",
    "SLUICE_SILENCE_SECONDS": "10",
}
"""What was cut off by a kill is taken up again within seconds instead of a minute."""

_PEACE_SECONDS: Final = 5.0
_RECEIPT_SECONDS: Final = 60.0
_ENOUGH_TO_SEE_ALL: Final = 40


@dataclass(frozen=True, slots=True)
class Options:
    """How a run is: at least `least_kills` kills, an audience of so many, `per_second` requests a second."""

    least_kills: int
    brokers: Literal[1, 3]
    audience: int
    per_second: float
    is_short: bool
    only: str = ""

    def audience_of(self, workspace: int) -> int:
        """How many people the campaigns of a workspace are for: the second is smaller."""
        return self.audience if workspace == 0 else self.audience // 4

    def rate(self, workspace: int) -> float:
        """How much a workspace's own provider takes: so much that a campaign lasts through most of the faults."""
        return 4 * self.per_second + self.audience_of(workspace) / (100.0 if self.is_short else 400.0)

    def wants(self, strike: Strike) -> bool:
        """Whether a fault is to be done at all."""
        return self.only in strike.name

    @property
    def tempo(self) -> Tempo:
        """How long faults last."""
        return SHORT if self.is_short else LONG

    @property
    def environment(self) -> Mapping[str, str]:
        """What the services are told."""
        return {"SLUICE_ALLOW_PRIVATE_PROVIDERS": "true", **(_IMPATIENT if self.is_short else {})}

    @property
    def copies(self) -> Mapping[str, int]:
        """How many processes of a service there are, beside the usual one."""
        return {"channel-sms": 2, "orchestrator": 2} | ({} if self.is_short else {"channel-email": 2, "status-api": 2})

    @property
    def grace_seconds(self) -> float:
        """How long a worker that was stopped may take to hear that a trigger is cancelled or paused."""
        return self.tempo.stop + 60.0

    @property
    def drain_seconds(self) -> float:
        """How long nothing may move after the last fault, as long as something is left to come to its end."""
        return 150.0 if self.is_short else 600.0


class Run:
    """One seed."""

    def __init__(self, seed: int, directory: Path, options: Options, no_mounts: str | None) -> None:
        self._seed = seed
        self._directory = directory
        self._options = options
        self._no_mounts = no_mounts
        self._began = time.monotonic()

    async def play(self) -> Outcome:
        """Start a stack, load it, strike it, wait, read and check."""
        async with AsyncExitStack() as resources:
            sms, mail = (
                Journal(self._directory / f"{name}.jsonl", workspace, channel)
                for name, workspace, channel in (("carrier", "south", "sms"), ("relay", "north", "email"))
            )
            resources.callback(sms.close)
            resources.callback(mail.close)
            token = f"hush{secrets.token_hex(8)}"
            carrier = await resources.enter_async_context(Carrier(sms, token))
            relay = await resources.enter_async_context(Relay(mail))
            stack = Stack(
                self._directory / "data",
                copies=self._options.copies,
                brokers=self._options.brokers,
                environment=self._options.environment,
            )
            disk, no_disk = self._disk(stack)
            if disk is not None:
                resources.callback(disk.unmount)
            injector = Injector(Targets(stack, self._options.brokers, carrier, relay, disk, no_disk), self._say)
            resources.callback(injector.close)
            resources.push_async_callback(injector.on_stack_thread, stack.stop)
            await injector.start()
            self._say("the stack runs")
            tenants = await self._tenants(stack, resources)
            await asyncio.gather(
                define(tenants[0].caller, tenants[0].population, [relay.account(self._options.rate(0))]),
                define(tenants[1].caller, tenants[1].population, [carrier.account(self._options.rate(1))]),
            )
            self._say("everything is defined")
            load = Load(tenants, self._directory / "load.jsonl", self._seed, self._options.per_second)
            resources.push_async_callback(load.close)
            await self._under_fire(injector, load, tenants)
            history = await self._wait_and_read(stack, load, tenants, carrier)
            history.disturbances, history.losses = injector.disturbances, injector.losses
            history.refusals = [*sms.refusals(), *mail.refusals()]
            history.deferrals = [*sms.deferrals(), *mail.deferrals()]
            history.hand_overs = [*sms.read(), *mail.read()]
            await self._read_late_receipts(history, tenants)
            for tenant in tenants:
                history.hand_overs = [*history.hand_overs, *await evidence.sandbox(tenant)]
            self._say("everything is read")
            keys = {tenant.key for tenant in tenants} | {token}
            history.leaks = await asyncio.to_thread(evidence.leaks_in, stack.data.logs, _known(tenants, keys))
            (self._directory / "history.json").write_text(json.dumps(asdict(history), default=list))
            return Outcome(self._seed, injector.tallies, check(history, self._options.grace_seconds))

    def _disk(self, stack: Stack) -> tuple[SmallDisk | None, str | None]:
        if self._no_mounts is not None:
            return None, self._no_mounts
        disk = SmallDisk(stack.data.postgres)
        why_not = disk.mount()
        return (None, why_not) if why_not else (disk, None)

    async def _tenants(self, stack: Stack, resources: AsyncExitStack) -> list[Tenant]:
        keys = {"north": stack.api_key, "south": await asyncio.to_thread(stack.create_workspace, "south")}
        tenants = []
        for number, (name, key) in enumerate(keys.items()):
            caller = await resources.enter_async_context(Caller(stack.base_url, key))
            people = populate(name, number, self._options.audience_of(number), regulars=100)
            tenants.append(Tenant(name, key, caller, people))
        return tenants

    async def _under_fire(self, injector: Injector, load: Load, tenants: list[Tenant]) -> None:
        stop = asyncio.Event()
        sending = asyncio.create_task(load.run(stop))
        await asyncio.sleep(_PEACE_SECONDS)
        north, south = tenants
        load.campaign(north, "email")
        load.campaign(north, "sms")
        load.campaign(south, "sms", Act.PAUSE)
        load.campaign(north, "email", Act.CANCEL)
        wanted = self._options.wants
        lasting = list(filter(wanted, ordeals(self._seed, self._options.tempo)))
        middle = len(lasting) // 2

        async def endure() -> None:
            await in_turn(injector, lasting[:middle])
            load.campaign(north, "whatsapp")
            load.without_slow_workflows()
            await in_turn(injector, lasting[middle:])

        enduring = asyncio.create_task(endure())

        def is_enough() -> bool:
            return enduring.done() and injector.kills >= self._options.least_kills

        try:
            if any(map(wanted, islice(kills(self._seed, self._options.tempo), _ENOUGH_TO_SEE_ALL))):
                await in_turn(injector, filter(wanted, kills(self._seed, self._options.tempo)), is_enough)
            await enduring
        finally:
            enduring.cancel()
            stop.set()
            await sending
        self._say(f"the last fault is over; {load.asked} requests")

    async def _wait_and_read(self, stack: Stack, load: Load, tenants: list[Tenant], carrier: Carrier) -> History:
        drain = self._options.drain_seconds
        await evidence.over(tenants, (), drain, lambda: load.busy)
        # Nobody acts on anything from now on, so that what is read holds still.
        await load.close()
        requests = await evidence.fates(tenants, load.requests(), drain)
        accepted = {request.trigger_ids[0] for request in requests if request.trigger_ids}
        left = await evidence.over(tenants, accepted, drain)
        self._say(f"{len(left)} triggers are not over" if left else "everything is over")
        shown = {tenant.name: [row["id"] for row in await evidence.listed(tenant)] for tenant in tenants}
        await carrier.at_rest(_RECEIPT_SECONDS)
        history = History()
        for tenant in tenants:
            mine = {each for request in requests if request.workspace == tenant.name for each in request.trigger_ids}
            history.triggers = [
                *history.triggers,
                *await evidence.triggers(tenant, sorted({*shown[tenant.name], *mine})),
            ]
        history.unknown_triggers = [trigger.id for trigger in history.triggers]
        history.requests = requests
        history.sights = await evidence.sights(tenants, requests, history.triggers)
        history.dead_letters = await topics.dead_letters(stack.connections.kafka)
        return history

    async def _read_late_receipts(self, history: History, tenants: list[Tenant]) -> None:
        """Read triggers again for a while whose receipts do not show yet: they come last of all."""
        patience = Patience(_RECEIPT_SECONDS)
        while late := unheard(history):
            for tenant in tenants:
                mine = [
                    trigger.id
                    for trigger in history.triggers
                    if trigger.id in late and trigger.workspace == tenant.name
                ]
                again = {trigger.id: trigger for trigger in await evidence.triggers(tenant, mine)}
                history.triggers = [again.get(trigger.id, trigger) for trigger in history.triggers]
            if patience.ends(late):
                break
            await asyncio.sleep(_PEACE_SECONDS)

    def _say(self, what: str) -> None:
        print(f"seed {self._seed} {time.monotonic() - self._began:6.1f} s  {what}", flush=True)


def _known(tenants: list[Tenant], keys: set[str]) -> Known:
    people = [person for tenant in tenants for person in tenant.population.people]
    return Known(
        phones=frozenset(person.phone.lstrip("+") for person in people),
        mails=frozenset(person.email.lower() for person in people),
        codes=frozenset(code for tenant in tenants for code in tenant.codes),
        words=frozenset({*keys, "Quizzle", "Zyxwell"}),
    )
