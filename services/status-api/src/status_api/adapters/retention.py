"""Removing triggers that were shown for long enough, so that readers see each one whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sluice_storage.database import Connection, Database
from sluice_storage.statements import load

EXECUTIONS_AT_ONCE: Final = 200
ROWS_AT_ONCE: Final = 2_000
"""Rows of one table that are removed in one transaction."""

_sql = load("status_api", "retention.sql")
_REMOVALS: Final = (
    _sql.remove_jobs,
    _sql.remove_unsent,
    _sql.remove_reasons,
    _sql.remove_deadlines,
    _sql.remove_hidden,
)


class Retention:
    """The tables of the schema `status` as the one who clears them sees them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def workspaces(self) -> list[UUID]:
        """Return every workspace that has triggers."""
        async with self._database.connection() as connection:
            return [row["workspace_id"] for row in await connection.fetch(_sql.workspaces)]

    async def expire(self, trigger_ids: Sequence[UUID]) -> None:
        """Have triggers vanish, with their executions and counters; `remove` takes the rest away."""
        async with self._database.connection() as connection:
            await connection.execute(_sql.expire, sorted(trigger_ids))

    async def remove(self) -> int:
        """Remove some rows of what has vanished; return how many rows that were, 0 when none are left."""
        return await self._database.in_transaction(_remove)


async def _remove(connection: Connection) -> int:
    taken = [row["execution_id"] for row in await connection.fetch(_sql.take_expired, EXECUTIONS_AT_ONCE)]
    if not taken:
        return 0
    rows = 0
    whole = True
    for statement in _REMOVALS:
        removed = int((await connection.execute(statement, taken, ROWS_AT_ONCE)).split()[-1])
        rows += removed
        whole = whole and removed < ROWS_AT_ONCE
    if whole:
        rows += int((await connection.execute(_sql.removed, taken)).split()[-1])
    return rows
