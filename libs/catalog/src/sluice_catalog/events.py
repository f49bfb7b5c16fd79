"""What the catalog knows of events: the rules that answer them, who listens, and the changes of contacts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sluice_catalog.models import TriggerRule, VariableMapping, WorkflowReference
from sluice_catalog.rows import Row
from sluice_contracts.vocabulary import Category
from sluice_storage import statements
from sluice_storage.database import Connection, Database

EventKey = tuple[UUID, str]
"""(workspace, name of an event)."""

_MOST_CHANGES: Final = 200
_statements = statements.load("sluice_catalog", "events.sql")


@dataclass(frozen=True, slots=True)
class ContactChange:
    """A contact as it was (None: not there) and as it is after one statement; both as JSON values by column."""

    sequence: int
    workspace_id: UUID
    contact_id: UUID
    former: Mapping[str, Any] | None
    present: Mapping[str, Any]
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class SegmentFilter:
    """A segment as its membership is decided."""

    segment_id: UUID
    workspace_id: UUID
    key: str
    name: str
    filter: str


@dataclass(frozen=True, slots=True)
class NamedRule:
    """A trigger rule as people know it, and the name of the events that it answers."""

    rule_id: UUID
    name: str
    event: str


async def named_rules(database: Database, workspace_id: UUID) -> list[NamedRule]:
    """Return all rules of a workspace, whether they are active or not, the oldest first."""
    async with database.connection() as connection:
        rows = await connection.fetch(_statements.named_rules, workspace_id)
    return [NamedRule(row["id"], row["name"], row["event"]) for row in rows]


async def rules_for(database: Database, events: Collection[EventKey]) -> dict[EventKey, list[TriggerRule]]:
    """Return the active rules of each event, oldest first, as they are at this moment."""
    found: defaultdict[EventKey, list[TriggerRule]] = defaultdict(list)
    async with database.connection() as connection:
        for row in await connection.fetch(_statements.rules_for, *_columns(events)):
            found[row["workspace_id"], row["event"]].append(_rule(row))
    return found


async def listened_for(database: Database, events: Collection[EventKey]) -> set[EventKey]:
    """Return those events that a rule answers or a workflow waits for."""
    async with database.connection() as connection:
        rows = await connection.fetch(_statements.listened_for, *_columns(events))
    return {(row["workspace_id"], row["event"]) for row in rows}


async def waited_for(database: Database, events: Collection[EventKey]) -> dict[EventKey, set[str]]:
    """Return those events that steps of workflows wait for, each with its correlations (see `WaitStep`)."""
    found: defaultdict[EventKey, set[str]] = defaultdict(set)
    async with database.connection() as connection:
        for row in await connection.fetch(_statements.waited_for, *_columns(events)):
            found[row["workspace_id"], row["event"]].add(row["correlation"])
    return found


class Changes:
    """Some changes in hand: nobody else has them until the transaction ends."""

    def __init__(self, connection: Connection, changes: Sequence[ContactChange]) -> None:
        self._connection = connection
        self.changes = changes

    async def segments(self, workspaces: Collection[UUID]) -> list[SegmentFilter]:
        """Return the segments of workspaces."""
        rows = await self._connection.fetch(_statements.segments_of, list(workspaces))
        return [SegmentFilter(row["id"], row["workspace_id"], row["key"], row["name"], row["filter"]) for row in rows]

    async def done(self) -> None:
        """Forget these changes: they have become events."""
        await self._connection.execute(_statements.drop_changes, [change.sequence for change in self.changes])


@asynccontextmanager
async def contact_changes(database: Database) -> AsyncIterator[Changes]:
    """Take the oldest changes in hand, none while another process has some; those of which nobody says `done` stay."""
    async with database.transaction() as connection:
        mine = await connection.fetchval(_statements.lock_changes)
        rows = await connection.fetch(_statements.take_changes, _MOST_CHANGES) if mine else []
        yield Changes(connection, [ContactChange(**dict(row)) for row in rows])


def _columns(events: Collection[EventKey]) -> tuple[list[UUID], list[str]]:
    wanted = list(events)
    return [workspace_id for workspace_id, _ in wanted], [name for _, name in wanted]


def _rule(row: Row) -> TriggerRule:
    definition = row["definition"]
    workflow = None
    if row["workflow_id"] is not None:
        workflow = WorkflowReference(
            row["workflow_id"],
            row["workflow_name"],
            row["workflow_status"],
            row["workflow_version"],
            Category(row["workflow_category"]),
        )
    return TriggerRule(
        rule_id=row["id"],
        workspace_id=row["workspace_id"],
        key=row["key"],
        name=row["name"],
        status=row["status"],
        event=row["event"],
        workflow=workflow,
        filter=definition["filter"],
        mapping=tuple(VariableMapping(**variable) for variable in definition["mapping"]),
        once_per_contact=definition["once_per_contact"],
        reentry_gap_minutes=definition["reentry_gap_minutes"],
        excluded_contacts=frozenset(definition["excluded_contacts"]),
        category=None if definition["category"] is None else Category(definition["category"]),
        campaign_name=definition["campaign_name"],
        metadata=definition["metadata"],
    )
