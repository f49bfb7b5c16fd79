"""A workspace's settings, and its API keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_network
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import Field, field_validator

from sluice_catalog.api_keys import NewSecret, new_secret
from sluice_catalog.definitions.problems import NotThere, OutdatedRevision
from sluice_catalog.definitions.words import Country, Definition, Name, Timezone, Window
from sluice_catalog.rows import Row
from sluice_contracts.identifiers import new_id
from sluice_contracts.vocabulary import Channel
from sluice_runtime.clock import Clock
from sluice_storage import statements
from sluice_storage.database import Database

_BEFORE_ALL: Final = UUID(int=0)
_NOTIFY: Final = "SELECT pg_notify('catalog_changed', $1)"
_statements = statements.load("sluice_catalog", "workspace.sql")

Scope = Literal["events:write", "definitions:write", "status:read", "pii:read", "admin"]


class Cap(Definition):
    """At most `limit` messages to a contact in any `hours`, over all channels or on one."""

    limit: Annotated[int, Field(ge=1, le=10_000)]
    hours: Annotated[int, Field(ge=1, le=24 * 366)]
    channel: Channel | None = None


class Spending(Definition):
    """At most this estimated cost (millionths of a US dollar) in a calendar month or day, UTC."""

    amount_micros: Annotated[int, Field(ge=0, le=10**15)]
    period: Literal["day", "month"] = "month"


class Settings(Definition):
    """What holds for every message of a workspace."""

    timezone: Timezone = "UTC"
    default_country: Country | None = None
    send_window: Window | None = None
    frequency_caps: list[Cap] = Field(default_factory=list, max_length=10)
    budget: Spending | None = None


class NewApiKey(Definition):
    """A key with the scopes that it needs. `allowed_ips` are addresses or networks; none means any."""

    name: Name
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=5)]
    allowed_ips: Annotated[list[str], Field(max_length=100)] = Field(default_factory=list)

    @field_validator("allowed_ips")
    @classmethod
    def _networks(cls, texts: list[str]) -> list[str]:
        for text in texts:
            ip_network(text)
        return texts


@dataclass(frozen=True, slots=True)
class StoredSettings:
    """A workspace's settings with its name and revision."""

    id: UUID
    name: str
    revision: int
    created_at: datetime
    updated_at: datetime
    content: Settings


@dataclass(frozen=True, slots=True)
class StoredApiKey:
    """A key as it is listed: no secret. `hint` is how its secret begins and ends."""

    id: UUID
    name: str
    hint: str
    scopes: tuple[str, ...]
    allowed_ips: tuple[str, ...]
    created_at: datetime
    revoked_at: datetime | None


class Workspaces:
    """The settings and the keys of all workspaces."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def settings(self, workspace_id: UUID) -> StoredSettings:
        """Return a workspace's settings. Raises NotThere."""
        async with self._database.connection() as connection:
            return _settings(await connection.fetchrow(_statements.find_workspace, workspace_id))

    async def change(
        self, workspace_id: UUID, revision: int | None, change: Callable[[Settings], Settings]
    ) -> StoredSettings:
        """Replace the settings by what `change` makes of them. Raises OutdatedRevision, and what `change` raises."""
        async with self._database.transaction() as connection:
            current = _settings(await connection.fetchrow(_statements.find_workspace, workspace_id))
            content = change(current.content).model_dump(mode="json")
            row = await connection.fetchrow(
                _statements.update_workspace,
                workspace_id,
                current.revision if revision is None else revision,
                self._clock.now(),
                content["timezone"],
                content["default_country"],
                content["send_window"],
                content["frequency_caps"],
                content["budget"],
            )
            if row is None:
                raise OutdatedRevision(current.revision)
            await connection.execute(_NOTIFY, "workspaces")
            return _settings(row)

    async def add_key(self, workspace_id: UUID, given: NewApiKey) -> tuple[StoredApiKey, NewSecret]:
        """Make a key; its secret is here and nowhere else."""
        now = self._clock.now()
        secret = new_secret()
        key = StoredApiKey(
            id=new_id(now.timestamp()),
            name=given.name,
            hint=secret.hint,
            scopes=tuple(sorted(set(given.scopes))),
            allowed_ips=tuple(given.allowed_ips),
            created_at=now,
            revoked_at=None,
        )
        async with self._database.transaction() as connection:
            await connection.execute(
                _statements.add_api_key,
                key.id,
                workspace_id,
                key.name,
                key.hint,
                secret.sha256,
                key.scopes,
                key.allowed_ips,
                now,
            )
            await connection.execute(_NOTIFY, "api_keys")
        return key, secret

    async def keys(self, workspace_id: UUID, after: UUID | None, limit: int) -> Sequence[StoredApiKey]:
        """Return the next `limit` keys behind `after`, oldest first, revoked ones too."""
        async with self._database.connection() as connection:
            found = await connection.fetch(_statements.page_api_keys, workspace_id, after or _BEFORE_ALL, limit)
        return [_key(row) for row in found]

    async def revoke(self, workspace_id: UUID, key_id: UUID) -> None:
        """Make a key useless. Repeats change nothing. Raises NotThere."""
        async with self._database.transaction() as connection:
            if await connection.fetchval(_statements.revoke_api_key, workspace_id, key_id, self._clock.now()) is None:
                raise NotThere("API key")
            await connection.execute(_NOTIFY, "api_keys")


def _settings(row: Row | None) -> StoredSettings:
    if row is None:
        raise NotThere("workspace")
    values: dict[str, Any] = {
        name: row[name] for name in ("timezone", "default_country", "send_window", "frequency_caps", "budget")
    }
    return StoredSettings(
        row["id"], row["name"], row["revision"], row["created_at"], row["updated_at"], Settings.model_validate(values)
    )


def _key(row: Row) -> StoredApiKey:
    return StoredApiKey(
        row["id"],
        row["name"],
        row["hint"],
        tuple(row["scopes"]),
        tuple(row["allowed_ips"]),
        row["created_at"],
        row["revoked_at"],
    )
