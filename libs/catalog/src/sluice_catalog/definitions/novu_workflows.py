"""Workflows in Novu's words, and the groups in which Novu's older SDKs put them."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from sluice_catalog.definitions.shelf import Shelf, Stored
from sluice_catalog.definitions.words import Definition
from sluice_catalog.rows import Row
from sluice_storage.database import Connection

Identifier = Annotated[str, Field(min_length=1, max_length=255)]


class NovuWorkflowDefinition(Definition):
    """What was said, as JSON, under the identifier that triggers use, and the workflow of ours that it became."""

    key: Identifier
    workflow_id: UUID | None = None
    document: dict[str, Any]


class NovuWorkflowGroup(Definition):
    """A name."""

    key: Identifier


class NovuWorkflows(Shelf[NovuWorkflowDefinition]):
    """The documents of all workspaces."""

    table = "novu_workflows"
    noun = "novu workflow"

    def _read(self, row: Row) -> tuple[NovuWorkflowDefinition, dict[str, Any]]:
        content = NovuWorkflowDefinition.model_construct(
            key=row["key"], workflow_id=row["workflow_id"], document=row["document"]
        )
        return content, {}

    async def _columns(
        self,
        connection: Connection,
        workspace_id: UUID,
        content: NovuWorkflowDefinition,
        current: Stored[NovuWorkflowDefinition] | None,
    ) -> tuple[Any, ...]:
        return content.key, content.workflow_id, content.document


class NovuWorkflowGroups(Shelf[NovuWorkflowGroup]):
    """The groups of all workspaces."""

    table = "novu_workflow_groups"
    noun = "novu workflow group"

    def _read(self, row: Row) -> tuple[NovuWorkflowGroup, dict[str, Any]]:
        return NovuWorkflowGroup.model_construct(key=row["key"]), {}

    async def _columns(
        self,
        connection: Connection,
        workspace_id: UUID,
        content: NovuWorkflowGroup,
        current: Stored[NovuWorkflowGroup] | None,
    ) -> tuple[Any, ...]:
        return (content.key,)
