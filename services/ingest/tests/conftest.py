"""What the tests of the doors share: a catalog in memory, a publisher that remembers, and the application over both."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from ingest.app import Doors
from ingest.doors.streams.activity import StreamActivity
from ingest.handlers.engagements import Engagements
from ingest.settings import IngestSettings
from sluice_catalog.api_keys import digest
from sluice_catalog.models import ApiKey, ProviderAccount, TemplateReference, WorkflowReference, WorkspaceSettings
from sluice_catalog.snapshot import CatalogSnapshot
from sluice_catalog.streams import Stream, StreamEvent, StreamToken, StreamType
from sluice_contracts.messages.receipt import ReceiptMessage, decode_receipt
from sluice_contracts.messages.trigger import TriggerAccepted
from sluice_contracts.vocabulary import Category, Channel
from sluice_messaging.errors import BrokerUnavailableError
from sluice_messaging.records import OutboundRecord
from sluice_runtime.clock import ManualClock
from sluice_runtime.http.guard.answers import Answer, Place, Verdict

WORKSPACE = UUID(int=1)
STRANGER = UUID(int=2)
KEY = "sk_live_test"
SECRET = b"s" * 32
NOW = datetime(2026, 11, 23, 2, 25, 28, 90_000, tzinfo=UTC)
ACTIVE = UUID(int=70)

Client = TestClient[web.Request, web.Application]


def template(number: int, key: str, channel: Channel, category: Category) -> TemplateReference:
    return TemplateReference(UUID(int=number), 3, key, channel, category)


class Definitions(CatalogSnapshot):
    """A catalog that needs no database."""

    def __init__(self) -> None:
        self.loaded = True
        self.keys = {
            digest(secret): ApiKey(UUID(int=9), workspace, digest(secret), frozenset(scopes))
            for secret, workspace, scopes in (
                (KEY, WORKSPACE, {"events:write"}),
                ("sk_live_stranger", STRANGER, {"events:write"}),
                ("sk_live_reader", WORKSPACE, {"status:read"}),
            )
        }
        self.templates = {
            (WORKSPACE, "otp_us"): template(50, "otp_us", Channel.SMS, Category.AUTHENTICATION),
            (WORKSPACE, "sale"): template(51, "sale", Channel.SMS, Category.MARKETING),
            (WORKSPACE, "welcome"): template(52, "welcome", Channel.EMAIL, Category.TRANSACTIONAL),
        }
        self.workflows = {
            (WORKSPACE, name): workflow
            for workflow in (
                WorkflowReference(ACTIVE, "Welcome Series", "active", 2, Category.MARKETING),
                WorkflowReference(UUID(int=71), "Old Series", "inactive", 1, Category.MARKETING),
                WorkflowReference(UUID(int=72), "New Series", "draft", None, Category.MARKETING),
            )
            for name in (workflow.name, str(workflow.workflow_id))
        }
        self.accounts: dict[UUID, ProviderAccount] = {}
        self.streams: dict[tuple[UUID, str], Stream] = {}
        self.tokens: dict[bytes, StreamToken] = {}
        self.events: dict[tuple[UUID, str], StreamEvent] = {}

    def api_key(self, secret_sha256: bytes) -> ApiKey | None:
        return self.keys.get(secret_sha256)

    def template(self, workspace_id: UUID, key: str) -> TemplateReference | None:
        return self.templates.get((workspace_id, key))

    def workflow(self, workspace_id: UUID, name: str) -> WorkflowReference | None:
        return self.workflows.get((workspace_id, name))

    def segment(self, workspace_id: UUID, key: str) -> UUID | None:
        return {(WORKSPACE, "pros"): UUID(int=60)}.get((workspace_id, key))

    def list(self, workspace_id: UUID, key: str) -> UUID | None:
        return {(WORKSPACE, "news"): UUID(int=61)}.get((workspace_id, key))

    def provider_account(self, account_id: UUID) -> ProviderAccount | None:
        return self.accounts.get(account_id)

    def workspace(self, workspace_id: UUID) -> WorkspaceSettings | None:
        return WorkspaceSettings(workspace_id, default_country="US")

    def stream(self, workspace_id: UUID, reference: str) -> Stream | None:
        return self.streams.get((workspace_id, reference))

    def stream_token(self, secret_sha256: bytes) -> StreamToken | None:
        return self.tokens.get(secret_sha256)

    def stream_event(self, stream_id: UUID, key: str) -> StreamEvent | None:
        return self.events.get((stream_id, key))

    def add_stream(self, number: int, **fields: Any) -> Stream:
        """Add a stream, which sends the template `sale` unless told, with the token `st_live_<number>`."""
        kind = StreamType(fields.pop("type", "transactional"))
        given: dict[str, Any] = {
            "id": UUID(int=500 + number),
            "workspace_id": WORKSPACE,
            "key": f"strm_{number}",
            "name": f"Stream {number}",
            "type": kind,
            "status": "ready",
            "category": kind.category,
            "template_key": "sale",
        }
        stream = Stream(**given | fields)
        self.streams |= {(stream.workspace_id, name): stream for name in (str(stream.id), stream.key)}
        secret = digest(f"st_live_{number}")
        self.tokens[secret] = StreamToken(UUID(int=1000 + number), stream.id, stream.workspace_id, secret)
        return stream

    def add_account(self, number: int, channel: Channel, provider: str, **secrets: str) -> ProviderAccount:
        account = ProviderAccount(UUID(int=number), WORKSPACE, channel, provider, provider, {}, secrets)
        self.accounts[account.id] = account
        return account


class Publisher:
    """Remembers what it took; can be away, and can keep callers waiting."""

    def __init__(self) -> None:
        self.batches: list[Sequence[OutboundRecord]] = []
        self.away = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = 0
        self._changed = asyncio.Condition()

    async def publish(self, records: Sequence[OutboundRecord], *, timeout: float = 5.0) -> None:  # noqa: ASYNC109
        async with self._changed:
            self.waiting += 1
            self._changed.notify_all()
        try:
            async with asyncio.timeout(timeout):
                await self.gate.wait()
        except TimeoutError as error:
            raise BrokerUnavailableError("no answer") from error
        finally:
            self.waiting -= 1
        if self.away:
            raise BrokerUnavailableError("away")
        self.batches.append(records)

    async def has_waiting(self, count: int) -> None:
        """Return once `count` calls wait at the gate."""
        async with asyncio.timeout(30), self._changed:
            await self._changed.wait_for(lambda: self.waiting >= count)

    async def healthy(self) -> bool:
        return not self.away

    @property
    def records(self) -> list[OutboundRecord]:
        return [record for batch in self.batches for record in batch]

    def triggers(self) -> list[TriggerAccepted]:
        return [TriggerAccepted.decode(record.value) for record in self.records]

    def receipts(self) -> list[ReceiptMessage]:
        return [decode_receipt(record.value) for record in self.records]


class Answers:
    """Answers that another copy of the service could have left."""

    def __init__(self) -> None:
        self.kept: dict[Place, Answer] = {}
        self.asked = 0

    async def claim(self, place: Place, fingerprint: bytes) -> Answer | Verdict:
        self.asked += 1
        return self.kept.get(place, Verdict.GO_AHEAD)

    def put(self, place: Place, answer: Answer) -> None:
        self.kept.setdefault(place, answer)

    def abandon(self, place: Place) -> None:
        return


@dataclass
class Service:
    """The application under test, with everything around it within reach."""

    client: Client
    publisher: Publisher
    definitions: Definitions
    clock: ManualClock
    answers: Answers
    engagements: Engagements
    ready: Callable[[], Any]
    activity: StreamActivity
    renewals: list[Callable[[], None]] = field(default_factory=list)

    async def post(self, path: str, body: Any = None, *, key: str | None = KEY, **headers: str) -> tuple[int, Any, Any]:
        """POST JSON (or bytes as they are); return status, body and headers."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            sent["X-API-Key"] = key
        given = {"data": body} if isinstance(body, bytes) else {"json": body}
        async with self.client.post(path, headers=sent, **given) as answer:
            return answer.status, await answer.json(content_type=None), answer.headers


def settings(**changes: Any) -> IngestSettings:
    return IngestSettings(
        secret_key=base64.b64encode(SECRET).decode(),
        public_url="https://api.example.com",
        **{"publish_seconds": 0.5, **changes},
    )


@asynccontextmanager
async def serving(**changes: Any) -> AsyncIterator[Service]:
    """Serve the doors over memory alone."""
    publisher, definitions, answers, clock = Publisher(), Definitions(), Answers(), ManualClock(NOW)
    engagements = Engagements(publisher, 100)
    renewals: list[Callable[[], None]] = []

    async def renew() -> bool:
        while renewals:
            renewals.pop()()
        return True

    own = settings(**changes)
    doors = Doors(own, clock, publisher, definitions, renew, answers, engagements)
    app, intake = doors.build()
    async with TestClient(TestServer(app)) as client:
        yield Service(
            client, publisher, definitions, clock, answers, engagements, intake.trouble, doors.activity, renewals
        )


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with serving() as made:
        yield made


@pytest.fixture
def serve() -> Callable[..., Any]:
    """Serve with other settings."""
    return serving
