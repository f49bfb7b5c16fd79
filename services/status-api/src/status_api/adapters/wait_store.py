"""The tables of waits: folded by the projection, read with the trigger that they belong to."""

from __future__ import annotations

import asyncio
from typing import Final
from uuid import UUID

from sluice_storage.database import Connection, Database
from sluice_storage.statements import load
from status_api.adapters.status_store import READ_SECONDS
from status_api.domain.waits import PersonsWait, WaitFacts, WaitStep

_sql: Final = load("status_api", "waits.sql")


async def write_waits(connection: Connection, facts: WaitFacts) -> dict[UUID, UUID]:
    """Join what was said of waits; return the triggers that changed, each with its workspace."""
    changed: dict[UUID, UUID] = {}
    if facts.steps:
        rows = await connection.fetch(_sql.fold_wait_steps, *map(list, zip(*facts.steps, strict=True)))
        changed |= {row["trigger_id"]: row["workspace_id"] for row in rows}
    if facts.waits:
        workspaces = (list(facts.workspaces), list(facts.workspaces.values()))
        rows = await connection.fetch(_sql.fold_waits, *map(list, zip(*facts.waits, strict=True)), *workspaces)
        changed |= {row["trigger_id"]: row["workspace_id"] for row in rows}
    return changed


class WaitStore:
    """Raises TimeoutError when the database does not answer within three seconds."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def steps(self, workspace_id: UUID, trigger_id: UUID) -> list[WaitStep]:
        """Return the steps of a trigger in which people wait, in order."""
        async with asyncio.timeout(READ_SECONDS), self._database.connection() as connection:
            rows = await connection.fetch(_sql.wait_steps, trigger_id, workspace_id)
        return [WaitStep(**row) for row in rows]

    async def of_person(self, workspace_id: UUID, trigger_id: UUID, external_id: str) -> list[PersonsWait]:
        """Return the waits of one contact in a trigger, in the order of the steps."""
        async with asyncio.timeout(READ_SECONDS), self._database.connection() as connection:
            rows = await connection.fetch(_sql.waits_of_person, trigger_id, workspace_id, external_id)
        return [PersonsWait(**row) for row in rows]
