"""Tenants: customers of a workspace on whose behalf it sends."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from sluice_catalog.definitions.shelf import Shelf, Stored
from sluice_catalog.definitions.words import Definition
from sluice_catalog.rows import Row
from sluice_storage.database import Connection

TenantKey = Annotated[str, Field(min_length=1, max_length=255)]


class TenantDefinition(Definition):
    """A customer. `data` are values for templates."""

    key: TenantKey
    name: Annotated[str, Field(max_length=255)] | None = None
    data: dict[str, Any] = Field(default_factory=dict)


class Tenants(Shelf[TenantDefinition]):
    """The tenants of all workspaces."""

    table = "tenants"
    noun = "tenant"

    def _read(self, row: Row) -> tuple[TenantDefinition, dict[str, Any]]:
        return TenantDefinition.model_construct(key=row["key"], name=row["name"], data=row["data"]), {}

    async def _columns(
        self,
        connection: Connection,
        workspace_id: UUID,
        content: TenantDefinition,
        current: Stored[TenantDefinition] | None,
    ) -> tuple[Any, ...]:
        return content.key, content.name, content.data
