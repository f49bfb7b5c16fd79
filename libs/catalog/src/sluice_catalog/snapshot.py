"""The catalog in memory, for a service that must answer while Postgres is away.

It is loaded table by table: a table that a notification names is loaded again, and every table after a reconnect and
after `ttl` seconds. A load that fails leaves what was seen last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any, Final
from uuid import UUID

import structlog

from sluice_catalog.models import (
    ApiKey,
    NovuWorkflow,
    ProviderAccount,
    TemplateReference,
    Tenant,
    WorkflowReference,
    WorkspaceSettings,
)
from sluice_catalog.snapshot_tables import READERS
from sluice_catalog.streams import Stream, StreamEvent, StreamToken
from sluice_runtime.pausing import pause_until_any
from sluice_runtime.secrets import SecretBox
from sluice_storage import statements
from sluice_storage.database import Database
from sluice_storage.listener import Listener

CHANGED: Final = "catalog_changed"
"""The channel on which every change of a definition is notified, with the table's name."""

_RETRY_SECONDS: Final = 1.0
_statements = statements.load("sluice_catalog", "snapshot.sql")
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _View:
    """Everything as it was seen last. Replaced, never changed, so that a reader needs no lock."""

    api_keys: dict[bytes, ApiKey] = field(default_factory=dict)
    workspaces: dict[UUID, WorkspaceSettings] = field(default_factory=dict)
    templates: dict[tuple[UUID, str], TemplateReference] = field(default_factory=dict)
    workflows: dict[tuple[UUID, str], WorkflowReference] = field(default_factory=dict)
    segments: dict[tuple[UUID, str], UUID] = field(default_factory=dict)
    lists: dict[tuple[UUID, str], UUID] = field(default_factory=dict)
    provider_accounts: dict[UUID, ProviderAccount] = field(default_factory=dict)
    tenants: dict[tuple[UUID, str], Tenant] = field(default_factory=dict)
    novu_workflows: dict[tuple[UUID, str], NovuWorkflow] = field(default_factory=dict)
    streams: dict[tuple[UUID, str], Stream] = field(default_factory=dict)
    stream_tokens: dict[bytes, StreamToken] = field(default_factory=dict)
    stream_events: dict[tuple[UUID, str], StreamEvent] = field(default_factory=dict)


class CatalogSnapshot:
    """Answers from memory. `loaded` tells whether there is anything to answer from yet."""

    def __init__(self, database: Database, secret_box: SecretBox, *, ttl: float = 30.0) -> None:
        self._database = database
        self._secret_box = secret_box
        self._ttl = ttl
        self._view = _View()
        self._loading = asyncio.Lock()
        self._changed = set(READERS)
        self._woken = asyncio.Event()
        self.loaded = False

    def api_key(self, secret_sha256: bytes) -> ApiKey | None:
        """Return the active key with this digest."""
        return self._view.api_keys.get(secret_sha256)

    def workspace(self, workspace_id: UUID) -> WorkspaceSettings | None:
        """Return a workspace's settings."""
        return self._view.workspaces.get(workspace_id)

    def template(self, workspace_id: UUID, key: str) -> TemplateReference | None:
        """Return the newest version of a template, by the caller's key or our id."""
        return self._view.templates.get((workspace_id, key))

    def workflow(self, workspace_id: UUID, name: str) -> WorkflowReference | None:
        """Return a workflow by its name, the caller's key or our id, whatever its status."""
        return self._view.workflows.get((workspace_id, name))

    def segment(self, workspace_id: UUID, key: str) -> UUID | None:
        """Return the id of a segment, by the caller's key or our id."""
        return self._view.segments.get((workspace_id, key))

    def list(self, workspace_id: UUID, key: str) -> UUID | None:
        """Return the id of a list, by the caller's key or our id."""
        return self._view.lists.get((workspace_id, key))

    def provider_account(self, account_id: UUID) -> ProviderAccount | None:
        """Return a provider account with its secrets, for checking its callbacks."""
        return self._view.provider_accounts.get(account_id)

    def stream(self, workspace_id: UUID, reference: str) -> Stream | None:
        """Return a stream by our id or its key, whatever its status."""
        return self._view.streams.get((workspace_id, reference))

    def stream_token(self, secret_sha256: bytes) -> StreamToken | None:
        """Return the stream's token with this digest, which may have expired."""
        return self._view.stream_tokens.get(secret_sha256)

    def stream_event(self, stream_id: UUID, key: str) -> StreamEvent | None:
        """Return what a stream says for an event key."""
        return self._view.stream_events.get((stream_id, key))

    def tenant(self, workspace_id: UUID, key: str) -> Tenant | None:
        """Return a customer of the workspace, by the caller's key."""
        return self._view.tenants.get((workspace_id, key))

    def novu_workflow(self, workspace_id: UUID, name: str) -> NovuWorkflow | None:
        """Return a workflow that was defined in Novu's words, by its identifier or Novu's id."""
        return self._view.novu_workflows.get((workspace_id, name))

    async def refresh(self, *tables: str) -> None:
        """Load `tables` (none named: all) before returning; names that the snapshot does not hold are passed over.

        Raises whatever the database raises; then everything stays as it was seen last.
        """
        async with self._loading:
            names = tuple(name for name in READERS if not tables or name in tables)
            # Taken off before reading, so that a change that comes in meanwhile is loaded once more.
            self._changed.difference_update(names)
            try:
                loaded = await self._read(names)
            except BaseException:
                self._changed.update(names)
                raise
            self._view = replace(self._view, **loaded)
            self.loaded = self.loaded or self._changed.isdisjoint(READERS)

    async def load_first(self, seconds: float = 3.0) -> None:
        """Try once to load everything before anybody is served, for at most `seconds`; `follow` goes on trying."""
        try:
            async with asyncio.timeout(seconds):
                await self.refresh()
        except Exception as error:  # noqa: BLE001 - whatever it is, a service starts while its database is away
            _log.warning("catalog.not_loaded_yet", error=type(error).__name__)

    def mark_changed(self, table: str) -> None:
        """Have `follow` load a table (a name that it does not know: all of them) again soon."""
        self._changed.update([table] if table in READERS else READERS)
        self._woken.set()

    def listener(self, dsn: str) -> Listener:
        """Return what hears of changes made elsewhere; run it beside `follow`."""
        return Listener(dsn, [CHANGED], lambda _, table: self.mark_changed(table), lambda: self.mark_changed(""))

    async def follow(self, stop: asyncio.Event) -> None:
        """Keep up to date until `stop` is set. Fits `Service.loops`."""
        due = monotonic() + self._ttl
        while not stop.is_set():
            self._woken.clear()
            if monotonic() >= due:
                due = monotonic() + self._ttl
                self._changed.update(READERS)
            wait = due - monotonic()
            if self._changed:
                try:
                    await self.refresh(*self._changed)
                except Exception as error:  # noqa: BLE001 - whatever it is, what was seen last goes on serving
                    _log.warning("catalog.refresh_failed", error=type(error).__name__, tables=sorted(self._changed))
                    wait = _RETRY_SECONDS
            await pause_until_any(self._woken, stop, seconds=max(wait, 0))

    async def _read(self, names: Collection[str]) -> dict[str, Any]:
        async with self._database.connection() as connection:
            return {
                name: READERS[name](await connection.fetch(getattr(_statements, name)), self._secret_box)
                for name in names
            }
