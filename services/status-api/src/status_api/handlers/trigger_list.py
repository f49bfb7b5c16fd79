"""`GET /api/v1/triggers`: the triggers of a workspace, the newest first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from aiohttp import web
from pydantic import TypeAdapter

from sluice_runtime.http.operations import Call, Operation
from status_api.adapters.status_store import StatusStore, TriggerFilter, TriggerPlace
from status_api.domain.overview import Overview, overview
from status_api.domain.paging import BadCursorError, pagination, read_cursor
from status_api.domain.presentation.models import TriggerPage
from status_api.domain.presentation.trigger import present_trigger
from status_api.handlers.answers import bad_cursor, tagged_by_content
from status_api.handlers.queries import MOST, TriggersQuery
from status_api.handlers.triggers import STATUS_SCOPE

MOST_LOOKED_AT: Final = 2_000
"""Triggers that one request looks through for those in the status that it asks for: status is derived, not stored."""

_PLACE: Final = TypeAdapter(tuple[datetime, UUID])


class TriggerList:
    """Pages of triggers. A page that asks for a rare status may hold few triggers, or none, and still have a next."""

    def __init__(self, store: StatusStore) -> None:
        self._store = store

    def operations(self) -> list[Operation]:
        """Return the operations for `add_operations`."""
        return [
            Operation(
                "GET",
                "/api/v1/triggers",
                "list_triggers",
                "Triggers, the newest first",
                "Triggers",
                self.page,
                STATUS_SCOPE,
                query=TriggersQuery,
                answers={200: TriggerPage, 304: None},
            )
        ]

    async def page(self, call: Call) -> web.Response:
        """Answer one page."""
        query: TriggersQuery = call.query
        found, following = await self._search(call.principal.workspace_id, query, _place(query.cursor))
        place = None if following is None else [following.accepted_at, str(following.trigger_id)]
        body = {
            "triggers": [present_trigger(one) for one in found],
            "pagination": pagination(query.limit, place),
        }
        return tagged_by_content(call, body)

    async def _search(
        self, workspace_id: UUID, query: TriggersQuery, after: TriggerPlace
    ) -> tuple[list[Overview], TriggerPlace | None]:
        """Up to `query.limit` triggers, and the place behind which to go on."""
        chosen = TriggerFilter(query.since, query.until, query.flow_type, query.channel)
        size = query.limit + 1 if query.status is None else MOST
        found: list[Overview] = []
        looked_at = 0
        while looked_at < MOST_LOOKED_AT:
            candidates = await self._load(workspace_id, chosen, after, size)
            for candidate in candidates:
                if len(found) == query.limit:
                    return found, after
                after = TriggerPlace(candidate.trigger.accepted_at, candidate.trigger.trigger_id)
                if query.status is None or candidate.status is query.status:
                    found.append(candidate)
            if len(candidates) < size:
                return found, None
            looked_at += len(candidates)
        return found, after

    async def _load(
        self, workspace_id: UUID, chosen: TriggerFilter, after: TriggerPlace, size: int
    ) -> Sequence[Overview]:
        triggers = await self._store.triggers(workspace_id, chosen, after, size)
        executions = await self._store.executions(workspace_id, [trigger.trigger_id for trigger in triggers])
        return [overview(trigger, executions[trigger.trigger_id]) for trigger in triggers]


def _place(cursor: str | None) -> TriggerPlace:
    if cursor is None:
        return TriggerPlace()
    try:
        place = TriggerPlace(*read_cursor(cursor, _PLACE))
    except BadCursorError as error:
        raise bad_cursor() from error
    if place.accepted_at.tzinfo is None:
        raise bad_cursor()
    return place
