"""`GET /api/v1/sandbox/messages`: what the sandbox providers got, the newest first."""

from __future__ import annotations

from heapq import merge
from itertools import islice
from typing import Annotated, Final

from aiohttp import web
from pydantic import Field, TypeAdapter

from sluice_contracts.vocabulary import Channel
from sluice_runtime.http.operations import Call, Operation
from status_api.adapters.sandbox_store import SandboxStore
from status_api.domain.paging import BadCursorError, pagination, read_cursor
from status_api.domain.presentation.job_models import SandboxPage
from status_api.domain.presentation.sandbox import SandboxMessage, present_sandbox_message
from status_api.handlers.answers import bad_cursor, tagged_by_content
from status_api.handlers.queries import SandboxQuery
from status_api.handlers.triggers import STATUS_SCOPE

_LAST_ID: Final = 2**63 - 1
_PLACES: Final = TypeAdapter(dict[Channel, Annotated[int, Field(ge=0, le=_LAST_ID, strict=True)]])


class SandboxReads:
    """Pages of messages over all channels. A cursor holds, for each channel, the last message that was shown."""

    def __init__(self, store: SandboxStore) -> None:
        self._store = store

    def operations(self) -> list[Operation]:
        """Return the operations for `add_operations`."""
        return [
            Operation(
                "GET",
                "/api/v1/sandbox/messages",
                "list_sandbox_messages",
                "What the sandbox got",
                "Sandbox",
                self.page,
                STATUS_SCOPE,
                query=SandboxQuery,
                answers={200: SandboxPage, 304: None},
            )
        ]

    async def page(self, call: Call) -> web.Response:
        """Answer one page."""
        query: SandboxQuery = call.query
        before = _places(query.cursor)
        found: list[list[SandboxMessage]] = []
        for channel in [query.channel] if query.channel else Channel:
            to = query.to.lower() if query.to and channel is Channel.EMAIL else query.to
            found.append(
                await self._store.messages(
                    call.principal.workspace_id,
                    channel,
                    before.get(channel, _LAST_ID),
                    to,
                    query.trigger_id,
                    query.limit + 1,
                )
            )
        # Merged and not sorted: messages kept at the same time need not have their ids in the order of their times, and
        # the next page begins behind the last id of each channel.
        merged = list(islice(merge(*found, key=lambda message: message.at, reverse=True), query.limit + 1))
        page = merged[: query.limit]
        following = None
        if len(merged) > query.limit:
            following = {channel.value: place for channel, place in before.items()}
            for message in page:
                following[message.channel.value] = min(following.get(message.channel.value, _LAST_ID), message.id)
        body = {
            "messages": [present_sandbox_message(message) for message in page],
            "pagination": pagination(query.limit, following),
        }
        return tagged_by_content(call, body)


def _places(cursor: str | None) -> dict[Channel, int]:
    if cursor is None:
        return {}
    try:
        places: dict[Channel, int] = read_cursor(cursor, _PLACES)
    except BadCursorError as error:
        raise bad_cursor() from error
    return places
