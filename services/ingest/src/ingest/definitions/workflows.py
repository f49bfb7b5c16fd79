"""Workflows."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Discriminator, RootModel, Tag

from ingest.definitions.answers import kind_of
from ingest.definitions.resource import Resource, merge_plainly, record_of
from sluice_catalog.definitions.shelf import Stored
from sluice_catalog.definitions.workflows import StepsWorkflow, TemplateGroupWorkflow, Workflow, Workflows
from sluice_catalog.snapshot import CatalogSnapshot
from sluice_contracts.vocabulary import WorkflowType
from sluice_runtime.http.operations import Operation


def _kind(given: Any) -> str:
    """Return the tag of the model that a body is for; no field is called so, which keeps paths in errors clear."""
    kind = given.get("type") if isinstance(given, dict) else getattr(given, "type", None)
    return f"workflow of {kind}"


EitherWorkflow = Annotated[
    Annotated[StepsWorkflow, Tag(f"workflow of {WorkflowType.STEPS}")]
    | Annotated[TemplateGroupWorkflow, Tag(f"workflow of {WorkflowType.TEMPLATE_GROUP}")],
    Discriminator(_kind),
]


class WorkflowBody(RootModel[EitherWorkflow]):
    """A workflow of either type."""

    _known = kind_of("type", tuple(WorkflowType))


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
