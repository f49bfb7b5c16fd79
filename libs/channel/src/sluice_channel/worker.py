"""A channel worker put together: the one place where its parts meet."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Final

from sluice_catalog.erasures import Eraser, Erasures
from sluice_catalog.models import ProviderAccount
from sluice_catalog.repository import Catalog
from sluice_channel.accounts import Accounts
from sluice_channel.allowances import Allowances
from sluice_channel.channels import ChannelKind
from sluice_channel.commands import CommandHandler
from sluice_channel.control import Controls
from sluice_channel.conversations import Conversations
from sluice_channel.erasing import PeopleMemory
from sluice_channel.ledger import Ledger, LedgerReader
from sluice_channel.matching import Matcher
from sluice_channel.pacing import Pacing
from sluice_channel.parking import Parking
from sluice_channel.planning import Planner
from sluice_channel.provider import Provider, ProviderFactory
from sluice_channel.purging import Purge
from sluice_channel.receipts import Receipts
from sluice_channel.rendering import Renderer
from sluice_channel.sandbox.playback import Doors, Playback
from sluice_channel.sandbox.provider import SandboxProvider
from sluice_channel.settings import ChannelSettings
from sluice_channel.tools import Tools
from sluice_channel.turnstile import Turnstile
from sluice_contracts import topics
from sluice_contracts.vocabulary import Lane
from sluice_messaging.kafka import KafkaMessaging
from sluice_messaging.ports import EventConsumer, Messaging, TableReader
from sluice_runtime.clock import Clock
from sluice_runtime.secrets import JOB_REFERENCES, PROVIDER_SECRETS, SecretBox, derive_key
from sluice_runtime.service import Loop, Service
from sluice_storage.database import Database, Plans
from sluice_storage.errors import is_transient
from sluice_storage.listener import Listener

RECEIPTS_AT_ONCE: Final = 8
"""Callbacks; each may hold hundreds of receipts, and an OTP should not wait for very many of them."""
_CATALOG_CONNECTIONS: Final = 4
_RECEIPT_CONNECTIONS: Final = 4
_CATALOG_CHANGED: Final = "catalog_changed"


def schema_of(kind: ChannelKind) -> str:
    """Return the Postgres schema of a channel's worker."""
    return f"channel_{kind.channel}"


async def build_worker(
    settings: ChannelSettings,
    resources: AsyncExitStack,
    clock: Clock,
    kind: ChannelKind,
    factories: Mapping[str, ProviderFactory],
) -> Service:
    """Open what a worker of `kind` needs. `factories` are its providers by name; the sandbox is always there.

    Neither Postgres nor the broker has to be there yet: `/ready` says what is missing.
    """
    name = f"channel-{kind.channel}"
    messaging = await resources.enter_async_context(
        KafkaMessaging(settings.kafka, name, clock, session=settings.session_seconds)
    )
    databases = await Databases.open(settings, resources, name, schema_of(kind))
    worker = Worker(settings, clock, kind, factories, messaging, databases)
    resources.push_async_callback(worker.accounts.close)
    return Service(loops=worker.loops(), ready=worker.ready)


class Databases:
    """Three pools: claims must not wait for receipts, and the catalog is another schema."""

    def __init__(self, own: Database, receipts: Database, catalog: Database) -> None:
        self.own = own
        self.receipts = receipts
        self.catalog = catalog

    @classmethod
    async def open(cls, settings: ChannelSettings, resources: AsyncExitStack, name: str, schema: str) -> Databases:
        async def pool(schema: str, size: int, plans: Plans = "automatic") -> Database:
            database = await Database.open(
                settings.postgres,
                schema,
                application_name=name,
                min_size=0,
                max_size=size,
                plans=plans,
            )
            return await resources.enter_async_context(database)

        return cls(
            await pool(schema, settings.database_connections),
            # Joins with unnest keep a bad plan for good where they were prepared on an empty table.
            await pool(schema, _RECEIPT_CONNECTIONS, "custom"),
            await pool("catalog", _CATALOG_CONNECTIONS),
        )


class Worker:
    """One copy of a channel worker over given connections."""

    def __init__(
        self,
        settings: ChannelSettings,
        clock: Clock,
        kind: ChannelKind,
        factories: Mapping[str, ProviderFactory],
        messaging: Messaging,
        databases: Databases,
    ) -> None:
        channel = kind.channel
        reference_key = derive_key(settings.secret_bytes, JOB_REFERENCES)
        self._settings = settings
        self._kind = kind
        self._databases = databases
        self.messaging = messaging
        box = SecretBox(derive_key(settings.secret_bytes, PROVIDER_SECRETS))
        self.catalog = Catalog(databases.catalog, box, clock)
        self.playback = Playback(
            channel,
            databases.receipts,
            clock,
            Doors(settings.callbacks, settings.public_url),
            settings.secret_bytes,
            timedelta(seconds=settings.sandbox_delay_seconds),
        )

        def sandbox(account: ProviderAccount) -> Provider:
            return SandboxProvider(account, databases.own, clock, self.playback.wake)

        self.accounts = Accounts(self.catalog, channel, {**factories, SandboxProvider.name: sandbox})
        self.controls = Controls()
        conversations = Conversations(databases.receipts)
        self.tools = Tools(
            kind=kind,
            database=databases.own,
            catalog=self.catalog,
            accounts=self.accounts,
            controls=self.controls,
            renderer=Renderer(self.catalog, kind),
            planner=Planner(kind, reference_key),
            pacing=Pacing(databases.own),
            allowances=Allowances(channel),
            conversations=conversations,
            clock=clock,
            lease_seconds=settings.lease_seconds,
            turnstile=Turnstile(settings.commands_in_doubt),
        )
        self.commands = CommandHandler(channel, self.tools, messaging.publisher)
        reader = LedgerReader(databases.receipts)
        self.parking = Parking(channel, databases.receipts, clock)
        self.receipts = Receipts(
            channel,
            self.accounts,
            Matcher(reader, conversations, reference_key),
            Ledger(databases.receipts, settings.lease_seconds),
            reader,
            self.catalog,
            self.parking,
            messaging.publisher,
            clock,
        )
        memory = PeopleMemory(databases.receipts)
        self.eraser = Eraser(Erasures(databases.catalog, box), memory.forget, clock)
        self.purge = Purge(databases.receipts, clock, timedelta(days=settings.retention_days))
        self._control_reader = messaging.table_reader(topics.CONTROL, self.controls.observe)
        self._consumers = {
            "priority-commands": self._command_consumer(Lane.PRIORITY, settings.priority_concurrency),
            "bulk-commands": self._command_consumer(Lane.BULK, settings.bulk_concurrency),
            "receipts": messaging.batch_consumer(
                [topics.receipts(channel)],
                f"channel-{channel}-receipts",
                self.receipts.handle,
                max_records=RECEIPTS_AT_ONCE,
                is_transient=is_transient,
            ),
        }

    def loops(self) -> dict[str, Loop]:
        """Return what has to run. No command is taken before it is known which triggers are stopped."""
        listener = Listener(
            self._settings.postgres,
            [_CATALOG_CHANGED],
            lambda _channel, _payload: self.catalog.forget(),
            self.catalog.forget,
        )

        async def parked(stop: asyncio.Event) -> None:
            await self.parking.run(self.receipts.apply, stop)

        return {
            "control": self._control_reader.run,
            "catalog-listener": listener.run,
            "priority-commands": _after(self._control_reader, self._consumers["priority-commands"]),
            "bulk-commands": _after(self._control_reader, self._consumers["bulk-commands"]),
            "receipts": self._consumers["receipts"].run,
            "parked-receipts": parked,
            "sandbox": self.playback.run,
            "erasures": self.eraser.run,
            "purge": self.purge.run,
        }

    async def ready(self) -> str | None:
        """Return why this copy cannot carry out commands now, None where it can."""
        if not await self._databases.own.healthy():
            return "the database cannot be reached"
        waiting = [name for name, consumer in self._consumers.items() if not consumer.ready]
        return f"not yet consuming: {', '.join(waiting)}" if waiting else None

    def _command_consumer(self, lane: Lane, concurrency: int) -> EventConsumer:
        channel = self._kind.channel
        handle = self.commands.handle
        return self.messaging.keyed_consumer(
            [topics.commands(channel, lane)],
            f"channel-{channel}-{lane}",
            self.tools.precedence.urgently(handle) if lane is Lane.PRIORITY else handle,
            concurrency=concurrency,
            is_transient=is_transient,
        )


def _after(table: TableReader, consumer: EventConsumer) -> Loop:
    """Return a loop that runs `consumer` once `table` has been read to its end."""

    async def run(stop: asyncio.Event) -> None:
        caught_up = asyncio.ensure_future(table.caught_up())
        stopped = asyncio.ensure_future(stop.wait())
        await asyncio.wait({caught_up, stopped}, return_when=asyncio.FIRST_COMPLETED)
        for waiting in (caught_up, stopped):
            waiting.cancel()
        if not stop.is_set():
            await consumer.run(stop)

    return run
