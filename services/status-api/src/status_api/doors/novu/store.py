"""The tables of the schema `status` as Novu's door sees them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

import orjson

from sluice_contracts.novu import Place
from sluice_storage.database import Connection, Database
from sluice_storage.statements import load
from status_api.adapters.rows import job_row
from status_api.adapters.status_store import READ_SECONDS
from status_api.domain.rows import JobRow

EVERY_JOB: Final = -1
METADATA: Final = "novu"
_sql = load("status_api", "novu.sql")


@dataclass(frozen=True, slots=True)
class Hidden:
    """How many messages of an execution are not listed any more, and whether none is."""

    some: int
    whole: bool


@dataclass(frozen=True, slots=True)
class Day:
    """How many messages the triggers of one day have sent, and on which channels."""

    day: date
    sent: int
    channels: tuple[str, ...]


class NovuStore:
    """Reads, and the one note of what is hidden. Raises TimeoutError where the database takes longer than 3 s."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def metadata(self, workspace_id: UUID, trigger_ids: Sequence[UUID]) -> dict[UUID, dict[str, Any]]:
        """Return what this door noted with each trigger; nothing of those that came in elsewhere."""
        async with self._connection() as connection:
            rows = await connection.fetch(_sql.metadata, list(trigger_ids), workspace_id)
        found = {}
        for row in rows:
            noted = orjson.loads(row["metadata"] or "{}").get(METADATA)
            found[row["trigger_id"]] = noted if isinstance(noted, dict) else {}
        return found

    async def execution_at(self, workspace_id: UUID, place: Place) -> tuple[UUID, UUID] | None:
        """Return the execution that a place lies in, and its trigger."""
        async with self._connection() as connection:
            row = await connection.fetchrow(_sql.execution_between, place.least, place.greatest, workspace_id)
        return None if row is None else (row["execution_id"], row["trigger_id"])

    async def messages(
        self, execution_ids: Sequence[UUID], person: str | None, offset: int, limit: int
    ) -> list[JobRow]:
        """Return messages of executions, in the order of these and the newest first, that are not hidden."""
        async with self._connection() as connection:
            if person is None:
                rows = await connection.fetch(_sql.messages, list(execution_ids), offset, limit)
            else:
                rows = await connection.fetch(_sql.messages_of_person, list(execution_ids), offset, limit, person)
        return [job_row(row) for row in rows]

    async def message_at(self, execution_id: UUID, seq: int) -> JobRow | None:
        """Return one message that is not hidden."""
        async with self._connection() as connection:
            row = await connection.fetchrow(_sql.message_at, execution_id, seq)
        return None if row is None else job_row(row)

    async def hidden(self, execution_ids: Sequence[UUID]) -> dict[UUID, Hidden]:
        """Return what is hidden of executions of which anything is."""
        async with self._connection() as connection:
            rows = await connection.fetch(_sql.count_hidden, list(execution_ids))
        return {row["execution_id"]: Hidden(row["some"], row["whole"]) for row in rows}

    async def hide(self, execution_ids: Sequence[UUID], seq: int = EVERY_JOB) -> None:
        """List a message, or all of some executions, no more."""
        async with self._connection() as connection:
            await connection.execute(_sql.hide, list(execution_ids), seq)

    async def positions(
        self, execution_ids: Sequence[UUID], people: Sequence[str] | None, offset: int, limit: int
    ) -> list[int]:
        """Return the positions of a trigger's contacts from the `offset`th on, in order."""
        async with self._connection() as connection:
            if people is None:
                rows = await connection.fetch(_sql.positions, list(execution_ids), offset, limit)
            else:
                wanted = list(people)
                rows = await connection.fetch(_sql.positions_of_people, list(execution_ids), offset, limit, wanted)
        return [row["seq"] for row in rows]

    async def jobs_at(self, execution_ids: Sequence[UUID], seqs: Sequence[int]) -> list[JobRow]:
        """Return the jobs at these positions of these executions."""
        async with self._connection() as connection:
            return [job_row(row) for row in await connection.fetch(_sql.jobs_at, list(execution_ids), list(seqs))]

    async def days(self, workspace_id: UUID, since: datetime) -> list[Day]:
        """Return the days since `since` whose triggers have sent anything, in order."""
        async with self._connection() as connection:
            rows = await connection.fetch(_sql.sent_by_day, workspace_id, since)
        return [Day(row["day"], row["sent"], tuple(row["channels"])) for row in rows]

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        async with asyncio.timeout(READ_SECONDS), self._database.connection() as connection:
            yield connection
