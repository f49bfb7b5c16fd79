"""What can be asked of a running trigger: cancel, pause, resume, and retry of what failed.

Each is a request to the orchestrator, appended to `triggers.priority`; what comes of it is read like everything else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Final, Literal

from aiohttp import web

from sluice_contracts import topics
from sluice_contracts.messages.trigger import RetryRequested, TriggerActionRequested
from sluice_contracts.vocabulary import Lane
from sluice_messaging.ports import EventPublisher
from sluice_messaging.records import outbound
from sluice_runtime.clock import Clock
from sluice_runtime.http.bodies import json_response
from sluice_runtime.http.operations import Call, Operation
from sluice_runtime.http.problems import Problem, not_found
from status_api.adapters.status_store import StatusStore
from status_api.domain.overview import Overview
from status_api.domain.presentation.models import ActionAccepted
from status_api.domain.retrying import tries
from status_api.domain.rows import ExecutionRow
from status_api.handlers.answers import path_id
from status_api.handlers.arrivals import Arrivals
from status_api.handlers.triggers import load_overview

WRITE_SCOPE: Final = "events:write"
PORTION: Final = 2_000
"""Failed jobs that are held at once."""

Handler = Callable[[Call], Awaitable[web.Response]]
Action = Literal["cancel", "pause", "resume"]

_SUMMARIES: Final[dict[Action, str]] = {
    "cancel": "Send nothing more of a trigger",
    "pause": "Hold a trigger",
    "resume": "Let a held trigger go on",
}


class TriggerActions:
    """`POST /api/v1/triggers/{id}/cancel|pause|resume|retry`."""

    def __init__(
        self, store: StatusStore, arrivals: Arrivals, publisher: EventPublisher, clock: Clock, remembered: timedelta
    ) -> None:
        """`remembered` is how long the orchestrator can try again what it was given."""
        self._store = store
        self._arrivals = arrivals
        self._publisher = publisher
        self._clock = clock
        self._remembered = remembered

    def operations(self) -> list[Operation]:
        """Return the operations for `add_operations`."""
        at, tag = "/api/v1/triggers/{trigger_id}", "Triggers"
        handlers: dict[str, tuple[str, Handler]] = {
            **{action: (summary, partial(self.act, action)) for action, summary in _SUMMARIES.items()},
            "retry": ("Try failed jobs again", self.retry),
        }
        answers = {202: ActionAccepted}
        return [
            Operation("POST", f"{at}/{name}", f"{name}_trigger", summary, tag, handler, WRITE_SCOPE, answers=answers)
            for name, (summary, handler) in handlers.items()
        ]

    async def act(self, action: Action, call: Call) -> web.Response:
        """Ask for `action`.

        Raises Problem 409 when the trigger is over. One that is over and still paused can be resumed, so that what is
        tried again of it goes out.
        """
        found = await self._found(call)
        waits = action == "resume" and found.trigger.paused and not found.trigger.cancelled
        if found.status.is_final and not waits:
            raise Problem(409, "Already over", f"The trigger is {found.status.value}: there is nothing to {action}.")
        request = TriggerActionRequested(
            trigger_id=found.trigger.trigger_id,
            workspace_id=found.trigger.workspace_id,
            requested_at=self._clock.now(),
            action=action,
        )
        await self._publisher.publish([outbound(topics.triggers(Lane.PRIORITY), request)])
        return json_response({"success": True, "trigger_id": str(request.trigger_id), "action": action}, 202)

    async def retry(self, call: Call) -> web.Response:
        """Ask that every job that failed be tried again.

        Raises Problem 409 when none did, or when the trigger was cancelled or is too old.
        """
        found = await self._found(call)
        if found.trigger.accepted_at <= self._clock.now() - self._remembered:
            raise Problem(409, "Too old", f"Nothing is tried again {self._remembered.days} days after it was accepted.")
        if found.trigger.cancelled:
            raise Problem(409, "Cancelled", "The trigger was cancelled: nothing of it is tried again.")
        jobs = 0
        for execution in found.executions:
            if execution.failed:
                jobs += await self._retry(found, execution)
        if not jobs:
            raise Problem(409, "Nothing failed", "No job of this trigger has failed.")
        return json_response(
            {"success": True, "trigger_id": str(found.trigger.trigger_id), "action": "retry", "jobs": jobs}, 202
        )

    async def _retry(self, found: Overview, execution: ExecutionRow) -> int:
        jobs, after, last = 0, -1, False
        while not last:
            failed = await self._store.failed_jobs(execution.execution_id, after, PORTION)
            last = len(failed) < PORTION
            jobs += len(failed)
            after = failed[-1].seq if failed else after
            await self._publisher.publish(
                [
                    outbound(
                        topics.triggers(Lane.PRIORITY),
                        RetryRequested(
                            trigger_id=found.trigger.trigger_id,
                            workspace_id=found.trigger.workspace_id,
                            requested_at=self._clock.now(),
                            execution_id=execution.execution_id,
                            page=again.page,
                            epoch=again.epoch,
                            seqs=again.seqs,
                        ),
                    )
                    for again in tries(failed)
                ]
            )
        return jobs

    async def _found(self, call: Call) -> Overview:
        trigger_id = path_id(call, "trigger_id", "trigger")
        workspace_id = call.principal.workspace_id
        version = await self._arrivals.wait_for(
            (workspace_id, trigger_id), lambda: self._store.version(workspace_id, trigger_id)
        )
        if version is None:
            raise not_found("trigger")
        return await load_overview(self._store, workspace_id, trigger_id)
