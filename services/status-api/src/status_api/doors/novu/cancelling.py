"""`DELETE /v1/events/trigger/{transactionId}`: stop what of a transaction has not been sent yet."""

from __future__ import annotations

from aiohttp import web

from sluice_contracts import topics
from sluice_contracts.messages.trigger import TriggerActionRequested
from sluice_contracts.vocabulary import Lane
from sluice_messaging.ports import EventPublisher
from sluice_messaging.records import outbound
from sluice_runtime.clock import Clock
from sluice_runtime.http.novu import enveloped
from sluice_runtime.http.operations import Call, Operation
from status_api.adapters.status_store import StatusStore
from status_api.domain.overview import Overview
from status_api.doors.novu.reading import operation
from status_api.doors.novu.walking import Walk
from status_api.handlers.actions import WRITE_SCOPE
from status_api.handlers.arrivals import Arrivals
from status_api.handlers.triggers import load_overview


class Cancelling:
    """The handler."""

    def __init__(
        self, walk: Walk, store: StatusStore, arrivals: Arrivals, publisher: EventPublisher, clock: Clock
    ) -> None:
        self._walk = walk
        self._store = store
        self._arrivals = arrivals
        self._publisher = publisher
        self._clock = clock

    def operations(self) -> list[Operation]:
        """Return the operation for `add_operations`."""
        return [
            operation("DELETE", "/v1/events/trigger/{transactionId}", "cancel_event",
                      "Send nothing more of a transaction", self._cancel, WRITE_SCOPE),
        ]  # fmt: skip

    async def _cancel(self, call: Call) -> web.Response:
        """Answer true where something was still waiting, false where nothing was, also of what nobody knows."""
        workspace_id = call.principal.workspace_id
        transaction_id = call.request.match_info["transactionId"]
        trigger = await self._arrivals.wait_for(
            (workspace_id, transaction_id), lambda: self._walk.trigger(workspace_id, transaction_id)
        )
        if trigger is None or not waits(await load_overview(self._store, workspace_id, trigger.trigger_id)):
            return enveloped(data=False)
        request = TriggerActionRequested(
            trigger_id=trigger.trigger_id, workspace_id=workspace_id, requested_at=self._clock.now(), action="cancel"
        )
        await self._publisher.publish([outbound(topics.triggers(Lane.PRIORITY), request)])
        return enveloped(data=True)


def waits(found: Overview) -> bool:
    """Whether anything of a trigger is still to begin, or is held back: that is what a cancellation can stop."""
    trigger = found.trigger
    if trigger.cancelled or found.status.is_final:
        return False
    if trigger.planned_at is None:
        return True
    return any(
        execution.started_at is None or execution.commanded_total is None or execution.held > 0
        for execution in found.executions
    )
