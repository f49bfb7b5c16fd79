"""Workflows."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, RootModel

from ingest.definitions.resource import Resource, merge_plainly, record_of
from sluice_catalog.definitions.shelf import Stored
from sluice_catalog.definitions.workflows import AnyWorkflow, Workflow, Workflows
from sluice_catalog.snapshot import CatalogSnapshot
from sluice_runtime.api import Operation


class WorkflowBody(RootModel[Annotated[AnyWorkflow, Field(discriminator="type")]]):
    """A workflow of either type."""


def workflow_operations(shelf: Workflows, snapshot: CatalogSnapshot) -> list[Operation]:
    """Return the operations on workflows."""
    resource: Resource[Workflow] = Resource(
        "/workflows", shelf, WorkflowBody, "Workflows", {"version": int | None}, _show, merge_plainly, snapshot
    )
    return resource.operations()


def _show(stored: Stored[Workflow]) -> dict[str, Any]:
    content = stored.content.model_dump(mode="json")
    facts = {"category": stored.facts["category"], "version": stored.facts["version"]}
    return {"id": stored.id} | content | facts | record_of(stored)
