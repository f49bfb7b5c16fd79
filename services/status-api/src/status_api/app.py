"""Where status-api is wired together."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from typing import Any, Final

from sluice_catalog.credentials import Authenticator
from sluice_catalog.definitions.pocketflows import PocketflowsTriggers
from sluice_catalog.definitions.streams import Streams
from sluice_catalog.erasures import Eraser, Erasures
from sluice_catalog.events import named_rules
from sluice_catalog.repository import Catalog
from sluice_catalog.snapshot import CatalogSnapshot
from sluice_catalog.stream_counts import StreamCounts
from sluice_contracts import topics
from sluice_contracts.vocabulary import Lane
from sluice_messaging.errors import BrokerUnavailableError
from sluice_messaging.kafka import KafkaMessaging
from sluice_messaging.ports import BatchHandler, EventConsumer, EventPublisher, Messaging
from sluice_runtime.clock import Clock
from sluice_runtime.http.application import application
from sluice_runtime.http.guard.guard import Guard
from sluice_runtime.http.operations import Operation, add_operations
from sluice_runtime.http.problems import Problem
from sluice_runtime.secrets import PROVIDER_SECRETS, SecretBox, derive_key
from sluice_runtime.service import Loop, Service
from sluice_storage import answers
from sluice_storage.database import Database, Plans
from sluice_storage.errors import is_transient
from status_api.adapters.deadlines import ReceiptDeadlines
from status_api.adapters.event_store import EventStore
from status_api.adapters.patience import StillCountingError
from status_api.adapters.people import PeopleMemory
from status_api.adapters.projection import SCHEMA, Projection
from status_api.adapters.retention import Retention
from status_api.adapters.sandbox_store import SandboxStore
from status_api.adapters.standstill import StandstillStore
from status_api.adapters.status_store import StatusStore
from status_api.adapters.stream_traffic import StreamTraffic
from status_api.adapters.wait_store import WaitStore
from status_api.adapters.workflow_counter import WorkflowCounter
from status_api.doors.novu.operations import NovuReads
from status_api.doors.novu.store import NovuStore
from status_api.doors.pocketflows.operations import TriggerDoor
from status_api.doors.pocketflows.publishing import Publisher
from status_api.doors.streams.operations import StreamReads
from status_api.handlers.actions import TriggerActions
from status_api.handlers.arrivals import Arrivals
from status_api.handlers.events import EventForgetter, EventProjector, EventReads
from status_api.handlers.executions import ExecutionReads
from status_api.handlers.expiring import Expirer
from status_api.handlers.projecting import Projector
from status_api.handlers.sandbox import SandboxReads
from status_api.handlers.standstill import Asker
from status_api.handlers.sweeping import Gauge, Sweeper
from status_api.handlers.trigger_list import TriggerList
from status_api.handlers.triggers import TriggerReads
from status_api.handlers.unheard import UnheardEvents
from status_api.settings import StatusSettings

NAME: Final = "status-api"
_DELIVERIES_WAIT_SECONDS: Final = 0.25
"""A dashboard does not see the difference, and a transaction of many reports costs little more than one of few."""
_RETRY_AFTER: Final = {"Retry-After": "1"}
_LATER: Final = {"Retry-After": "5"}


async def build(settings: StatusSettings, resources: AsyncExitStack, clock: Clock) -> Service:
    """Open what status-api needs. Neither Postgres nor the broker has to be there yet: `/ready` says what is not."""
    # Readers have connections of their own, so that folding a backlog cannot keep dashboards waiting.
    reading = await _database(settings, resources, SCHEMA, 8, "by_key")
    summing = await _database(settings, resources, SCHEMA, 4)
    clearing = await _database(settings, resources, SCHEMA, 2, "by_key")
    writing = await _database(settings, resources, SCHEMA, settings.folders + 4)
    catalog = await _database(settings, resources, "catalog", 2)
    answered = await _database(settings, resources, answers.SCHEMA, 2)
    messaging = await resources.enter_async_context(
        KafkaMessaging(settings.kafka, NAME, clock, session=settings.session_seconds)
    )
    box = SecretBox(derive_key(settings.secret_bytes, PROVIDER_SECRETS))
    snapshot = CatalogSnapshot(catalog, box)
    await snapshot.load_first()
    arrivals = Arrivals()
    projection = Projection(writing, receipt_deadline=settings.receipt_deadline)
    events = EventStore(writing)
    event_retention = timedelta(days=settings.event_retention_days)
    consumers = _consumers(
        settings, messaging, Projector(projection, arrivals.announce), EventProjector(events, arrivals.announce)
    )
    unheard = UnheardEvents(
        EventStore(summing),
        partial(named_rules, catalog),
        clock,
        silence=timedelta(seconds=settings.silence_seconds),
        retention=event_retention,
    )
    app = application(translate=unavailable)
    kept = answers.PostgresAnswers(answered, settings.secret_bytes, clock)
    guard = Guard(settings, kept, clock)
    guard.protect(app)
    declared = [
        *operations(
            StatusStore(reading),
            WaitStore(reading),
            SandboxStore(summing),
            arrivals,
            messaging.publisher,
            clock,
            timedelta(days=settings.trigger_retention_days),
        ),
        *EventReads(EventStore(summing), unheard, arrivals).operations(),
        *StreamReads(Streams(catalog, clock), StreamCounts(catalog), StreamTraffic(summing), clock).operations(),
        *TriggerDoor(
            PocketflowsTriggers(catalog, clock), Publisher(catalog, clock), WorkflowCounter(summing), snapshot
        ).operations(),
        *NovuReads(
            StatusStore(reading),
            NovuStore(summing),
            Catalog(catalog, box, clock),
            snapshot,
            arrivals,
            messaging.publisher,
            clock,
        ).operations(),
    ]
    add_operations(app, declared, Authenticator(snapshot), guard)

    async def ready() -> str | None:
        if not snapshot.loaded:
            return "the catalog has not been loaded yet"
        return None if await reading.healthy() else "the database does not answer"

    expiry: dict[str, Loop] = {}
    if settings.status_retention_days is not None:
        kept_for = timedelta(days=settings.status_retention_days)
        expiry["expiry"] = Expirer(StatusStore(clearing), Retention(clearing), clock, kept_for).run

    return Service(
        http=app,
        loops={
            **expiry,
            **{name: consumer.run for name, consumer in consumers.items()},
            "deadlines": Sweeper(ReceiptDeadlines(writing, deadline=settings.receipt_deadline), clock).run,
            "standstill": Asker(
                StandstillStore(writing), messaging.publisher, clock, timedelta(seconds=settings.silence_seconds)
            ).run,
            "answers": kept.run,
            "forget-events": EventForgetter(events, clock, event_retention).run,
            "erasures": Eraser(Erasures(catalog, box), PeopleMemory(clearing).forget, clock).run,
            "gauge": Gauge(projection, clock).run,
            "catalog": snapshot.follow,
            "catalog-listener": snapshot.listener(settings.postgres).run,
        },
        ready=ready,
    )


def operations(
    store: StatusStore,
    waits: WaitStore,
    sandbox: SandboxStore,
    arrivals: Arrivals,
    publisher: EventPublisher,
    clock: Clock,
    remembered: timedelta,
) -> list[Operation]:
    """Return everything that callers can ask of this service. Does no I/O by itself."""
    return [
        *TriggerList(store).operations(),
        *TriggerReads(store, waits, arrivals).operations(),
        *TriggerActions(store, arrivals, publisher, clock, remembered).operations(),
        *ExecutionReads(store, arrivals).operations(),
        *SandboxReads(sandbox).operations(),
    ]


def documented() -> list[Operation]:
    """Return every operation, to be described and not to be called: nothing stands behind them."""
    nothing: Any = None
    return [
        *operations(nothing, nothing, nothing, nothing, nothing, nothing, nothing),
        *EventReads(nothing, nothing, nothing).operations(),
        *StreamReads(nothing, nothing, nothing, nothing).operations(),
        *TriggerDoor(nothing, nothing, nothing, nothing).operations(),
        *NovuReads(nothing, nothing, nothing, nothing, nothing, nothing, nothing).operations(),
    ]


def unavailable(error: Exception) -> Problem | None:
    """Return the problem that a caller sees while the database or the broker is away, None for any other error."""
    if isinstance(error, BrokerUnavailableError):
        return Problem(503, "Not available", "The broker cannot be reached. Try again.", headers=_RETRY_AFTER)
    if isinstance(error, StillCountingError):
        return Problem(503, "Still counting", "There is much to count. Try again in some seconds.", headers=_LATER)
    if is_transient(error):
        return Problem(503, "Not available", "The database cannot be reached. Try again.", headers=_RETRY_AFTER)
    return None


def _consumers(
    settings: StatusSettings, messaging: Messaging, projector: Projector, events: EventProjector
) -> dict[str, EventConsumer]:
    """One consumer a kind of topic, and several for deliveries, of which there are by far the most."""

    def consumer(names: Sequence[str], group: str, handler: BatchHandler, wait: float = 0.05) -> EventConsumer:
        size = settings.batch_records
        return messaging.batch_consumer(
            names, group, handler, max_records=size, max_wait=wait, is_transient=is_transient
        )

    accepted = [topics.triggers(lane) for lane in Lane]
    return {
        "triggers": consumer(accepted, "status-triggers", projector.on_triggers),
        "executions": consumer([topics.EXECUTIONS], "status-executions", projector.on_executions),
        "events": consumer([topics.EXECUTIONS], "status-events", events),
        **{
            f"deliveries-{place}": consumer(
                [topics.DELIVERIES], "status-deliveries", projector.on_deliveries, _DELIVERIES_WAIT_SECONDS
            )
            for place in range(settings.folders)
        },
    }


async def _database(
    settings: StatusSettings, resources: AsyncExitStack, schema: str, most: int, plans: Plans = "automatic"
) -> Database:
    return await resources.enter_async_context(
        await Database.open(settings.postgres, schema, application_name=NAME, min_size=0, max_size=most, plans=plans)
    )
