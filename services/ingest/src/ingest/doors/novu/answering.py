"""What the handlers that write and read definitions have in common: words for what goes wrong, and pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel

from ingest.definitions.answers import Handler
from ingest.doors.novu.bodies import CursorQuery, NumberedQuery
from ingest.doors.novu.people import in_their_words
from sluice_catalog.api_keys import DEFINITIONS_WRITE
from sluice_catalog.definitions.problems import InvalidDefinition, NotThere, OutdatedRevision, TakenKey
from sluice_catalog.directory import MOST_COUNTED, Span
from sluice_contracts.novu import behind, object_id
from sluice_runtime.http.bodies import json_response
from sluice_runtime.http.novu import NOVU, NovuAnswer, refused
from sluice_runtime.http.operations import Call, Operation
from sluice_runtime.http.problems import invalid

TAG: Final = "Novu"
ItemT = TypeVar("ItemT")


def operation(
    method: str, path: str, name: str, summary: str, handler: Handler, *, statuses: Sequence[int] = (200,), **more: Any
) -> Operation:
    """Return an operation on definitions of this door."""
    answers: dict[int, type[BaseModel] | None] = {status: None if status == 204 else NovuAnswer for status in statuses}
    return Operation(
        method, path, f"novu_{name}", summary, TAG, plainly(handler), DEFINITIONS_WRITE, answers=answers, door=NOVU,
        **more,
    )  # fmt: skip


def plainly(handler: Handler) -> Handler:
    """Return the handler with everything that the catalog raises turned into a problem for the caller."""

    async def handle(call: Call) -> web.StreamResponse:
        try:
            return await handler(call)
        except NotThere as problem:
            raise refused(f"{problem.noun.capitalize()} not found", 404) from problem
        except TakenKey as problem:
            raise refused(f"Another {problem.noun} has this {in_their_words(problem.field)}", 409) from problem
        except OutdatedRevision as problem:
            raise refused("It is being changed by others all the time; try again", 409) from problem
        except InvalidDefinition as problem:
            faults = [{"field": in_their_words(fault.field), "message": fault.message} for fault in problem.faults]
            raise invalid(faults) from problem  # type: ignore[arg-type]

    return handle


def span_of(query: CursorQuery) -> Span:
    """Return where the page lies that a query asks for, and one item more. Raises Problem 422 for a bad cursor."""
    ascending = query.order_direction.upper() == "ASC"
    cursor = query.before if query.before is not None else query.after
    if query.before is not None:
        ascending = not ascending
    if cursor is None:
        return Span(None, query.limit + 1, ascending)
    found = behind(cursor)
    if found is None:
        field = "before" if query.before is not None else "after"
        raise invalid([{"field": field, "message": "is not a cursor of this list"}])
    return Span(found[1] if ascending else found[0], query.limit + 1, ascending)


def cursor_page(
    found: Sequence[ItemT],
    query: CursorQuery,
    total: int,
    show: Callable[[ItemT], dict[str, Any]],
    key: Callable[[ItemT], UUID],
) -> web.Response:
    """Answer a page of what `span_of` led to: with cursors where more lies on either side."""
    shown = list(found[: query.limit])
    has_more = len(found) > query.limit
    backwards = query.before is not None
    if backwards:
        shown.reverse()
    behind_it, before_it = (query.before is not None, has_more) if backwards else (has_more, query.after is not None)
    return json_response(
        {
            "data": [show(item) for item in shown],
            "next": object_id(key(shown[-1])) if shown and behind_it else None,
            "previous": object_id(key(shown[0])) if shown and before_it else None,
            "totalCount": min(total, MOST_COUNTED),
            "totalCountCapped": total > MOST_COUNTED,
        }
    )


def numbered_page(
    found: Sequence[ItemT], query: NumberedQuery, show: Callable[[ItemT], dict[str, Any]], total: int | None = None
) -> web.Response:
    """Answer page `query.page` of a list; `found` holds one item more than a page where another follows."""
    page = {
        "page": query.page,
        "pageSize": query.size,
        "hasMore": len(found) > query.size,
        "data": [show(item) for item in found[: query.size]],
    }
    return json_response(page if total is None else {**page, "totalCount": total})
