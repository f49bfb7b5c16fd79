"""`GET /api/v1/streams`, `…/{stream_id}` and `…/statistics`."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Final
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from sluice_catalog.api_keys import DEFINITIONS_WRITE
from sluice_catalog.definitions.problems import NotThere
from sluice_catalog.definitions.shelf import Stored
from sluice_catalog.definitions.stream_view import ShownStatus, StreamView, shown
from sluice_catalog.definitions.streams import StreamDefinition, StreamFilter, Streams
from sluice_catalog.stream_counts import StreamCounts
from sluice_runtime.clock import Clock
from sluice_runtime.http.bodies import json_response
from sluice_runtime.http.operations import Call, Operation
from sluice_runtime.http.problems import invalid, not_found
from status_api.adapters.stream_traffic import StreamTraffic
from status_api.domain.paging import BadCursorError, pagination, read_cursor
from status_api.doors.streams.statistics import StatisticsView, present
from status_api.handlers.answers import bad_cursor, tagged_by_content
from status_api.handlers.queries import Page
from status_api.handlers.triggers import STATUS_SCOPE

TAG: Final = "Streams"
PATH: Final = "/api/v1/streams"
LONGEST: Final = timedelta(days=366)
_DEFAULT: Final = timedelta(days=29)
_PLACE: Final = TypeAdapter(UUID)


class StreamsQuery(Page):
    """Which streams: whose name holds a text, in either case; at a status; with a tag."""

    name: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    status: ShownStatus | None = None
    tag: Annotated[str, Field(min_length=1, max_length=100)] | None = None


class StatisticsQuery(BaseModel):
    """From which day to which, both included, UTC; the last thirty days where nothing is said."""

    model_config = ConfigDict(extra="forbid")

    first: date | None = Field(default=None, alias="from")
    last: date | None = Field(default=None, alias="to")


class StreamsPagination(BaseModel):
    """Where a page ends and whether another follows."""

    limit: int
    has_more: bool
    next_cursor: str | None


class StreamsPage(BaseModel):
    """Some streams, oldest first."""

    data: list[StreamView]
    pagination: StreamsPagination


class StreamReads:
    """Streams with what is on their way, and in numbers."""

    def __init__(self, streams: Streams, counts: StreamCounts, traffic: StreamTraffic, clock: Clock) -> None:
        self._streams = streams
        self._counts = counts
        self._traffic = traffic
        self._clock = clock

    def operations(self) -> list[Operation]:
        """Return the operations for `add_operations`."""
        one = f"{PATH}/{{stream_id}}"
        return [
            Operation(
                "GET", PATH, "list_streams", "Streams by name, status and tag", TAG, self._list, DEFINITIONS_WRITE,
                query=StreamsQuery, answers={200: StreamsPage, 304: None},
            ),
            Operation(
                "GET", one, "get_stream", "Get a stream", TAG, self._get, DEFINITIONS_WRITE, answers={200: StreamView},
            ),
            Operation(
                "GET", f"{one}/statistics", "get_stream_statistics", "A stream in numbers", TAG, self._statistics,
                STATUS_SCOPE, query=StatisticsQuery, answers={200: StatisticsView, 304: None},
            ),
        ]  # fmt: skip

    async def _list(self, call: Call) -> web.Response:
        query: StreamsQuery = call.query
        workspace_id = call.principal.workspace_id
        sending = await self._traffic.sending(workspace_id)
        found = await self._streams.filtered(
            workspace_id, _filter(query, sending), _place(query.cursor), query.limit + 1
        )
        page = found[: query.limit]
        following = str(page[-1].id) if len(found) > query.limit else None
        data = [shown(stored, sending=stored.id in sending) for stored in page]
        return tagged_by_content(call, {"data": data, "pagination": pagination(query.limit, following)})

    async def _get(self, call: Call) -> web.Response:
        stored = await self._find(call)
        sending = await self._traffic.sending(call.principal.workspace_id)
        body = shown(await self._streams.with_tokens(stored), sending=stored.id in sending)
        return json_response(body, headers={"ETag": f'"{stored.revision}"'})

    async def _statistics(self, call: Call) -> web.Response:
        first, last = days_asked(call.query, self._clock.now().astimezone(UTC).date())
        stored = await self._find(call)
        accepted = await self._counts.days(stored.id, first, last)
        refusals = await self._counts.refusals(stored.id, first, last)
        messages = await self._traffic.messages(
            call.principal.workspace_id, stored.id, _midnight(first), _midnight(last) + timedelta(days=1)
        )
        last_activity = stored.facts["last_activity"]
        body = present(stored.id, (first, last), accepted, refusals, messages, last_activity)
        return tagged_by_content(call, body)

    async def _find(self, call: Call) -> Stored[StreamDefinition]:
        try:
            return await self._streams.get(call.principal.workspace_id, call.request.match_info["stream_id"])
        except NotThere as missing:
            raise not_found(missing.noun) from missing


def _filter(query: StreamsQuery, sending: set[UUID]) -> StreamFilter:
    wanted: dict[str, Any] = {"name": query.name, "tag": query.tag}
    match query.status:
        case "sending":
            wanted |= {"status": "ready", "sending": list(sending), "among_sending": True}
        case "ready":
            wanted |= {"status": "ready", "sending": list(sending), "among_sending": False}
        case status:
            wanted |= {"status": status}
    return StreamFilter(**wanted)


def _place(cursor: str | None) -> UUID | None:
    if cursor is None:
        return None
    try:
        place: UUID = read_cursor(cursor, _PLACE)
    except BadCursorError as error:
        raise bad_cursor() from error
    return place


def days_asked(query: StatisticsQuery, today: date) -> tuple[date, date]:
    """Return the first and the last day that a query asks for.

    Raises Problem 422.
    """
    last = query.last or today
    first = query.first or max(date.min + _DEFAULT, last) - _DEFAULT
    if last.year < 1970 or last.year > 9998:
        raise invalid([{"field": "to", "message": "must be a day between 1970 and 9998"}])
    if first > last or last - first > LONGEST:
        raise invalid([{"field": "from", "message": f"must be at most {LONGEST.days} days before `to`"}])
    return first, last


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
