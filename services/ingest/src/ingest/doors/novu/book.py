"""The workflows of a workspace as Novu sees them: those that were defined in its words, and then all others of ours."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

from pydantic import ValidationError

from ingest.definitions.resource import renew
from ingest.doors.novu.documents import Plan, plan_of
from sluice_catalog.definitions.novu_workflows import NovuWorkflowDefinition, NovuWorkflows
from sluice_catalog.definitions.problems import Fault, InvalidDefinition, NotThere, TakenKey
from sluice_catalog.definitions.shelf import Stored
from sluice_catalog.definitions.templates import Templates
from sluice_catalog.definitions.words import Definition
from sluice_catalog.definitions.workflows import (
    Step,
    StepsWorkflow,
    TemplateGroupWorkflow,
    WaitForEvent,
    Workflow,
    Workflows,
)
from sluice_catalog.snapshot import CatalogSnapshot
from sluice_contracts.novu import CHANNEL_TYPES, object_id
from sluice_contracts.vocabulary import Category, Channel

_PAGE: Final = 500
_SLUG_MARK: Final = "_wf_"
_NOUN: Final = "workflow"
ContentT = TypeVar("ContentT", bound=Definition)


@dataclass(frozen=True, slots=True)
class Entry:
    """One workflow. `is_foreign` says that it was not defined in Novu's words and can only be looked at here."""

    id: UUID
    identifier: str
    document: Mapping[str, Any]
    created_at: datetime
    updated_at: datetime
    is_foreign: bool = False

    @property
    def object_id(self) -> str:
        """Novu's id for it."""
        return object_id(self.id)

    @property
    def slug(self) -> str:
        """Novu's name for it in URLs."""
        return f"{self.identifier}{_SLUG_MARK}{self.object_id}"

    @property
    def types(self) -> list[str]:
        """The types of its steps, in order."""
        return [step["type"] for step in self.document["steps"]]


class WorkflowBook:
    """Writes a document together with the workflow and the templates that it becomes."""

    def __init__(
        self, documents: NovuWorkflows, workflows: Workflows, templates: Templates, snapshot: CatalogSnapshot
    ) -> None:
        self._documents = documents
        self._workflows = workflows
        self._templates = templates
        self._snapshot = snapshot

    async def create(self, workspace_id: UUID, identifier: str, document: dict[str, Any]) -> Entry:
        """Write a new workflow. Raises TakenKey or InvalidDefinition."""
        for shelf in (self._documents, self._workflows):
            if await _is_there(shelf.get, workspace_id, identifier):
                raise TakenKey(_NOUN, "workflowId")
        content = await self._write(workspace_id, identifier, document)
        entry = _entry(await self._documents.create(workspace_id, content))
        await self._seen()
        return entry

    async def change(self, workspace_id: UUID, entry: Entry, document: dict[str, Any]) -> Entry:
        """Replace a workflow's document. Raises InvalidDefinition, also for a workflow that was defined elsewhere."""
        if entry.is_foreign:
            raise InvalidDefinition([Fault("workflowId", "was not defined through this door: change it where it was")])
        content = await self._write(workspace_id, entry.identifier, document)
        changed = _entry(await self._documents.change(workspace_id, str(entry.id), None, lambda _: content))
        await self._seen()
        return changed

    async def delete(self, workspace_id: UUID, entry: Entry) -> None:
        """Take a workflow away. Its templates stay: what is under way with it goes on and still needs them."""
        if entry.is_foreign:
            await self._workflows.delete(workspace_id, str(entry.id))
        else:
            await self._documents.delete(workspace_id, str(entry.id))
            await _if_there(self._workflows.delete(workspace_id, entry.identifier))
        await self._seen()

    async def find(self, workspace_id: UUID, reference: str) -> Entry:
        """Return a workflow by its identifier, its slug, Novu's id or ours. Raises NotThere."""
        wanted = reference.rpartition(_SLUG_MARK)[2] if _SLUG_MARK in reference else reference
        try:
            return _entry(await self._documents.get(workspace_id, wanted))
        except NotThere:
            for entry in await self.all(workspace_id):
                if wanted in {entry.object_id, entry.identifier, entry.document["name"]}:
                    return entry
        raise NotThere(_NOUN)

    async def all(self, workspace_id: UUID) -> list[Entry]:
        """Return every workflow, the newest first."""
        documents = [stored async for stored in _each(self._documents.page, workspace_id)]
        defined_here = {stored.content.key for stored in documents}
        foreign = [
            _foreign(stored)
            async for stored in _each(self._workflows.page, workspace_id)
            if stored.content.key not in defined_here
        ]
        return sorted([*map(_entry, documents), *foreign], key=lambda entry: entry.id, reverse=True)

    async def _write(self, workspace_id: UUID, identifier: str, document: dict[str, Any]) -> NovuWorkflowDefinition:
        """Write templates and workflow, and return the document that stands for them."""
        try:
            plan = plan_of(workspace_id, identifier, document)
        except ValidationError as error:
            raise _faults(error) from error
        for template in plan.templates:
            await self._templates.put(workspace_id, template.key, template)
        workflow_id = await self._workflow(workspace_id, identifier, plan)
        issues = {step_id: issue.shown() for step_id, issue in plan.issues.items()}
        whole = document | {"issues": issues, "whole_payload": plan.whole_payload}
        return NovuWorkflowDefinition(key=identifier, workflow_id=workflow_id, document=whole)

    async def _workflow(self, workspace_id: UUID, identifier: str, plan: Plan) -> UUID | None:
        if plan.workflow is None:
            await _if_there(self._workflows.delete(workspace_id, identifier))
            return None
        wanted = plan.workflow
        try:
            stored, _ = await self._workflows.put(workspace_id, identifier, wanted)
        except TakenKey as problem:
            if problem.field != "name":
                raise
            # Our names are unique in a workspace, Novu's are not.
            unique = wanted.model_copy(update={"name": f"{wanted.name[:150]} ({identifier})"[:200]})
            stored, _ = await self._workflows.put(workspace_id, identifier, unique)
        return stored.id

    async def _seen(self) -> None:
        tables = (self._documents.table, self._workflows.table, self._templates.table)
        await renew(self._snapshot, *tables)


def _entry(stored: Stored[NovuWorkflowDefinition]) -> Entry:
    return Entry(stored.id, stored.content.key, stored.content.document, stored.created_at, stored.updated_at)


def _foreign(stored: Stored[Workflow]) -> Entry:
    content = stored.content
    steps: list[dict[str, Any]] = []
    if isinstance(content, StepsWorkflow):
        steps = [{"stepId": step.step_id, "name": step.step_name, "type": _type_of(step)} for step in content.steps]
    elif isinstance(content, TemplateGroupWorkflow):
        channels = [Channel(channel) for channel in stored.facts["definition"].get("templates", {})]
        steps = [{"stepId": channel, "name": channel, "type": CHANNEL_TYPES[channel]} for channel in channels]
    document = {
        "name": content.name,
        "active": content.status == "active",
        "critical": Category(stored.facts["category"]).is_essential,
        "steps": steps,
    }
    return Entry(
        stored.id, content.key or content.name, document, stored.created_at, stored.updated_at, is_foreign=True
    )


def _type_of(step: Step | WaitForEvent) -> str:
    """Return Novu's type of a step of ours; waiting for an event is none of its own."""
    return CHANNEL_TYPES[step.channel] if isinstance(step, Step) else "custom"


async def _each(
    page: Callable[[UUID, UUID | None, int], Awaitable[Sequence[Stored[ContentT]]]], workspace_id: UUID
) -> Any:
    after = None
    while True:
        found = await page(workspace_id, after, _PAGE)
        for stored in found:
            yield stored
        if len(found) < _PAGE:
            return
        after = found[-1].id


async def _is_there(get: Callable[[UUID, str], Awaitable[Any]], workspace_id: UUID, reference: str) -> bool:
    try:
        await get(workspace_id, reference)
    except NotThere:
        return False
    return True


async def _if_there(doing: Awaitable[None]) -> None:
    try:
        await doing
    except NotThere:
        return


def _faults(error: ValidationError) -> InvalidDefinition:
    return InvalidDefinition(
        [
            Fault(".".join(map(str, item["loc"])), item["msg"].removeprefix("Value error, "))
            for item in error.errors(include_url=False, include_context=False, include_input=False)
        ]
    )
