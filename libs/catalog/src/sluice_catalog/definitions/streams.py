"""Streams: named, typed ways in, each with tokens of its own."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from ipaddress import ip_network
from typing import Annotated, Any, Final, Self
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints, field_validator, model_validator

from sluice_catalog.api_keys import NewSecret, new_secret
from sluice_catalog.definitions.problems import Fault, InvalidDefinition
from sluice_catalog.definitions.shelf import Shelf, Stored, as_id
from sluice_catalog.definitions.words import Definition, Key, Name, fault
from sluice_catalog.rows import Row
from sluice_catalog.streams import StreamStatus, StreamType
from sluice_contracts.identifiers import new_id
from sluice_contracts.vocabulary import Category
from sluice_storage import statements
from sluice_storage.database import Connection

TOKEN_PREFIX: Final = "st_live_"  # noqa: S105 - what every token begins with
TOKENS: Final = "stream_tokens"
_BEFORE_ALL: Final = UUID(int=0)
_NOTIFY: Final = "SELECT pg_notify('catalog_changed', $1)"
_SETTINGS: Final = ("category", "provider_account_id", "sender", "sandbox", "limits", "expires_after_seconds")
stream_queries: Final = statements.load("sluice_catalog", "streams.sql")


def _network(text: str) -> str:
    return str(ip_network(text.strip()))


Tag = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
Network = Annotated[
    str,
    AfterValidator(_network),
    Field(description="An address or a network, IPv4 or IPv6.", examples=["203.0.113.0/24", "2001:db8::/32"]),
]


class Limits(Definition):
    """How many events a stream takes in: at a steady rate with bursts, and on a calendar day, UTC."""

    per_second: Annotated[float, Field(gt=0, le=100_000)] | None = None
    burst: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    per_day: Annotated[int, Field(ge=1, le=10**12)] | None = None

    @model_validator(mode="after")
    def _burst_goes_with_a_rate(self) -> Self:
        if self.burst is not None and self.per_second is None:
            raise fault(("burst",), "goes with per_second")
        return self


class StreamDefinition(Definition):
    """A stream. What comes in runs its workflow or sends its template; a draft and a disabled one take nothing in."""

    key: Key | None = None
    name: Name
    type: StreamType
    status: StreamStatus = "draft"
    tags: list[Tag] = Field(default_factory=list, max_length=50)
    workflow_id: Annotated[
        str | None, Field(max_length=255, description="The workflow that each event starts: its id, key or name.")
    ] = None
    template_key: Annotated[
        str | None, Field(max_length=100, description="The template that each event sends, instead of a workflow.")
    ] = None
    category: Annotated[
        Category | None, Field(description="For types two_way and whatsapp; the others have that of their type.")
    ] = None
    provider_account_id: Annotated[
        UUID | None, Field(description="The provider account to send through instead of the channel's default.")
    ] = None
    sender: Annotated[
        Annotated[str, StringConstraints(pattern=r"^[ -~]{1,64}$")] | None,
        Field(description="Whom an SMS is from where the request does not say: a number or a name."),
    ] = None
    sandbox: Annotated[bool, Field(description="Send through the sandbox: nothing leaves the installation.")] = False
    allowed_ips: list[Network] = Field(default_factory=list, max_length=100)
    limits: Limits = Limits()
    expires_after_seconds: Annotated[
        Annotated[int, Field(ge=1, le=30 * 86_400)] | None,
        Field(description="What is not sent by then is filtered out; 300 for type otp where nothing is said."),
    ] = None

    @field_validator("tags")
    @classmethod
    def _each_once(cls, tags: list[str]) -> list[str]:
        return list(dict.fromkeys(tags))

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if self.workflow_id is not None and self.template_key is not None:
            raise fault(("template_key",), "does not go with workflow_id")
        if self.workflow_id is not None and self.provider_account_id is not None:
            raise fault(
                ("provider_account_id",), "does not go with workflow_id, whose steps have channels of their own"
            )
        if self.category not in {None, self.type.category} and self.type.settles_category:
            raise fault(("category",), f"is {self.type.category} for the type {self.type}")
        return self


@dataclass(frozen=True, slots=True)
class StoredToken:
    """A token as it is listed: no secret. `hint` is how its secret begins and ends."""

    id: UUID
    hint: str
    created_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class StreamFilter:
    """Which streams to list. `sending` are those of which something is on its way, of `among_sending` asked for."""

    name: str | None = None
    tag: str | None = None
    status: StreamStatus | None = None
    sending: Sequence[UUID] = ()
    among_sending: bool | None = None


class Streams(Shelf[StreamDefinition]):
    """The streams of all workspaces."""

    table = "streams"
    affects = (TOKENS, "stream_events")
    noun = "stream"

    async def open(self, workspace_id: UUID, content: StreamDefinition) -> tuple[Stored[StreamDefinition], NewSecret]:
        """Write a new stream with its first token; the token's secret is here and nowhere else. Raises as `create`."""
        now = self._clock.now()
        async with self._database.transaction() as connection:
            columns = await self._columns(connection, workspace_id, content, None)
            row = await self._write(connection, "insert", new_id(now.timestamp()), workspace_id, now, *columns)
            stored = self._stored(row)
            secret = await self._add_token(connection, stored, now)
            stored = await self._settle(connection, stored, now)
            return (await self._with_tokens(connection, [stored]))[0], secret

    async def filtered(
        self, workspace_id: UUID, wanted: StreamFilter, after: UUID | None, limit: int
    ) -> list[Stored[StreamDefinition]]:
        """Return the next `limit` streams behind `after`, oldest first."""
        async with self._database.connection() as connection:
            found = await connection.fetch(
                stream_queries.page_stream, workspace_id, after or _BEFORE_ALL, limit,
                wanted.name, wanted.tag, wanted.status, list(wanted.sending), wanted.among_sending,
            )  # fmt: skip
            return await self._with_tokens(connection, [self._stored(row) for row in found])

    async def reset_token(
        self, workspace_id: UUID, reference: str, overlap: timedelta
    ) -> tuple[Stored[StreamDefinition], NewSecret]:
        """Give a stream a new token; the ones before work for `overlap` longer. Raises NotThere."""
        now = self._clock.now()
        async with self._database.transaction() as connection:
            stored = await self._find(connection, workspace_id, reference)
            await connection.execute(stream_queries.end_tokens, stored.id, now + overlap)
            await connection.execute(stream_queries.forget_tokens, stored.id, now)
            secret = await self._add_token(connection, stored, now)
            return (await self._with_tokens(connection, [stored]))[0], secret

    async def with_tokens(self, stored: Stored[StreamDefinition]) -> Stored[StreamDefinition]:
        """Return a stream with its tokens among its facts."""
        async with self._database.connection() as connection:
            return (await self._with_tokens(connection, [stored]))[0]

    async def variables(self, stored: Stored[StreamDefinition]) -> list[str]:
        """Return the variables in what a stream sends, as root paths in order."""
        content = stored.content
        keys = [content.template_key] if content.template_key else []
        if content.workflow_id is not None:
            async with self._database.connection() as connection:
                definition = await connection.fetchval(
                    stream_queries.definition_of_workflow, stored.workspace_id, UUID(content.workflow_id)
                )
            keys += _templates_in(definition or {})
        return await self.variables_of(stored.workspace_id, keys)

    async def variables_of(self, workspace_id: UUID, template_keys: Sequence[str]) -> list[str]:
        """Return the variables in templates, as root paths in order; templates that are not there have none."""
        async with self._database.connection() as connection:
            found = await connection.fetch(stream_queries.variables_of_templates, workspace_id, list(template_keys))
        return [row["path"] for row in found]

    async def _add_token(self, connection: Connection, stored: Stored[StreamDefinition], now: datetime) -> NewSecret:
        secret = new_secret(TOKEN_PREFIX)
        await connection.execute(
            stream_queries.add_token,
            new_id(now.timestamp()), stored.id, stored.workspace_id, secret.hint, secret.sha256, now,
        )  # fmt: skip
        await connection.execute(_NOTIFY, TOKENS)
        return secret

    async def _with_tokens(
        self, connection: Connection, found: Sequence[Stored[StreamDefinition]]
    ) -> list[Stored[StreamDefinition]]:
        tokens: dict[UUID, list[StoredToken]] = {stored.id: [] for stored in found}
        for row in await connection.fetch(stream_queries.tokens_of_streams, list(tokens), self._clock.now()):
            token = StoredToken(row["id"], row["hint"], row["created_at"], row["expires_at"])
            tokens[row["stream_id"]].append(token)
        return [replace(stored, facts=stored.facts | {"tokens": tokens[stored.id]}) for stored in found]

    def _statement(self, verb: str) -> str:
        statement: str = getattr(stream_queries, f"{verb}_stream")
        return statement

    def _read(self, row: Row) -> tuple[StreamDefinition, dict[str, Any]]:
        workflow_id = row["workflow_id"]
        content = StreamDefinition.model_validate(
            {
                "key": row["key"],
                "name": row["name"],
                "type": row["type"],
                "status": row["status"],
                "tags": row["tags"],
                "workflow_id": None if workflow_id is None else str(workflow_id),
                "template_key": row["template_key"],
                "allowed_ips": row["allowed_ips"],
                **row["settings"],
            }
        )
        return content, {"last_activity": row["last_activity"]}

    async def _columns(
        self,
        connection: Connection,
        workspace_id: UUID,
        content: StreamDefinition,
        current: Stored[StreamDefinition] | None,
    ) -> tuple[Any, ...]:
        faults: list[Fault] = []
        workflow_id = None
        if content.workflow_id is not None:
            named = content.workflow_id
            workflow_id = await connection.fetchval(
                stream_queries.workflow_of_stream, workspace_id, as_id(named), named
            )
            if workflow_id is None:
                faults.append(Fault("workflow_id", f"there is no workflow {named!r}"))
        channel: str | None = content.type.channel
        if content.template_key is not None:
            channel = await connection.fetchval(stream_queries.template_of_stream, workspace_id, content.template_key)
            if channel is None:
                faults.append(Fault("template_key", f"there is no template {content.template_key!r}"))
        if content.provider_account_id is not None:
            account = await connection.fetchval(
                stream_queries.account_of_stream, workspace_id, content.provider_account_id
            )
            if account != channel:
                faults.append(Fault("provider_account_id", f"there is no such provider account for {channel}"))
        if faults:
            raise InvalidDefinition(faults)
        values = content.model_dump(mode="json")
        settings = {name: values[name] for name in _SETTINGS}
        key = content.key or (current.content.key if current else None) or f"strm_{secrets.token_hex(6)}"
        return (
            key, content.name, content.type, content.status, content.tags, workflow_id, content.template_key,
            content.allowed_ips, settings,
        )  # fmt: skip


def _templates_in(definition: dict[str, Any]) -> list[str]:
    return [step["template_key"] for step in definition.get("steps", ())] + list(
        definition.get("templates", {}).values()
    )
