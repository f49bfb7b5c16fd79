"""Triggers in Pocketflows' words, as they were said. What they do is a workflow and a trigger rule of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from sluice_catalog.definitions.problems import NotThere, OutdatedRevision
from sluice_catalog.definitions.shelf import as_id
from sluice_catalog.rows import Row
from sluice_contracts.identifiers import new_id
from sluice_runtime.clock import Clock
from sluice_storage import statements
from sluice_storage.database import Database

Status = Literal["draft", "active", "inactive"]
NOUN: Final = "trigger"
_BEFORE_ALL: Final = UUID(int=0)
_statements = statements.load("sluice_catalog", "pocketflows.sql")


@dataclass(frozen=True, slots=True)
class PocketflowsTrigger:
    """One trigger. `business` is a tenant's key, None for the workspace; `document` is what its author said."""

    id: UUID
    workspace_id: UUID
    business: str | None
    status: Status
    workflow_id: UUID | None
    document: Mapping[str, Any]
    revision: int
    created_at: datetime
    updated_at: datetime


class PocketflowsTriggers:
    """The triggers of all workspaces."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def create(self, workspace_id: UUID, business: str | None, document: Mapping[str, Any]) -> PocketflowsTrigger:
        """Write a new trigger, a draft."""
        now = self._clock.now()
        arguments = (new_id(now.timestamp()), workspace_id, now, business, "draft", None, document)
        async with self._database.connection() as connection:
            (row,) = await connection.fetch(_statements.insert_trigger, *arguments)
        return _trigger(row)

    async def get(self, workspace_id: UUID, reference: str) -> PocketflowsTrigger:
        """Return a trigger by its id. Raises NotThere."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_statements.find_trigger, workspace_id, as_id(reference))
        if row is None:
            raise NotThere(NOUN)
        return _trigger(row)

    async def of_business(
        self, workspace_id: UUID, business: str | None, after: UUID | None, limit: int
    ) -> Sequence[PocketflowsTrigger]:
        """Return the next `limit` triggers of a business behind `after`, oldest first."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                _statements.page_of_business, workspace_id, business, after or _BEFORE_ALL, limit
            )
        return [_trigger(row) for row in rows]

    async def replace(
        self, current: PocketflowsTrigger, status: Status, workflow_id: UUID | None, document: Mapping[str, Any]
    ) -> PocketflowsTrigger:
        """Write what `current` has become. Raises OutdatedRevision where it has changed meanwhile."""
        arguments = (current.id, current.revision, self._clock.now(), status, workflow_id, document)
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_statements.update_trigger, *arguments)
        if row is None:
            raise OutdatedRevision(current.revision + 1)
        return _trigger(row)


def _trigger(row: Row) -> PocketflowsTrigger:
    return PocketflowsTrigger(
        id=row["id"],
        workspace_id=row["workspace_id"],
        business=row["business"],
        status=row["status"],
        workflow_id=row["workflow_id"],
        document=row["document"],
        revision=row["revision"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
