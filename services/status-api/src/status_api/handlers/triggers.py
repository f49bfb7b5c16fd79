"""Reads about one trigger."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final
from uuid import UUID

from aiohttp import web

from sluice_contracts.vocabulary import FlowType, JobState
from sluice_runtime.http.operations import Call, Operation
from sluice_runtime.http.problems import Problem, not_found
from status_api.adapters.status_store import StatusStore
from status_api.adapters.wait_store import WaitStore
from status_api.domain.overview import Overview
from status_api.domain.presentation.contact import present_contact
from status_api.domain.presentation.direct import present_direct
from status_api.domain.presentation.job_models import ContactBody
from status_api.domain.presentation.ledger import present_ledger
from status_api.domain.presentation.models import Body, DirectBody, LedgerBody, TriggerBody, WorkflowBody
from status_api.domain.presentation.trigger import details_endpoint, present_trigger
from status_api.domain.presentation.waits import present_waits_of_person
from status_api.domain.presentation.workflow import present_workflow
from status_api.domain.rows import ReasonRow
from status_api.domain.waits import WaitStep
from status_api.handlers.answers import holds_a_copy, is_known, path_id, sees_addresses, tagged, unchanged, version_tag
from status_api.handlers.arrivals import Arrivals

STATUS_SCOPE: Final = "status:read"


class TriggerReads:
    """`GET /api/v1/triggers/{id}` and what lies below it."""

    def __init__(self, store: StatusStore, waits: WaitStore, arrivals: Arrivals) -> None:
        self._store = store
        self._waits = waits
        self._arrivals = arrivals

    def operations(self) -> list[Operation]:
        """Return the operations for `add_operations`."""
        at = "/api/v1/triggers/{trigger_id}"
        return [
            _read(at, "get_trigger", "A trigger in brief", self.basic, TriggerBody),
            _read(f"{at}/direct", "get_direct_trigger", "A direct send", self.direct, DirectBody),
            _read(f"{at}/workflow", "get_workflow_trigger", "A workflow's run", self.workflow, WorkflowBody),
            _read(f"{at}/ledger", "get_ledger", "Every job's bucket", self.ledger, LedgerBody),
            _read(
                f"{at}/contacts/{{external_id}}",
                "get_contact_timeline",
                "A contact's timeline",
                self.contact,
                ContactBody,
            ),
        ]

    async def basic(self, call: Call) -> web.Response:
        """Answer what kind of trigger it is, how it goes, and where the details are."""
        found = await self._found(call)
        if isinstance(found, web.Response):
            return found
        return self._answer(call, found, present_trigger(found))

    async def direct(self, call: Call) -> web.Response:
        """Answer the one execution of a direct send.

        Raises Problem 409 for a workflow.
        """
        found = await self._found(call)
        if isinstance(found, web.Response):
            return found
        _require(found, FlowType.DIRECT_CHANNEL)
        reasons = await self._reasons(found, JobState.FILTERED)
        return self._answer(call, found, present_direct(found, reasons, unmasked=sees_addresses(call)))

    async def workflow(self, call: Call) -> web.Response:
        """Answer the steps or channels of a workflow's run.

        Raises Problem 409 for a direct send.
        """
        found = await self._found(call)
        if isinstance(found, web.Response):
            return found
        _require(found, FlowType.WORKFLOW)
        return self._answer(call, found, present_workflow(found, await self._wait_steps(found)))

    async def ledger(self, call: Call) -> web.Response:
        """Answer which bucket every job lies in."""
        found = await self._found(call)
        if isinstance(found, web.Response):
            return found
        reasons = await self._reasons(found, JobState.FILTERED, JobState.FAILED)
        steps = await self._wait_steps(found)
        return self._answer(call, found, present_ledger(found, reasons, steps, unmasked=sees_addresses(call)))

    async def contact(self, call: Call) -> web.Response:
        """Answer what happened to one contact.

        Raises Problem 404 where nothing has been reported about it.
        """
        found = await self._found(call)
        if isinstance(found, web.Response):
            return found
        external_id = call.request.match_info["external_id"]
        known = {execution.execution_id for execution in found.executions}
        jobs = await self._store.jobs_of(sorted(known), external_id)
        trigger = found.trigger
        waits = await self._waits.of_person(trigger.workspace_id, trigger.trigger_id, external_id)
        if not jobs and not waits:
            raise not_found("contact in this trigger, or nothing has happened to it yet")
        body = present_contact(found, external_id, jobs, unmasked=sees_addresses(call))
        steps = await self._wait_steps(found) if waits else []
        shown = present_waits_of_person(steps, waits, cancelled_at=trigger.cancelled_at)
        return self._answer(call, found, body | {"waits": shown})

    async def _found(self, call: Call) -> Overview | web.Response:
        """The trigger, or the answer that the caller has seen all of it already."""
        trigger_id = path_id(call, "trigger_id", "trigger")
        workspace_id = call.principal.workspace_id
        if holds_a_copy(call):
            version = await self._store.version(workspace_id, trigger_id)
            if version is not None and is_known(call, tag := version_tag(call, version)):
                return unchanged(tag)
        found = await self._arrivals.wait_for(
            (workspace_id, trigger_id), lambda: self._store.whole(workspace_id, trigger_id)
        )
        if found is None:
            raise not_found("trigger")
        return found

    async def _wait_steps(self, found: Overview) -> list[WaitStep]:
        if found.trigger.flow_type is not FlowType.WORKFLOW:
            return []
        return await self._waits.steps(found.trigger.workspace_id, found.trigger.trigger_id)

    async def _reasons(self, found: Overview, *states: JobState) -> list[ReasonRow]:
        execution_ids = [execution.execution_id for execution in found.executions]
        return [reason for reason in await self._store.reasons(execution_ids) if reason.state in states]

    @staticmethod
    def _answer(call: Call, found: Overview, body: dict[str, Any]) -> web.Response:
        return tagged(body, version_tag(call, found.trigger.version))


def _read(
    path: str, name: str, summary: str, handler: Callable[[Call], Awaitable[web.Response]], body: type[Body]
) -> Operation:
    answers = {200: body, 304: None}
    return Operation("GET", path, name, summary, "Triggers", handler, STATUS_SCOPE, answers=answers)


async def load_overview(store: StatusStore, workspace_id: UUID, trigger_id: UUID) -> Overview:
    """Return a trigger with its executions.

    Raises Problem 404 where it is not there, or another workspace's.
    """
    found = await store.whole(workspace_id, trigger_id)
    if found is None:
        raise not_found("trigger")
    return found


def _require(found: Overview, flow_type: FlowType) -> None:
    if found.trigger.flow_type is not flow_type:
        right = details_endpoint(found.trigger)
        raise Problem(
            409,
            "Wrong details endpoint",
            f"This trigger's flow type is {found.trigger.flow_type.value}: its details are at {right}.",
            members={"details_endpoint": right},
        )
