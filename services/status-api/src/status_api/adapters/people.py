"""Forgetting people in the projection: their jobs stay counted, and nobody can say whose they were."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from sluice_catalog.erasures import Erasure
from sluice_storage.database import Connection, Database
from sluice_storage.statements import load
from status_api.domain.rows import ERASED

AT_ONCE: Final = 500
"""Triggers or events that are gone through at a time."""

_PAUSE_SECONDS: Final = 0.02
_LAST: Final = (datetime(9999, 12, 30, tzinfo=UTC), UUID(int=(1 << 128) - 1))
_FIRST: Final = (datetime(1, 1, 2, tzinfo=UTC), UUID(int=0))

_sql = load("status_api", "erasing.sql")
_writes = load("status_api", "projection.sql")


class PeopleMemory:
    """What the tables of the schema `status` know of people. Goes through all of a workspace, a little at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def forget(self, workspace_id: UUID, erasures: Sequence[Erasure]) -> int:
        """Drop names, addresses and what providers said of them; return how many rows that were."""
        named = [(name, erasure.until) for erasure in erasures for name in erasure.names]
        gone = (workspace_id, [name for name, _ in named], [until for _, until in named])
        rows = 0
        async for trigger_ids in self._walk(_sql.triggers_before, workspace_id, _LAST):
            rows += await self._forget_jobs(gone, trigger_ids)
            rows += await self._erase(_sql.erase_waits, gone, trigger_ids)
        async for event_ids in self._walk(_sql.events_behind, workspace_id, _FIRST):
            rows += await self._erase(_sql.erase_events, gone, event_ids)
        return rows

    async def _erase(self, statement: str, gone: tuple[UUID, list[str], list[datetime]], ids: list[UUID]) -> int:
        async with self._database.connection() as connection:
            return int((await connection.execute(statement, *gone, ids)).split()[-1])

    async def _walk(
        self, statement: str, workspace_id: UUID, place: tuple[datetime, UUID]
    ) -> AsyncIterator[list[UUID]]:
        while True:
            async with self._database.connection() as connection:
                rows = await connection.fetch(statement, workspace_id, *place, AT_ONCE)
            if rows:
                yield [row[0] for row in rows]
            if len(rows) < AT_ONCE:
                return
            place = rows[-1]["accepted_at"], rows[-1][0]
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _forget_jobs(self, gone: tuple[UUID, list[str], list[datetime]], trigger_ids: list[UUID]) -> int:
        async with self._database.connection() as connection:
            jobs = await connection.fetch(_sql.jobs_of_people, *gone, trigger_ids)
        if not jobs:
            return 0
        changed = sorted({job["trigger_id"] for job in jobs})

        async def work(connection: Connection) -> None:
            positions: tuple[Any, ...] = [job["execution_id"] for job in jobs], [job["seq"] for job in jobs]
            await connection.execute(_sql.erase_jobs, *positions, ERASED)
            await connection.execute(_writes.bump_versions, changed, [gone[0]] * len(changed))

        await self._database.in_transaction(work)
        return len(jobs)
