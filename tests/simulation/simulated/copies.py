"""Copies of the real services, wired as their own `app` modules wire them, over what a run has in place of servers."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Any, Final

from channel_email.channel import EmailChannel
from channel_sms.channel import SmsChannel
from orchestrator.adapters.statements import event_queries, queries, wait_queries
from orchestrator.app import Parts
from orchestrator.settings import OrchestratorSettings
from simulated.broker import SimulatedBroker, SimulatedMessaging, SimulatedSource
from simulated.database import Asked, Server, SimulatedDatabase
from simulated.exchange import Exchange, SimulatedProvider
from simulated.people import People, SimulatedCatalog
from simulated.twins import channel as channel_twins
from simulated.twins import orchestrator as orchestrator_twins
from simulated.twins import shown_waits as shown_wait_twins
from simulated.twins import standstill as standstill_twins
from simulated.twins import status as status_twins
from simulated.twins import twins_of
from simulated.twins import waits as wait_twins
from simulated.world import Machine, World
from sluice_catalog.models import ProviderAccount
from sluice_channel.accounts import Accounts
from sluice_channel.allowances import Allowances
from sluice_channel.channels import ChannelKind
from sluice_channel.commands import CommandHandler
from sluice_channel.control import Controls
from sluice_channel.conversations import Conversations
from sluice_channel.ledger import Ledger, LedgerReader
from sluice_channel.matching import Matcher
from sluice_channel.pacing import Pacing
from sluice_channel.parking import Parking
from sluice_channel.planning import Planner
from sluice_channel.receipts import Receipts
from sluice_channel.rendering import Renderer
from sluice_channel.tools import Tools
from sluice_channel.tracking import Links
from sluice_contracts import topics
from sluice_contracts.vocabulary import Channel, Lane
from sluice_messaging.ports import EventConsumer, TableReader
from sluice_messaging.records import OutboundRecord
from sluice_runtime.secrets import JOB_REFERENCES, TRACKING_LINKS, derive_key
from sluice_storage import statements
from sluice_storage.errors import is_transient
from status_api.adapters.deadlines import ReceiptDeadlines
from status_api.adapters.projection import Projection
from status_api.adapters.standstill import StandstillStore
from status_api.handlers.projecting import Projector
from status_api.handlers.standstill import Asker
from status_api.handlers.sweeping import Sweeper

SECRET: Final = bytes(range(32))
REFERENCE_KEY: Final = derive_key(SECRET, JOB_REFERENCES)
LEASE_SECONDS: Final = 3.0
_LEFT_OUT: Final = frozenset({"measure", "forget", "contact-changes"})
"""What the simulated orchestrator does not do: housekeeping, and telling of contacts that change."""

_ORCHESTRATOR: Final = {
    sql: twin
    for statements_of, module in (
        (queries, orchestrator_twins), (wait_queries, wait_twins), (event_queries, wait_twins),
    )
    for sql, twin in twins_of(statements_of, module).items()
}  # fmt: skip
_CHANNEL: Final = {
    sql: twin
    for name in ("ledger.sql", "pacing.sql", "receipts.sql")
    for sql, twin in twins_of(statements.load("sluice_channel", name), channel_twins).items()
}
_STATUS: Final = {
    **twins_of(statements.load("status_api", "projection.sql"), status_twins),
    **twins_of(statements.load("status_api", "standstill.sql"), standstill_twins),
    **twins_of(statements.load("status_api", "waits.sql"), shown_wait_twins),
}

Loop = Callable[[asyncio.Event], Awaitable[None]]


@dataclass
class Patience:
    """How soon things are tried again: in seconds, all much shorter than in production.

    `receipts` None: 72 hours. `silence` None: status never asks again, which is dear and of no use if it need not.
    """

    command_deadline: float = 4.0
    longest_command_deadline: float = 8.0
    poll: float = 1.5
    receipts: float | None = None
    silence: float | None = None
    credit: int = 64


@dataclass
class Stage:
    """What all copies share."""

    world: World
    people: People
    broker: SimulatedBroker
    exchange: Exchange
    patience: Patience
    trace: list[Asked] | None = None
    sources: list[SimulatedSource] = field(default_factory=list)
    servers: dict[str, Server] = field(default_factory=dict)
    fallen: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for schema, twins in (
            ("orchestrator", _ORCHESTRATOR),
            ("channel_sms", _CHANNEL),
            ("channel_email", _CHANNEL),
            ("status", _STATUS),
        ):
            self.servers[schema] = Server(self.world, schema, twins, self.trace)

    def bring(self, record: OutboundRecord) -> None:
        """Store a record that comes from outside."""
        stored = self.broker.append(record, int(self.world.loop.now().timestamp() * 1000))
        self.world.note("came", stored.topic, stored.partition, stored.offset, stored.value.decode())

    def run(self, machine: Machine, loops: Mapping[str, Loop]) -> None:
        """Run loops in a process. One that ends on its own takes the process with it, as `Service` does."""
        stop = asyncio.Event()

        async def supervised(name: str, loop: Loop) -> None:
            try:
                await loop(stop)
                self.fallen.append(f"{machine.name}: {name} ended")
            except Exception as error:  # noqa: BLE001 - whatever it is, it is told
                self.fallen.append(f"{machine.name}: {name}: {error!r}")
            self.world.kill(machine)

        for name, loop in loops.items():
            self.world.start(machine, supervised(name, loop))


def start_orchestrator(stage: Stage, machine: Machine) -> None:
    """Start a copy of the orchestrator in a process."""
    patience = stage.patience
    settings = _settings().model_copy(
        update={
            "command_deadline_seconds": patience.command_deadline,
            "longest_command_deadline_seconds": patience.longest_command_deadline,
            "credit": patience.credit,
            "poll_seconds": patience.poll,
        }
    )
    messaging = SimulatedMessaging(stage.world, machine, stage.broker, stage.sources)
    database: Any = SimulatedDatabase(stage.world, machine, stage.servers["orchestrator"])
    catalog: Any = SimulatedCatalog(stage.world, machine, stage.people)
    parts = Parts.assemble(settings, database, catalog, messaging.publisher, stage.world.loop)
    loops = {name: loop for name, loop in parts.loops().items() if name not in _LEFT_OUT}
    consumers = {
        name: consumer for name, consumer in parts.consumers(settings, messaging).items() if name not in _LEFT_OUT
    }
    stage.run(machine, {**loops, **{name: consumer.run for name, consumer in consumers.items()}})


def start_channel(stage: Stage, machine: Machine, channel: Channel) -> None:
    """Start a copy of a channel worker in a process. Allowances, replies by address and purging are left out."""
    world = stage.world
    messaging = SimulatedMessaging(world, machine, stage.broker, stage.sources)
    database: Any = SimulatedDatabase(world, machine, stage.servers[f"channel_{channel}"])
    catalog: Any = SimulatedCatalog(world, machine, stage.people)

    def provider(account: ProviderAccount) -> SimulatedProvider:
        return SimulatedProvider(world, machine, stage.exchange, account)

    kind = _kind(channel)
    accounts = Accounts(catalog, channel, {"simulated": provider})
    controls = Controls()
    conversations = Conversations(database)
    tools = Tools(
        kind=kind,
        database=database,
        catalog=catalog,
        accounts=accounts,
        controls=controls,
        renderer=Renderer(catalog, kind),
        planner=Planner(kind, REFERENCE_KEY),
        pacing=Pacing(database),
        allowances=Allowances(channel),
        conversations=conversations,
        clock=world.loop,
        lease_seconds=LEASE_SECONDS,
        draw=world.fate.random,
        steady=world.loop.time,
    )
    commands = CommandHandler(channel, tools, messaging.publisher)
    reader = LedgerReader(database)
    parking = Parking(channel, database, world.loop)
    ledger = Ledger(database, LEASE_SECONDS, world.loop.time)
    receipts = Receipts(
        channel, accounts, Matcher(reader, conversations, REFERENCE_KEY), ledger, reader, catalog, parking,
        messaging.publisher, world.loop,
    )  # fmt: skip
    control = messaging.table_reader(topics.CONTROL, controls.observe)

    async def parked(stop: asyncio.Event) -> None:
        await parking.run(receipts.apply, stop)

    loops: dict[str, Loop] = {"control": control.run, "parked-receipts": parked}
    for lane in Lane:
        consumer = messaging.keyed_consumer(
            [topics.commands(channel, lane)],
            f"channel-{channel}-{lane}",
            commands.handle,
            concurrency=3,
            is_transient=is_transient,
        )
        loops[f"{lane}-commands"] = _after(control, consumer)
    loops["receipts"] = messaging.batch_consumer(
        [topics.receipts(channel)], f"channel-{channel}-receipts", receipts.handle, is_transient=is_transient
    ).run
    stage.run(machine, loops)


def start_status(stage: Stage, machine: Machine) -> None:
    """Start a copy of what folds topics into status in a process; its HTTP side is left out."""
    database: Any = SimulatedDatabase(stage.world, machine, stage.servers["status"])
    messaging = SimulatedMessaging(stage.world, machine, stage.broker, stage.sources)
    patience = stage.patience
    wait = patience.receipts
    deadline = timedelta(hours=72) if wait is None else timedelta(seconds=wait)
    projector = Projector(Projection(database, receipt_deadline=deadline), lambda: None)
    loops: dict[str, Loop] = {}
    for name, of, handler in (
        ("triggers", [topics.triggers(lane) for lane in Lane], projector.on_triggers),
        ("executions", [topics.EXECUTIONS], projector.on_executions),
        ("deliveries", [topics.DELIVERIES], projector.on_deliveries),
    ):
        consumer = messaging.batch_consumer(of, f"status-{name}", handler, max_records=200, is_transient=is_transient)
        loops[name] = consumer.run
    if patience.silence is not None:
        silence = timedelta(seconds=patience.silence)
        loops["standstill"] = Asker(StandstillStore(database), messaging.publisher, stage.world.loop, silence).run
    if wait is not None:
        loops["deadlines"] = Sweeper(ReceiptDeadlines(database, deadline=deadline), stage.world.loop).run
    stage.run(machine, loops)


@cache
def _settings() -> OrchestratorSettings:
    """Read once: a run starts many copies."""
    return OrchestratorSettings(secret_key=base64.b64encode(SECRET).decode(), stage_lease_seconds=LEASE_SECONDS)


def _kind(channel: Channel) -> ChannelKind:
    if channel is Channel.EMAIL:
        return EmailChannel(Links("http://sluice.test", derive_key(SECRET, TRACKING_LINKS)))
    return SmsChannel()


def _after(table: TableReader, consumer: EventConsumer) -> Loop:
    async def run(stop: asyncio.Event) -> None:
        await table.caught_up()
        await consumer.run(stop)

    return run
