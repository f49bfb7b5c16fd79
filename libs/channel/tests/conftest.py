"""A channel worker over a real database and a broker in memory, with a provider that does as it is told."""

from __future__ import annotations

import asyncio
import base64
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from sluice_catalog.bootstrap import ensure_workspace
from sluice_catalog.templating import parse
from sluice_channel.channels import Envelope
from sluice_channel.command_run import CommandRun
from sluice_channel.provider import (
    Accepted,
    CallbackRequest,
    Limits,
    OutboundMessage,
    Outcome,
    Receipt,
    RenderedMessage,
    SmsMessage,
)
from sluice_channel.reports import JobReport
from sluice_channel.segmentation import segment
from sluice_channel.settings import ChannelSettings
from sluice_channel.worker import Databases, Worker
from sluice_contracts import topics
from sluice_contracts.messages.command import CommandedJobs, JobsCommanded
from sluice_contracts.messages.content import InlineSms
from sluice_contracts.messages.delivery import JobsReported
from sluice_contracts.references import JobReference, sign_reference
from sluice_contracts.vocabulary import Category, Channel, Lane, MessageState
from sluice_messaging.memory import MemoryBroker, MemoryMessaging
from sluice_messaging.records import Record, outbound
from sluice_runtime.clock import ManualClock
from sluice_runtime.secrets import JOB_REFERENCES, SecretBox, derive_key
from sluice_storage.database import Database, Plans
from sluice_storage.migrations import migrate

SECRET = bytes(range(32))
NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


class PlainContent:
    def __init__(self, text: str) -> None:
        self._text = parse(text, escape_html=False)

    def render(self, values: Mapping[str, Any]) -> SmsMessage:
        text = self._text.render(values)
        cut = segment(text)
        return SmsMessage(text, cut.encoding, cut.segments)


class PlainChannel:
    """A channel of plain texts to numbers."""

    channel = Channel.SMS

    def is_address(self, address: str) -> bool:
        return address.startswith("+")

    def compile(self, content: Mapping[str, Any]) -> PlainContent:
        return PlainContent(content["text"])

    def address_to(self, message: RenderedMessage, envelope: Envelope) -> RenderedMessage:
        return message

    def segments(self, message: RenderedMessage) -> int | None:
        return message.segments if isinstance(message, SmsMessage) else None


@dataclass
class ScriptedProvider:
    """Takes everything, unless `script` says otherwise; `handed_over` is all that it ever got."""

    channel: Channel = Channel.SMS
    name: str = "scripted"
    limits: Limits = field(default_factory=lambda: Limits(batch=10, concurrency=10))
    handed_over: list[OutboundMessage] = field(default_factory=list)
    script: Callable[[OutboundMessage], Outcome] = lambda message: Accepted(f"id-{message.job_id}")
    before: Callable[[Sequence[OutboundMessage]], Awaitable[None]] | None = None
    after: Callable[[Sequence[OutboundMessage]], Awaitable[None]] | None = None
    found: Callable[[Sequence[str]], Mapping[str, Outcome] | None] = lambda references: None
    receipts: list[Receipt] = field(default_factory=list)
    matches_replies_by_address: bool = False

    async def send(self, messages: Sequence[OutboundMessage]) -> Sequence[Outcome]:
        if self.before is not None:
            await self.before(messages)
        self.handed_over += messages
        if self.after is not None:
            await self.after(messages)
        return [self.script(message) for message in messages]

    async def look_up(self, references: Sequence[str]) -> Mapping[str, Outcome] | None:
        return self.found(references)

    def parse_receipt(self, request: CallbackRequest) -> Sequence[Receipt]:
        if request.body == b"garbage":
            raise ValueError("garbage")
        return self.receipts

    async def close(self) -> None:
        return None

    @property
    def times(self) -> Counter[str]:
        """How often each job was handed over."""
        return Counter(message.job_id for message in self.handed_over)


class Died(BaseException):
    """Stands for the death of a worker: nothing catches it, nothing is cleaned up."""


@dataclass
class Bench:
    """Where a test works: one database, one broker, as many workers as it likes."""

    dsn: str
    workspace: UUID
    account: UUID
    clock: ManualClock
    broker: MemoryBroker
    provider: ScriptedProvider
    database: Database
    opened: list[Database]
    settings: ChannelSettings
    workers: list[Worker] = field(default_factory=list)

    async def worker(self) -> Worker:
        """Another copy of the worker, as another process would have it."""
        messaging = MemoryMessaging(self.broker, self.clock)
        own = await self._open("channel_sms")
        worker = Worker(
            self.settings,
            self.clock,
            PlainChannel(),
            {"scripted": lambda account: self.provider},
            messaging,
            Databases(own, await self._open("channel_sms", plans="custom"), await self._open("catalog")),
        )
        self.workers.append(worker)
        return worker

    async def _open(self, schema: str, *, plans: Plans = "automatic") -> Database:
        database = await Database.open(self.dsn, schema, application_name="test", min_size=0, max_size=4, plans=plans)
        self.opened.append(database)
        return database

    def command(
        self,
        size: int = 3,
        *,
        category: Category = Category.MARKETING,
        text: str = "Hello",
        addresses: Sequence[str | None] | None = None,
        first: int = 0,
        **changes: Any,
    ) -> JobsCommanded:
        """A command for `size` jobs."""
        seqs = list(range(first, first + size))
        columns: dict[str, Any] = {
            "seq": seqs,
            "contact_id": [uuid4() for _ in seqs],
            "external_id": [f"user_{seq}" for seq in seqs],
            "address": list(addresses) if addresses else [f"+1415555{seq:04d}" for seq in seqs],
            "country": ["US"] * size,
            "locale": ["en-US"] * size,
            "timezone": [None] * size,
            "opt_outs": [None] * size,
            "verdict": [None] * size,
            "verdict_detail": [None] * size,
            "attempts": [0] * size,
        }
        columns.update(changes.pop("columns", {}))
        fields: dict[str, Any] = {
            "workspace_id": self.workspace,
            "trigger_id": uuid4(),
            "execution_id": uuid4(),
            "page": first // 200,
            "channel": Channel.SMS,
            "lane": Lane.BULK,
            "category": category,
            "accepted_at": NOW,
            "content": InlineSms(text=text),
            "jobs": CommandedJobs(**columns),
        }
        fields.update(changes)
        return JobsCommanded(**fields)

    def record(self, command: JobsCommanded) -> Record:
        """The record that a command travels in."""
        sent = outbound(topics.commands(command.channel, command.lane), command)
        return Record(sent.topic, 0, 0, sent.key, sent.value, dict(sent.headers), 0)

    async def carry_out(self, command: JobsCommanded, worker: Worker | None = None) -> list[JobReport]:
        """Carry out a command as a worker would, short of reporting it."""
        worker = worker or await self.worker()
        return list(await CommandRun(worker.tools, JobsCommanded.decode(command.encode())).carry_out())

    async def die_while(self, command: JobsCommanded, worker: Worker | None = None) -> None:
        """Carry out a command until the worker dies in the middle of it."""
        with pytest.raises(Died):
            await self.carry_out(command, worker)

    def reports(self) -> list[JobsReported]:
        """Everything that was reported, in the order of each page."""
        return [JobsReported.decode(record.value) for record in self.broker.records(topics.DELIVERIES)]

    def reference(self, command: JobsCommanded, seq: int) -> str:
        """The signed reference of a job."""
        job = JobReference(command.execution_id, seq, command.round)
        return sign_reference(job, derive_key(SECRET, JOB_REFERENCES))

    def delivered(self, command: JobsCommanded, seq: int) -> Receipt:
        """A receipt that says that a job's message was delivered."""
        return Receipt(self.reference(command, seq), message=MessageState.DELIVERED)

    async def execute(self, statement: str, *arguments: object) -> None:
        async with self.database.connection() as connection:
            await connection.execute(statement, *arguments)

    async def fetch(self, statement: str, *arguments: object) -> list[Any]:
        async with self.database.connection() as connection:
            return list(await connection.fetch(statement, *arguments))

    async def let_leases_run_out(self) -> None:
        """As if so much time had passed that every claim is up for taking over."""
        await self.execute("UPDATE waves SET lease = clock_timestamp() - interval '1 second' WHERE recorded_at IS NULL")


@pytest.fixture(scope="session")
def migrated_dsn(postgres_server: Any) -> Iterator[str]:
    """The DSN of a database with every table, shared by the tests of a session: each empties it before it begins."""
    name = f"channel_{uuid4().hex}"
    postgres_server.execute(f"create database {name}")
    dsn = postgres_server.database(name)

    async def apply() -> None:
        await migrate(dsn, "catalog", "sluice_catalog")
        for channel in Channel:
            await migrate(dsn, f"channel_{channel}", "sluice_channel")

    asyncio.run(apply())
    yield dsn
    postgres_server.execute(f"drop database {name} with (force)")


_EMPTY_EVERYTHING = """
DO $$
DECLARE each record;
BEGIN
    SET LOCAL session_replication_role = replica;
    FOR each IN
        SELECT schemaname, tablename FROM pg_tables
        WHERE (schemaname = 'catalog' OR schemaname LIKE 'channel\\_%')
            AND tablename NOT IN ('schema_migrations', 'sandbox_playback')
    LOOP
        EXECUTE format('DELETE FROM %I.%I', each.schemaname, each.tablename);
    END LOOP;
    UPDATE channel_sms.sandbox_playback SET owner = NULL, lease = '-infinity';
END $$
"""


@pytest.fixture
async def bench(migrated_dsn: str) -> AsyncIterator[Bench]:
    clock = ManualClock(NOW)
    catalog = await Database.open(migrated_dsn, "catalog", application_name="test", max_size=2)
    async with catalog.connection() as connection:
        await connection.execute(_EMPTY_EVERYTHING)
    workspace, _ = await ensure_workspace(catalog, SecretBox(bytes(32)), "Ours", clock=clock)
    async with catalog.connection() as connection:
        account = await connection.fetchval(
            "UPDATE provider_accounts SET provider = 'scripted' WHERE channel = 'sms' AND workspace_id = $1 "
            "RETURNING id",
            workspace,
        )
    own = await Database.open(migrated_dsn, "channel_sms", application_name="test", max_size=2)
    settings = ChannelSettings(secret_key=base64.b64encode(SECRET).decode(), postgres=migrated_dsn)  # type: ignore[arg-type]
    opened = [catalog, own]
    yield Bench(migrated_dsn, workspace, account, clock, MemoryBroker(), ScriptedProvider(), own, opened, settings)
    await asyncio.gather(*(database.close() for database in opened))


@pytest.fixture
def until() -> Callable[..., Awaitable[None]]:
    """Waits for a condition, but no longer than its deadline."""

    async def wait(condition: Callable[[], Any], seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while True:
            held = condition()
            if asyncio.iscoroutine(held):
                held = await held
            if held:
                return
            assert time.monotonic() < deadline, "the condition never held"
            await asyncio.sleep(0.01)

    return wait


@pytest.fixture
def died() -> Died:
    """What a dying worker raises."""
    return Died()
