"""What became of events, as it is kept: written once, read by its workspace, removed when it is old."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sluice_contracts.messages.execution import EvaluatedEvent, EventsEvaluated
from sluice_storage.database import Database, encode_json
from sluice_storage.statements import load

_END: Final = datetime.max.replace(tzinfo=UTC)
_LAST: Final = UUID(int=2**128 - 1)
_sql = load("status_api", "events.sql")


class EventOutcome(StrEnum):
    """What became of an event as a whole."""

    TRIGGERED = "triggered"
    AWAITED = "awaited"
    REFUSED = "refused"
    UNMATCHED = "unmatched"


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events are wanted; accepted from `since` up to but not at `until`."""

    name: str | None = None
    outcome: EventOutcome | None = None
    external_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class EventPlace:
    """Where a page begins: behind this event, the newest first."""

    accepted_at: datetime = _END
    event_id: UUID = _LAST


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event with what each rule made of it; None stands for what is not known, see `handlers.unheard`."""

    event_id: UUID
    name: str
    external_id: str | None
    source: str | None
    occurred_at: datetime | None
    accepted_at: datetime
    evaluated_at: datetime | None
    outcome: str
    waits: int | None
    rules: list[dict[str, Any]]


def outcome_of(event: EvaluatedEvent) -> EventOutcome:
    """Return what became of an event as a whole."""
    if any(rule.trigger_id is not None for rule in event.rules):
        return EventOutcome.TRIGGERED
    if event.waits:
        return EventOutcome.AWAITED
    return EventOutcome.REFUSED if event.rules else EventOutcome.UNMATCHED


class EventStore:
    """The table `events` of the schema `status`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, evaluations: Sequence[EventsEvaluated]) -> None:
        """Write evaluations; an event that is there already stays as it is."""
        rows = {
            event.event_id: (
                event.event_id,
                message.workspace_id,
                event.name,
                event.external_id,
                event.source,
                event.occurred_at,
                event.accepted_at,
                message.at,
                outcome_of(event),
                event.waits,
                encode_json([rule.model_dump(mode="json") for rule in event.rules]),
            )
            for message in evaluations
            for event in message.events
        }
        if rows:
            async with self._database.connection() as connection:
                await connection.execute(_sql.add_events, *map(list, zip(*rows.values(), strict=True)))

    async def event(self, workspace_id: UUID, event_id: UUID) -> EventRow | None:
        """Return one event of a workspace."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_sql.event, workspace_id, event_id)
        return None if row is None else EventRow(**dict(row))

    async def events(self, workspace_id: UUID, chosen: EventFilter, after: EventPlace, limit: int) -> list[EventRow]:
        """Return the next `limit` events behind `after`, the newest first."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                _sql.events,
                workspace_id,
                after.accepted_at,
                after.event_id,
                chosen.name,
                chosen.outcome,
                chosen.external_id,
                chosen.since,
                chosen.until,
                limit,
            )
        return [EventRow(**dict(row)) for row in rows]

    async def started(
        self, workspace_id: UUID, trigger_ids: Collection[UUID], since: datetime, until: datetime
    ) -> dict[UUID, datetime]:
        """Return those of some triggers that were accepted from `since` up to `until`, and when each was."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_sql.started, workspace_id, list(trigger_ids), since, until)
        return {row["trigger_id"]: row["accepted_at"] for row in rows}

    async def forget(self, before: datetime, limit: int) -> int:
        """Remove up to `limit` events accepted before `before`, the oldest first; return how many."""
        async with self._database.connection() as connection:
            done = await connection.execute(_sql.drop_events, before, limit)
        return int(done.rpartition(" ")[2])
