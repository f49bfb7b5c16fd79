"""Which executions stand still, and what is known of their pages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sluice_contracts.identifiers import PAGE_SIZE
from sluice_contracts.vocabulary import Channel, Lane
from sluice_storage.database import Connection, Database
from sluice_storage.statements import load
from status_api.domain.standstill import Known, Standstill, known

_sql: Final = load("status_api", "standstill.sql")


class StandstillStore:
    """Reads the projection. One copy of the service looks at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, before: datetime, without: Sequence[UUID], limit: int) -> list[Standstill]:
        """Return up to `limit` of each kind of which nothing was heard since `before`, but those of `without`."""

        async def work(connection: Connection) -> list[Standstill]:
            if not await connection.fetchval(_sql.elect):
                return []
            rows = [
                row
                for question in (
                    _sql.standing_still,
                    _sql.never_started,
                    _sql.started_unheard,
                    _sql.never_planned,
                    _sql.nameless,
                )
                for row in await connection.fetch(question, before, without, limit)
            ]
            lanes = await connection.fetch(_sql.lanes, list({row["trigger_id"] for row in rows}))
            by_trigger = {row["trigger_id"]: Lane(row["lane"]) for row in lanes}
            found = [_standstill(row, by_trigger.get(row["trigger_id"])) for row in rows]
            return list({each.key: each for each in found}.values())

        return await self._database.in_transaction(work)

    async def pages(self, standstill: Standstill, now: datetime) -> list[Known] | None:
        """Return what is known of an execution's pages; None where all that is open waits for a moment to come."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_sql.pages, standstill.execution_id, int(now.timestamp() * 1000), PAGE_SIZE)
        if standstill.open is not None and sum(row["waiting"] for row in rows) >= standstill.open:
            return None
        return known({row["page"]: row["ended"] for row in rows})


def _standstill(row: Any, lane: Lane | None) -> Standstill:
    channel = row["channel"] and Channel(row["channel"])
    return Standstill(row["execution_id"], row["trigger_id"], row["workspace_id"], channel, lane, row["open"])
