"""`POST /businesses/{id}/track`. The triggers themselves are served where their statistics are, by status-api."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from ingest.domain import naming
from ingest.doors.pocketflows.bodies import Nothing, Tracked
from ingest.doors.pocketflows.mapping import event_of
from ingest.handlers.intake import Intake
from ingest.handlers.sends import Renew
from sluice_catalog.api_keys import EVENTS_WRITE
from sluice_catalog.businesses import Business, business_of
from sluice_catalog.snapshot import CatalogSnapshot
from sluice_contracts import topics
from sluice_messaging.records import outbound
from sluice_runtime.clock import Clock
from sluice_runtime.http.bodies import json_response
from sluice_runtime.http.operations import IDEMPOTENCY_KEY, Call, Operation
from sluice_runtime.http.problems import not_found

TAG: Final = "Pocketflows"


class Tracking:
    """Takes events in. Needs no database."""

    def __init__(self, snapshot: CatalogSnapshot, renew: Renew, intake: Intake, clock: Clock) -> None:
        self._snapshot = snapshot
        self._renew = renew
        self._intake = intake
        self._clock = clock

    def operations(self) -> list[Operation]:
        """Return the operations for `add_operations`."""
        return [
            Operation(
                "POST",
                "/businesses/{id}/track",
                "pocketflows_track_event",
                "Track an event of a customer",
                TAG,
                self.track,
                EVENTS_WRITE,
                body=Tracked,
                answers={200: Nothing},
            )
        ]

    async def track(self, call: Call) -> web.StreamResponse:
        """Append the event. Raises Problem 404 for a business that is not there."""
        business = await self._business(call)
        now = self._clock.now()
        event_id = naming.trigger_id(business.workspace_id, call.request.headers.get(IDEMPOTENCY_KEY), now)
        event = event_of(call.body, business, event_id, now)
        await self._intake.append([outbound(topics.EVENTS, event)])
        return json_response({})

    async def _business(self, call: Call) -> Business:
        workspace_id, reference = call.principal.workspace_id, call.request.match_info["id"]
        business = business_of(self._snapshot, workspace_id, reference)
        if business is None and await self._renew():
            business = business_of(self._snapshot, workspace_id, reference)
        if business is None:
            raise not_found("business")
        return business
