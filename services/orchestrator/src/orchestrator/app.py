"""Where the orchestrator is wired together."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final

from orchestrator.adapters.records import Records
from orchestrator.handlers.deliveries import DeliveryHandler
from orchestrator.handlers.doorkeeping import Doorkeeper
from orchestrator.handlers.emission import Emitter
from orchestrator.handlers.events import EventHandler
from orchestrator.handlers.housekeeping import Housekeeping
from orchestrator.handlers.meeting import Meeting
from orchestrator.handlers.noticing import ContactWatch, ReplyWatch
from orchestrator.handlers.planning import Planner
from orchestrator.handlers.releasing import Releases
from orchestrator.handlers.requests import RequestHandler
from orchestrator.handlers.stages import StageRunner
from orchestrator.handlers.timers import CommandTimers
from orchestrator.handlers.triggers import TriggerHandler
from orchestrator.handlers.turns import TurnMaker
from orchestrator.handlers.waiting import Waiting
from orchestrator.handlers.wake import Wake
from orchestrator.ports import Directory
from orchestrator.settings import OrchestratorSettings
from sluice_catalog.repository import Catalog
from sluice_contracts.topics import DELIVERIES, EVENTS, triggers
from sluice_contracts.vocabulary import Lane
from sluice_messaging.kafka import KafkaMessaging
from sluice_messaging.ports import EventConsumer, EventPublisher, Messaging
from sluice_runtime.clock import Clock
from sluice_runtime.precedence import Precedence
from sluice_runtime.secrets import PROVIDER_SECRETS, SecretBox, derive_key
from sluice_runtime.service import Loop, Service
from sluice_storage.database import Database
from sluice_storage.errors import is_transient

NAME: Final = "orchestrator"
SCHEMA: Final = "orchestrator"
_PRIORITY_WAIT_SECONDS: Final = 0.002
_BULK_WAIT_SECONDS: Final = 0.02
_ANSWERS_WAIT_SECONDS: Final = 0.25
"""Of a campaign dozens of answers come in this time, and its credit lasts far longer."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The orchestrator without its consumers: what tests drive by hand and `build` drives from topics."""

    triggers: TriggerHandler
    deliveries: ReplyWatch
    events: EventHandler
    waiting: Waiting
    contacts: ContactWatch
    precedence: Precedence
    stages: StageRunner
    timers: CommandTimers
    housekeeping: Housekeeping

    @classmethod
    def assemble(
        cls,
        settings: OrchestratorSettings,
        database: Database,
        directory: Directory,
        publisher: EventPublisher,
        clock: Clock,
    ) -> Parts:
        """Wire the parts over what they stand on."""
        wake = Wake()
        precedence = Precedence()
        records = Records()
        deadlines = settings.deadlines
        emitter = Emitter(directory, settings.longest_ages)
        planner = Planner(database, records, directory, emitter, publisher, clock, deadlines, wake)
        doorkeeper = Doorkeeper(directory)
        releases = Releases(emitter, doorkeeper)
        return cls(
            triggers=TriggerHandler(planner, RequestHandler(database, records, publisher, clock, wake)),
            deliveries=ReplyWatch(
                DeliveryHandler(database, clock, settings.pace, wake), database, records, directory, publisher, clock
            ),
            events=EventHandler(
                database, directory, Meeting(records, directory, doorkeeper, clock), publisher, clock, wake
            ),
            waiting=Waiting(
                database, records, directory, doorkeeper, releases, publisher, clock, wake, settings.poll_seconds
            ),
            contacts=ContactWatch(directory, publisher, clock, settings.poll_seconds),
            precedence=precedence,
            stages=StageRunner(
                database,
                TurnMaker(records, directory, emitter, clock, deadlines, settings.pace, precedence),
                publisher,
                clock,
                settings.pace,
                wake,
                settings.poll_seconds,
            ),
            timers=CommandTimers(database, records, emitter, publisher, clock, deadlines, wake, settings.poll_seconds),
            housekeeping=Housekeeping(
                database, clock, settings.pace.fed_below, timedelta(days=settings.trigger_retention_days)
            ),
        )

    def consumers(self, settings: OrchestratorSettings, messaging: Messaging) -> dict[str, EventConsumer]:
        """Return a consumer for each topic, each with its own group, so that no lane waits for the other."""
        return {
            "triggers-priority": messaging.batch_consumer(
                [triggers(Lane.PRIORITY)],
                f"{NAME}.triggers.priority",
                self.precedence.urgently(self.triggers),
                max_records=settings.priority_batch,
                max_wait=_PRIORITY_WAIT_SECONDS,
                is_transient=is_transient,
            ),
            "triggers-bulk": messaging.batch_consumer(
                [triggers(Lane.BULK)],
                f"{NAME}.triggers.bulk",
                self.triggers,
                max_records=settings.bulk_batch,
                max_wait=_BULK_WAIT_SECONDS,
                is_transient=is_transient,
            ),
            "events": messaging.batch_consumer(
                [EVENTS],
                f"{NAME}.events",
                self.events,
                max_records=settings.events_batch,
                max_wait=_PRIORITY_WAIT_SECONDS,
                is_transient=is_transient,
            ),
            "deliveries": messaging.batch_consumer(
                [DELIVERIES],
                f"{NAME}.deliveries",
                self.deliveries,
                max_records=settings.deliveries_batch,
                max_wait=_ANSWERS_WAIT_SECONDS,
                is_transient=is_transient,
            ),
        }

    def loops(self) -> dict[str, Loop]:
        """Return the loops that look for due work."""
        loops: dict[str, Loop] = {
            "timers": self.timers.run,
            "contact-changes": self.contacts.run,
            "waits": self.waiting.run,
            "measure": self.housekeeping.measure,
            "forget": self.housekeeping.forget,
        }
        for lane in Lane:
            loops[f"stages-{lane}"] = partial(self.stages.run, lane=lane, walks=False)
            loops[f"walks-{lane}"] = partial(self.stages.run, lane=lane, walks=True)
        return loops


async def build(settings: OrchestratorSettings, resources: AsyncExitStack, clock: Clock) -> Service:
    """Open what the orchestrator needs. Neither Postgres nor the broker has to be there yet."""
    box = SecretBox(derive_key(settings.secret_bytes, PROVIDER_SECRETS))
    catalog = Catalog(await _database(settings, resources, "catalog"), box, clock)
    database = await _database(settings, resources, SCHEMA)
    messaging = await resources.enter_async_context(
        KafkaMessaging(settings.kafka, NAME, clock, session=settings.session_seconds)
    )
    parts = Parts.assemble(settings, database, catalog, messaging.publisher, clock)
    consumers = parts.consumers(settings, messaging)

    async def ready() -> str | None:
        waiting = [name for name, consumer in consumers.items() if not consumer.ready]
        if waiting:
            return f"not consuming yet: {', '.join(waiting)}"
        return None if await database.healthy() else "the database cannot be reached"

    loops = {**parts.loops(), **{name: consumer.run for name, consumer in consumers.items()}}
    return Service(loops=loops, ready=ready)


async def _database(settings: OrchestratorSettings, resources: AsyncExitStack, schema: str) -> Database:
    return await resources.enter_async_context(
        await Database.open(
            settings.postgres,
            schema,
            application_name=NAME,
            min_size=0,
            max_size=settings.database_connections,
            plans="by_key" if schema == SCHEMA else "automatic",
        )
    )
