"""Where ingest is wired together."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any, Final
from uuid import UUID

from aiohttp import web
from pydantic import SecretStr

from ingest import definitions
from ingest.adapters.renewal import Renewal
from ingest.doors.commpeak.sending import EventSending
from ingest.doors.events.operations import EventDoor
from ingest.doors.novu.operations import NovuDoor
from ingest.doors.pocketflows.operations import Tracking as PocketflowsTracking
from ingest.doors.streams.activity import StreamActivity
from ingest.doors.streams.credentials import StreamCredentials
from ingest.doors.streams.definitions import stream_operations
from ingest.doors.streams.events import StreamEventsDoor
from ingest.doors.streams.reception import Reception
from ingest.doors.streams.writing import ActivityWriter
from ingest.handlers.bulk import Bulk
from ingest.handlers.callbacks import Callbacks
from ingest.handlers.documents import Documents
from ingest.handlers.engagements import Engagements
from ingest.handlers.intake import Intake
from ingest.handlers.sends import Renew, Sends
from ingest.handlers.tracking import Tracking
from ingest.settings import IngestSettings
from sluice_catalog.credentials import Authenticator
from sluice_catalog.erasures import Erasures, Shredder
from sluice_catalog.models import ProviderAccount
from sluice_catalog.snapshot import CatalogSnapshot
from sluice_catalog.stream_counts import StreamCounts
from sluice_channel.signatures import sandbox_secret
from sluice_messaging.kafka import KafkaMessaging
from sluice_messaging.ports import EventPublisher
from sluice_runtime.clock import Clock
from sluice_runtime.http.application import application
from sluice_runtime.http.guard.answers import AnswerStore
from sluice_runtime.http.guard.guard import Guard
from sluice_runtime.http.operations import Operation, add_operations
from sluice_runtime.http.problems import Problem
from sluice_runtime.secrets import PROVIDER_SECRETS, TRACKING_LINKS, SecretBox, derive_key
from sluice_runtime.service import Service
from sluice_runtime.settings import SECRET_KEY_BYTES
from sluice_storage import answers
from sluice_storage.database import Database
from sluice_storage.errors import is_transient

NAME: Final = "ingest"


@dataclass(frozen=True, slots=True)
class Doors:
    """What the HTTP application is made of; tests replace the parts that they are not about."""

    settings: IngestSettings
    clock: Clock
    publisher: EventPublisher
    snapshot: CatalogSnapshot
    renew: Renew
    answers: AnswerStore
    engagements: Engagements
    definitions: Sequence[Operation] = ()
    activity: StreamActivity = field(default_factory=StreamActivity)
    novu: NovuDoor | None = None

    def build(self) -> tuple[web.Application, Intake]:
        """Return the application with every door, and the intake behind them."""
        settings = self.settings
        intake = Intake(self.publisher, max_bytes=settings.in_flight_bytes, seconds=settings.publish_seconds)
        app = application(translate=_database_away)
        guard = Guard(settings, self.answers, self.clock)
        guard.protect(app)
        operations = self.operations(intake)
        add_operations(app, [*operations, *Documents(operations).operations()], Authenticator(self.snapshot), guard)
        return app, intake

    def operations(self, intake: Intake) -> list[Operation]:
        """Return every operation but those that document them."""
        key = derive_key(self.settings.secret_bytes, TRACKING_LINKS)
        return [
            *Sends(self.snapshot, self.renew, intake, self.clock).operations(),
            *Bulk(self.snapshot, self.renew, intake, self.clock).operations(),
            *EventDoor(self.snapshot, intake, self.clock).operations(),
            *PocketflowsTracking(self.snapshot, self.renew, intake, self.clock).operations(),
            *self.definitions,
            *self._streams(intake),
            *([] if self.novu is None else self.novu.operations(intake)),
            *Callbacks(
                self._account, intake, self.clock, (self.settings.public_url, self.settings.callbacks)
            ).operations(),
            *Tracking(key, self.engagements, intake, self.clock).operations(),
        ]

    def _streams(self, intake: Intake) -> list[Operation]:
        authenticate = Authenticator(self.snapshot)
        credentials = StreamCredentials(self.snapshot, authenticate, self.renew, self.activity, self.clock)
        reception = Reception(self.snapshot, credentials, self.activity, self.renew, intake, self.clock)
        return [*StreamEventsDoor(reception).operations(), *EventSending(reception).operations()]

    def _account(self, account_id: UUID) -> ProviderAccount | None:
        account = self.snapshot.provider_account(account_id)
        if account is None or account.provider != "sandbox":
            return account
        return replace(account, secrets={"callback_secret": sandbox_secret(self.settings.secret_bytes, account_id)})


async def build(settings: IngestSettings, resources: AsyncExitStack, clock: Clock) -> Service:
    """Open what ingest needs. Neither Postgres nor the broker has to be there yet: `/ready` says what is missing."""
    catalog_box = SecretBox(derive_key(settings.secret_bytes, PROVIDER_SECRETS))
    catalog = await _database(settings, resources, "catalog")
    answered = await _database(settings, resources, answers.SCHEMA)
    messaging = await resources.enter_async_context(KafkaMessaging(settings.kafka, NAME, clock))
    snapshot = CatalogSnapshot(catalog, catalog_box)
    await snapshot.load_first()
    kept = answers.PostgresAnswers(answered, settings.secret_bytes, clock)
    engagements = Engagements(messaging.publisher, settings.waiting_engagements)
    activity = StreamActivity()
    stored = [
        *definitions.operations(catalog, snapshot, catalog_box, clock),
        *stream_operations(catalog, snapshot, clock, settings.public_url),
    ]
    renewal = Renewal(snapshot)
    novu = NovuDoor(catalog, snapshot, catalog_box, clock, renewal)
    doors = Doors(settings, clock, messaging.publisher, snapshot, renewal, kept, engagements, stored, activity, novu)
    app, intake = doors.build()

    async def ready() -> str | None:
        return await intake.trouble() if snapshot.loaded else "the catalog has not been loaded yet"

    loops: dict[str, Any] = {
        "catalog": snapshot.follow,
        "catalog-listener": snapshot.listener(settings.postgres).run,
        "answers": kept.run,
        "stream-activity": ActivityWriter(activity, StreamCounts(catalog), clock).run,
        "engagements": engagements.run,
        "erasures": Shredder(Erasures(catalog, catalog_box), clock).run,
    }
    return Service(http=app, loops=loops, ready=ready)


def documented() -> list[Operation]:
    """Return every operation, to be described and not to be called: nothing stands behind them."""
    nothing: Any = None
    settings = IngestSettings(secret_key=SecretStr(b64encode(bytes(SECRET_KEY_BYTES)).decode()))
    stored = [
        *definitions.operations(nothing, nothing, nothing, nothing),
        *stream_operations(nothing, nothing, nothing, settings.public_url),
    ]
    novu = NovuDoor(nothing, nothing, nothing, nothing, nothing)
    doors = Doors(settings, nothing, nothing, nothing, nothing, nothing, nothing, stored, novu=novu)
    operations = doors.operations(nothing)
    return [*operations, *Documents(operations).operations()]


async def _database(settings: IngestSettings, resources: AsyncExitStack, schema: str) -> Database:
    return await resources.enter_async_context(
        await Database.open(settings.postgres, schema, application_name=NAME, min_size=0, max_size=4)
    )


def _database_away(error: Exception) -> Problem | None:
    if not is_transient(error):
        return None
    return Problem(503, "Not available", "The database cannot be reached. Try again.", headers={"Retry-After": "2"})
