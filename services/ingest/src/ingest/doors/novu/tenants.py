"""`/v1/tenants`: customers on whose behalf a workspace sends."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from aiohttp import web

from ingest.definitions.resource import renew
from ingest.doors.novu.answering import numbered_page, operation
from ingest.doors.novu.bodies import NumberedQuery, TenantBody, TenantChangeBody
from sluice_catalog.definitions.problems import NotThere, TakenKey
from sluice_catalog.definitions.shelf import Stored
from sluice_catalog.definitions.tenants import TenantDefinition, Tenants
from sluice_catalog.directory import Directory, TenantRecord
from sluice_catalog.snapshot import CatalogSnapshot
from sluice_contracts.novu import object_id
from sluice_runtime.http.novu import empty, enveloped, refused, without_nulls
from sluice_runtime.http.operations import Call, Operation


class TenantOperations:
    """The handlers."""

    def __init__(self, tenants: Tenants, directory: Directory, snapshot: CatalogSnapshot) -> None:
        self._tenants = tenants
        self._directory = directory
        self._snapshot = snapshot

    def operations(self) -> list[Operation]:
        """Return the operations for `add_operations`."""
        path = "/v1/tenants"
        item = f"{path}/{{identifier}}"
        return [
            operation("POST", path, "create_tenant", "Create a tenant", self._create, statuses=(201,), body=TenantBody),
            operation("GET", path, "list_tenants", "List tenants by page", self._list, query=NumberedQuery),
            operation("GET", item, "get_tenant", "Get a tenant", self._get),
            operation("PATCH", item, "change_tenant", "Change a tenant", self._change, body=TenantChangeBody),
            operation("DELETE", item, "delete_tenant", "Delete a tenant", self._delete, statuses=(204,)),
        ]  # fmt: skip

    async def _create(self, call: Call) -> web.Response:
        body: TenantBody = call.body
        content = TenantDefinition(key=body.identifier, name=body.name, data=body.data or {})
        try:
            stored = await self._tenants.create(call.principal.workspace_id, content)
        except TakenKey as problem:
            raise refused(f"Tenant with identifier: {body.identifier} already exists", 409) from problem
        await self._seen()
        return enveloped(_shown(call.principal.workspace_id, _record(stored)), 201)

    async def _list(self, call: Call) -> web.Response:
        query: NumberedQuery = call.query
        workspace_id = call.principal.workspace_id
        found = await self._directory.tenants_from(workspace_id, query.page * query.size, query.size + 1)
        return numbered_page(found, query, lambda record: _shown(workspace_id, record))

    async def _get(self, call: Call) -> web.Response:
        return enveloped(_shown(call.principal.workspace_id, _record(await self._found(call))))

    async def _change(self, call: Call) -> web.Response:
        body: TenantChangeBody = call.body
        changes = {"key": body.identifier, "name": body.name, "data": body.data}

        def change(content: TenantDefinition) -> TenantDefinition:
            return content.model_copy(update=without_nulls(changes))

        found = await self._found(call)
        stored = await self._tenants.change(call.principal.workspace_id, str(found.id), None, change)
        await self._seen()
        return enveloped(_shown(call.principal.workspace_id, _record(stored)))

    async def _delete(self, call: Call) -> web.Response:
        await self._tenants.delete(call.principal.workspace_id, str((await self._found(call)).id))
        await self._seen()
        return empty()

    async def _found(self, call: Call) -> Stored[TenantDefinition]:
        identifier = call.request.match_info["identifier"]
        try:
            return await self._tenants.get(call.principal.workspace_id, identifier)
        except NotThere as problem:
            raise refused(f"Tenant with identifier: {identifier} not found", 404) from problem

    async def _seen(self) -> None:
        await renew(self._snapshot, self._tenants.table)


def _record(stored: Stored[TenantDefinition]) -> TenantRecord:
    content = stored.content
    return TenantRecord(stored.id, content.key, content.name, content.data, stored.created_at, stored.updated_at)


def _shown(workspace_id: UUID, record: TenantRecord) -> dict[str, Any]:
    workspace = object_id(workspace_id)
    return {
        "_id": object_id(record.id),
        "identifier": record.key,
        **without_nulls({"name": record.name}),
        "data": record.data,
        "_organizationId": workspace,
        "_environmentId": workspace,
        "createdAt": record.created_at,
        "updatedAt": record.updated_at,
    }
