"""`/businesses/{id}/triggers` and `/triggers/{id}`, as Pocketflows documents them; an update is a POST there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from aiohttp import web

from sluice_catalog.api_keys import DEFINITIONS_WRITE, STATUS_READ
from sluice_catalog.businesses import Business, business_of
from sluice_catalog.definitions.pocketflows import PocketflowsTrigger, PocketflowsTriggers
from sluice_catalog.definitions.problems import InvalidDefinition, NotThere, OutdatedRevision, TakenKey
from sluice_catalog.snapshot import CatalogSnapshot
from sluice_runtime.http.bodies import json_response
from sluice_runtime.http.operations import Call, Operation
from sluice_runtime.http.problems import Problem, invalid, not_found
from status_api.adapters.workflow_counter import WorkflowCounter
from status_api.domain.workflow_counts import WorkflowCounts
from status_api.doors.pocketflows.bodies import (
    NewTrigger,
    PageQuery,
    Trigger,
    TriggerChange,
    TriggerPage,
    TriggerToCreate,
)
from status_api.doors.pocketflows.objects import shown
from status_api.doors.pocketflows.publishing import Publisher

TAG: Final = "Pocketflows"
Handler = Callable[[Call], Awaitable[web.Response]]


class TriggerDoor:
    """A trigger is kept as it was said; while it is active, a workflow and a rule of ours carry it out."""

    def __init__(
        self, triggers: PocketflowsTriggers, publisher: Publisher, counter: WorkflowCounter, snapshot: CatalogSnapshot
    ) -> None:
        self._triggers = triggers
        self._publisher = publisher
        self._counter = counter
        self._snapshot = snapshot

    def operations(self) -> list[Operation]:
        """Return the operations for `add_operations`."""
        of_business, item, one = "/businesses/{id}/triggers", "/triggers/{id}", {200: Trigger}
        return [
            Operation(
                "POST", of_business, "pocketflows_create_trigger", "Create a trigger", TAG, plainly(self.create),
                DEFINITIONS_WRITE, body=TriggerToCreate, answers=one,
            ),
            Operation(
                "GET", of_business, "pocketflows_list_triggers", "List the triggers of a business", TAG,
                plainly(self.page), STATUS_READ, query=PageQuery, answers={200: TriggerPage},
            ),
            Operation(
                "GET", item, "pocketflows_get_trigger", "Get a trigger", TAG, plainly(self.get), STATUS_READ,
                answers=one,
            ),
            Operation(
                "POST", item, "pocketflows_update_trigger", "Change fields of a trigger", TAG, plainly(self.update),
                DEFINITIONS_WRITE, body=TriggerChange, answers=one,
            ),
        ]  # fmt: skip

    async def create(self, call: Call) -> web.Response:
        """Keep a trigger; a draft does nothing and need not make sense yet."""
        body: TriggerToCreate = call.body
        business = await self._business(call)
        document = body.model_dump(mode="json", exclude={"status"})
        said = NewTrigger.model_validate(document)
        if body.status == "active":
            await self._publisher.check(business, said)
        trigger = await self._triggers.create(business.workspace_id, business.tenant, document)
        if body.status != "draft":
            trigger = await self._become(trigger, body.status, said)
        return await self._answer(trigger)

    async def update(self, call: Call) -> web.Response:
        """Change the given fields; what is active has to make sense. Raises Problem 422 naming what does not."""
        current = await self._triggers.get(call.principal.workspace_id, call.request.match_info["id"])
        body: TriggerChange = call.body
        given = body.model_dump(mode="json", exclude_unset=True, exclude={"status"})
        kept = {name: value for name, value in given.items() if value is not None or name not in _REQUIRED}
        said = NewTrigger.model_validate({**current.document, **kept})
        return await self._answer(await self._become(current, body.status or current.status, said))

    async def get(self, call: Call) -> web.Response:
        """Answer a trigger."""
        return await self._answer(await self._triggers.get(call.principal.workspace_id, call.request.match_info["id"]))

    async def page(self, call: Call) -> web.Response:
        """Answer a page of a business's triggers, oldest first."""
        query: PageQuery = call.query
        business = await self._business(call)
        found = await self._triggers.of_business(business.workspace_id, business.tenant, query.cursor, query.limit + 1)
        page, has_more = found[: query.limit], len(found) > query.limit
        pagination = {"limit": query.limit, "has_more": has_more, "next_cursor": str(page[-1].id) if has_more else None}
        return json_response({"data": await self._shown(page), "pagination": pagination})

    async def _become(self, current: PocketflowsTrigger, status: Any, said: NewTrigger) -> PocketflowsTrigger:
        workflow_id = current.workflow_id
        if status == "active":
            workflow_id = await self._publisher.publish(current, said)
        elif current.status == "active":
            await self._publisher.withdraw(current)
        return await self._triggers.replace(current, status, workflow_id, said.model_dump(mode="json"))

    async def _answer(self, trigger: PocketflowsTrigger) -> web.Response:
        return json_response((await self._shown([trigger]))[0])

    async def _shown(self, triggers: Sequence[PocketflowsTrigger]) -> list[dict[str, Any]]:
        if not triggers:
            return []
        workflows = [trigger.workflow_id for trigger in triggers if trigger.workflow_id is not None]
        counts = await self._counter.counts(triggers[0].workspace_id, workflows)
        nothing = WorkflowCounts()
        return [
            shown(trigger, counts.get(trigger.workflow_id, nothing) if trigger.workflow_id else nothing)
            for trigger in triggers
        ]

    async def _business(self, call: Call) -> Business:
        workspace_id, reference = call.principal.workspace_id, call.request.match_info["id"]
        business = business_of(self._snapshot, workspace_id, reference)
        if business is None:
            await self._snapshot.refresh("tenants", "workspaces")
            business = business_of(self._snapshot, workspace_id, reference)
        if business is None:
            raise not_found("business")
        return business


_REQUIRED: Final = frozenset(name for name, field in NewTrigger.model_fields.items() if field.is_required())


def plainly(handler: Handler) -> Handler:
    """Return the handler with everything that the catalog raises turned into a problem for the caller."""

    async def handle(call: Call) -> web.Response:
        try:
            return await handler(call)
        except NotThere as problem:
            raise not_found(problem.noun) from problem
        except InvalidDefinition as problem:
            raise invalid([{"field": fault.field, "message": fault.message} for fault in problem.faults]) from problem
        except (OutdatedRevision, TakenKey) as problem:
            raise Problem(409, "Conflict", "Somebody else has changed it meanwhile. Try again.") from problem

    return handle
