"""`/v1/notification-templates` and `/v1/notification-groups`: workflows as Novu's first version has them."""

from __future__ import annotations

from typing import Annotated, Any, Final
from uuid import UUID

from aiohttp import web
from pydantic import Field

from ingest.domain.values import Name
from ingest.doors.novu.answering import numbered_page, operation
from ingest.doors.novu.bodies import NumberedQuery, Said
from ingest.doors.novu.book import Entry, WorkflowBook
from ingest.doors.novu.documents import slug
from ingest.doors.novu.legacy_documents import GENERAL, shown, steps_of
from sluice_catalog.definitions.novu_workflows import NovuWorkflowGroup, NovuWorkflowGroups
from sluice_catalog.definitions.problems import NotThere
from sluice_catalog.definitions.shelf import Stored
from sluice_contracts.novu import named_object_id, object_id
from sluice_runtime.http.novu import enveloped, refused, without_nulls
from sluice_runtime.http.operations import Call, Operation
from sluice_runtime.http.problems import Problem

MOST_STEPS: Final = 20
_BODY_LIMIT: Final = 4 * 1024 * 1024
_MOST_GROUPS: Final = 500


class LegacyWorkflowFields(Said):
    """What a workflow may have."""

    notification_group_id: str | None = None
    steps: Annotated[list[dict[str, Any]], Field(max_length=MOST_STEPS)] | None = None
    description: str | None = None
    tags: list[str] | None = None
    active: bool | None = None
    critical: bool | None = None
    preference_settings: dict[str, bool] | None = None


class LegacyWorkflowBody(LegacyWorkflowFields):
    """A workflow; its identifier is made of its name."""

    name: Name


class LegacyWorkflowChangeBody(LegacyWorkflowFields):
    """What changes of a workflow."""

    name: Name | None = None
    identifier: str | None = None


class StatusBody(Said):
    """Whether a workflow is carried out."""

    active: bool


class GroupBody(Said):
    """A group of workflows."""

    name: Name


class LegacyWorkflows:
    """The handlers."""

    def __init__(self, book: WorkflowBook, groups: NovuWorkflowGroups) -> None:
        self._book = book
        self._groups = groups

    def operations(self) -> list[Operation]:
        """Return the operations for `add_operations`."""
        path, alias, groups = "/v1/notification-templates", "/v1/workflows", "/v1/notification-groups"
        item, other = f"{path}/{{templateId}}", f"{alias}/{{templateId}}"
        group = f"{groups}/{{groupId}}"
        return [
            operation("POST", path, "create_workflow_v1", "Create a workflow", self._create, statuses=(201,),
                      body=LegacyWorkflowBody, body_limit=_BODY_LIMIT, aliases=(alias,)),
            operation("GET", path, "list_workflows_v1", "List workflows by page", self._list, query=NumberedQuery,
                      aliases=(alias,)),
            operation("GET", item, "get_workflow_v1", "Get a workflow", self._get, aliases=(other,)),
            operation("PUT", item, "update_workflow_v1", "Change a workflow", self._update,
                      body=LegacyWorkflowChangeBody, body_limit=_BODY_LIMIT, aliases=(other,)),
            operation("PUT", f"{item}/status", "set_workflow_status_v1", "Switch a workflow on or off", self._status,
                      body=StatusBody, aliases=(f"{other}/status",)),
            operation("DELETE", item, "delete_workflow_v1", "Delete a workflow", self._delete, aliases=(other,)),
            operation("GET", groups, "list_workflow_groups", "List groups of workflows", self._list_groups),
            operation("POST", groups, "create_workflow_group", "Create a group of workflows", self._create_group,
                      statuses=(201,), body=GroupBody),
            operation("GET", group, "get_workflow_group", "Get a group of workflows", self._get_group),
            operation("PATCH", group, "change_workflow_group", "Rename a group of workflows", self._change_group,
                      body=GroupBody),
            operation("DELETE", group, "delete_workflow_group", "Delete a group of workflows", self._delete_group),
        ]  # fmt: skip

    async def _create(self, call: Call) -> web.Response:
        body: LegacyWorkflowBody = call.body
        workspace_id = call.principal.workspace_id
        document = {"active": False, **_settings(body), "name": body.name, "workspace": object_id(workspace_id)}
        document["steps"] = steps_of(body.steps or [])
        entry = await self._book.create(workspace_id, await self._identifier(workspace_id, body.name), document)
        return await self._shown(call, entry, 201)

    async def _list(self, call: Call) -> web.Response:
        query: NumberedQuery = call.query
        workspace_id = call.principal.workspace_id
        entries = await self._book.all(workspace_id)
        groups = await self._names(workspace_id)
        first = query.page * query.size
        page = entries[first : first + query.size + 1]
        return numbered_page(page, query, lambda entry: shown(entry, groups), len(entries))

    async def _get(self, call: Call) -> web.Response:
        return await self._shown(call, await self._found(call))

    async def _update(self, call: Call) -> web.Response:
        body: LegacyWorkflowChangeBody = call.body
        entry = await self._found(call)
        document = {**entry.document, **_settings(body), **without_nulls({"name": body.name})}
        if body.steps is not None:
            document["steps"] = steps_of(body.steps)
        return await self._shown(call, await self._book.change(call.principal.workspace_id, entry, document))

    async def _status(self, call: Call) -> web.Response:
        entry = await self._found(call)
        document = {**entry.document, "active": call.body.active}
        return await self._shown(call, await self._book.change(call.principal.workspace_id, entry, document))

    async def _delete(self, call: Call) -> web.Response:
        await self._book.delete(call.principal.workspace_id, await self._found(call))
        return enveloped(data=True)

    async def _list_groups(self, call: Call) -> web.Response:
        workspace_id = call.principal.workspace_id
        names = await self._names(workspace_id)
        return enveloped([_group(workspace_id, group_id, name) for group_id, name in names.items()])

    async def _create_group(self, call: Call) -> web.Response:
        workspace_id = call.principal.workspace_id
        stored = await self._groups.create(workspace_id, NovuWorkflowGroup(key=call.body.name))
        return enveloped(_group(workspace_id, object_id(stored.id), stored.content.key), 201)

    async def _get_group(self, call: Call) -> web.Response:
        workspace_id, group_id = call.principal.workspace_id, call.request.match_info["groupId"]
        name = (await self._names(workspace_id)).get(group_id)
        if name is None:
            raise _no_group()
        return enveloped(_group(workspace_id, group_id, name))

    async def _change_group(self, call: Call) -> web.Response:
        workspace_id = call.principal.workspace_id
        found = await self._found_group(call)
        content = NovuWorkflowGroup(key=call.body.name)
        stored = await self._groups.change(workspace_id, str(found.id), None, lambda _: content)
        return enveloped(_group(workspace_id, object_id(stored.id), stored.content.key))

    async def _delete_group(self, call: Call) -> web.Response:
        found = await self._found_group(call)
        await self._groups.delete(call.principal.workspace_id, str(found.id))
        return enveloped({"acknowledged": True, "status": "deleted"})

    async def _identifier(self, workspace_id: UUID, name: str) -> str:
        """Return an identifier made of a name that nothing has yet."""
        taken = {entry.identifier for entry in await self._book.all(workspace_id)}
        wanted, number = slug(name), 1
        while wanted in taken:
            number += 1
            wanted = f"{slug(name)}-{number}"
        return wanted

    async def _shown(self, call: Call, entry: Entry, status: int = 200) -> web.Response:
        return enveloped(shown(entry, await self._names(call.principal.workspace_id)), status)

    async def _found(self, call: Call) -> Entry:
        reference = call.request.match_info["templateId"]
        try:
            return await self._book.find(call.principal.workspace_id, reference)
        except NotThere as problem:
            raise refused(f"Workflow with id {reference} not found", 404) from problem

    async def _names(self, workspace_id: UUID) -> dict[str, str]:
        """Return the names of groups by id; there is always a general one."""
        stored = await self._groups.page(workspace_id, None, _MOST_GROUPS)
        general = {named_object_id(workspace_id, "workflow group"): GENERAL}
        return general | {object_id(group.id): group.content.key for group in stored}

    async def _found_group(self, call: Call) -> Stored[NovuWorkflowGroup]:
        group_id = call.request.match_info["groupId"]
        for stored in await self._groups.page(call.principal.workspace_id, None, _MOST_GROUPS):
            if object_id(stored.id) == group_id:
                return stored
        raise _no_group()


def _settings(body: LegacyWorkflowFields) -> dict[str, Any]:
    wanted = set(LegacyWorkflowFields.model_fields) - {"steps"}
    return body.model_dump(mode="json", by_alias=True, exclude_none=True, include=wanted)


def _group(workspace_id: UUID, group_id: str, name: str) -> dict[str, Any]:
    workspace = object_id(workspace_id)
    return {"_id": group_id, "name": name, "_organizationId": workspace, "_environmentId": workspace, "__v": 0}


def _no_group() -> Problem:
    return refused("Workflow group not found", 404)
