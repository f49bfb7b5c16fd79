"""The in-app feed: there is no in-app channel here, so every feed is empty and every mark finds nothing."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from ingest.doors.novu.answering import operation
from ingest.doors.novu.bodies import Said
from sluice_runtime.http.bodies import json_response
from sluice_runtime.http.novu import enveloped
from sluice_runtime.http.operations import Call, Operation


class MarkBody(Said):
    """What is to be marked; there is nothing."""


def inbox_operations() -> list[Operation]:
    """Return the operations for `add_operations`."""
    first, second = "/v1/subscribers/{subscriberId}", "/v2/subscribers/{subscriberId}"
    return [
        operation("GET", f"{first}/notifications/feed", "get_feed", "Get an in-app feed, which is empty", _feed),
        operation("GET", f"{first}/notifications/unseen", "count_unseen", "Count unseen in-app messages", _unseen),
        operation("POST", f"{first}/messages/mark-as", "mark_messages", "Mark in-app messages", _marked,
                  statuses=(201,), body=MarkBody, aliases=(f"{first}/messages/markAs",)),
        operation("POST", f"{first}/messages/mark-all", "mark_all_messages", "Mark all in-app messages", _marked_all,
                  statuses=(201,), body=MarkBody),
        operation("GET", f"{second}/notifications", "list_inbox", "Get an inbox, which is empty", _inbox),
    ]  # fmt: skip


async def _feed(call: Call) -> web.Response:
    page: dict[str, Any] = {"page": 0, "pageSize": 10, "hasMore": False, "totalCount": 0, "data": []}
    return json_response(page)


async def _unseen(call: Call) -> web.Response:
    return enveloped({"count": 0})


async def _marked(call: Call) -> web.Response:
    return enveloped([], 201)


async def _marked_all(call: Call) -> web.Response:
    return enveloped(0, 201)


async def _inbox(call: Call) -> web.Response:
    return json_response({"data": [], "hasMore": False, "filter": {}})
