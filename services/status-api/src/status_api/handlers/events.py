"""Events: what became of each, and why."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import structlog
from aiohttp import web
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from sluice_contracts.messages.execution import EventsEvaluated
from sluice_messaging.errors import PoisonError
from sluice_messaging.records import Record
from sluice_runtime.clock import Clock
from sluice_runtime.http.operations import Call, Operation
from sluice_runtime.http.problems import not_found
from sluice_runtime.pausing import pause
from sluice_storage.errors import is_transient
from status_api.adapters.event_store import EventFilter, EventOutcome, EventPlace, EventRow, EventStore
from status_api.domain.paging import BadCursorError, pagination, read_cursor
from status_api.handlers.answers import bad_cursor, path_id, tagged_by_content
from status_api.handlers.arrivals import Arrivals
from status_api.handlers.queries import TimeRange
from status_api.handlers.triggers import STATUS_SCOPE
from status_api.handlers.unheard import UnheardEvents

_FORGET_SECONDS: Final = 600.0
_FORGET_BATCH: Final = 1000
_PLACE: Final = TypeAdapter(tuple[datetime, UUID])
_log = structlog.get_logger()


class EventsQuery(TimeRange):
    """Which events: by name, by what became of them, by contact, accepted from `from` up to but not at `to`."""

    event: str | None = Field(default=None, max_length=100)
    outcome: EventOutcome | None = None
    contact_external_id: str | None = Field(default=None, max_length=255)


class RuleAnswer(BaseModel):
    """What a rule made of an event: a trigger, or none for the reason given."""

    rule_id: UUID
    rule_name: str
    trigger_id: UUID | None
    code: str | None
    detail: str | None


class EventAnswer(BaseModel):
    """An event. `triggered`: a workflow was started; `awaited`: a run that waited for it went on; `refused`: rules
    are there for it and none started its workflow; `unmatched`: nobody is there for it. `waits` counts runs.

    Where the word of what became of it was lost, only the triggers that it started tell of it: `evaluated_at` is null,
    and so is what they do not know.
    """

    event_id: UUID
    event: str
    contact_external_id: str | None
    source: str | None
    occurred_at: datetime | None
    accepted_at: datetime
    evaluated_at: datetime | None
    outcome: EventOutcome
    waits: int | None
    rules: list[RuleAnswer]


class EventPage(BaseModel):
    """Some events, the newest first."""

    data: list[EventAnswer]
    pagination: dict[str, Any]


class EventReads:
    """`GET /api/v1/events` and `GET /api/v1/events/{event_id}`."""

    def __init__(self, store: EventStore, unheard: UnheardEvents, arrivals: Arrivals) -> None:
        self._store = store
        self._unheard = unheard
        self._arrivals = arrivals

    def operations(self) -> list[Operation]:
        """Return the operations for `add_operations`."""
        return [
            Operation(
                "GET",
                "/api/v1/events",
                "list_events",
                "Events and what became of them, the newest first",
                "Events",
                self.page,
                STATUS_SCOPE,
                query=EventsQuery,
                answers={200: EventPage, 304: None},
            ),
            Operation(
                "GET",
                "/api/v1/events/{event_id}",
                "get_event",
                "What became of an event, and why",
                "Events",
                self.event,
                STATUS_SCOPE,
                answers={200: EventAnswer, 304: None},
            ),
        ]

    async def event(self, call: Call) -> web.Response:
        """Answer one event; one that was accepted a moment ago is waited for."""
        event_id, workspace_id = path_id(call, "event_id", "event"), call.principal.workspace_id
        found = await self._arrivals.wait_for(
            (workspace_id, event_id), lambda: self._store.event(workspace_id, event_id)
        )
        if found is None:
            found = await self._unheard.find(workspace_id, event_id)
        if found is None:
            raise not_found("event")
        return tagged_by_content(call, _shown(found))

    async def page(self, call: Call) -> web.Response:
        """Answer one page."""
        query: EventsQuery = call.query
        chosen = EventFilter(query.event, query.outcome, query.contact_external_id, query.since, query.until)
        found = await self._store.events(call.principal.workspace_id, chosen, _place(query.cursor), query.limit + 1)
        shown = found[: query.limit]
        following = [shown[-1].accepted_at, str(shown[-1].event_id)] if len(found) > query.limit else None
        body = {"data": [_shown(event) for event in shown], "pagination": pagination(query.limit, following)}
        return tagged_by_content(call, body)


class EventProjector:
    """Writes what became of events down; every other message of the topic is passed over."""

    def __init__(self, store: EventStore, announce: Callable[[], None]) -> None:
        self._store = store
        self._announce = announce

    async def __call__(self, records: Sequence[Record]) -> None:
        """Handle one batch of the topic `executions`. Raises PoisonError for a record that cannot be read."""
        told = [_read(record) for record in records if record.message_type == EventsEvaluated.TYPE]
        if told:
            await self._store.add(told)
            self._announce()


class EventForgetter:
    """Removes events that are older than the retention."""

    def __init__(self, store: EventStore, clock: Clock, retention: timedelta) -> None:
        self._store = store
        self._clock = clock
        self._retention = retention

    async def run(self, stop: asyncio.Event) -> None:
        """Remove old events until `stop` is set. Fits `Service.loops`."""
        while not stop.is_set():
            try:
                forgotten = await self._store.forget(self._clock.now() - self._retention, _FORGET_BATCH)
            except Exception as error:
                if not is_transient(error):
                    raise
                _log.warning("events.not_forgotten", error=type(error).__name__)
                forgotten = 0
            if forgotten < _FORGET_BATCH:
                await pause(_FORGET_SECONDS, stop)


def _read(record: Record) -> EventsEvaluated:
    try:
        return EventsEvaluated.decode(record.value.replace(b"\\u0000", b"\\ufffd"))
    except ValidationError as error:
        raise PoisonError(f"not {EventsEvaluated.TYPE}: {error.error_count()} fields are wrong") from error


def _shown(event: EventRow) -> dict[str, Any]:
    return {
        "event_id": event.event_id,
        "event": event.name,
        "contact_external_id": event.external_id,
        "source": event.source,
        "occurred_at": event.occurred_at,
        "accepted_at": event.accepted_at,
        "evaluated_at": event.evaluated_at,
        "outcome": event.outcome,
        "waits": event.waits,
        "rules": event.rules,
    }


def _place(cursor: str | None) -> EventPlace:
    if cursor is None:
        return EventPlace()
    try:
        place = EventPlace(*read_cursor(cursor, _PLACE))
    except BadCursorError as error:
        raise bad_cursor() from error
    if place.accepted_at.tzinfo is None:
        raise bad_cursor()
    return place
