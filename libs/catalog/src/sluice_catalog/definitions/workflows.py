"""Workflows: ordered steps, or a template group on all its channels at once.

What is edited is one thing and what runs another: while a workflow is active, every change is published as a new
version that never changes again, and triggers keep the version that they were accepted with.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import Discriminator, Field, Tag, TypeAdapter, field_validator, model_validator

from sluice_catalog.conditions import ALL_NAMES, MAX_SOURCE_LENGTH
from sluice_catalog.definitions.problems import Fault, InvalidDefinition
from sluice_catalog.definitions.segments import checked_condition, require_moderate
from sluice_catalog.definitions.shelf import Shelf, Stored, as_id, queries
from sluice_catalog.definitions.template_groups import template_categories
from sluice_catalog.definitions.words import Definition, EventName, Name, NameAsKey, Window, fault
from sluice_catalog.models import WaitStep
from sluice_catalog.paths import MOST_PATH_LENGTH, checked_path
from sluice_catalog.rows import WAIT_FOR_EVENT, Row, workflow_step
from sluice_contracts.vocabulary import Category, Channel, WorkflowType
from sluice_storage.database import Connection

StepId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
MOST_STEPS = 50
LONGEST_DELAY_MINUTES = 366 * 24 * 60
_IMPORTANCE = list(Category)


class Step(Definition):
    """One message of a series. `delay_minutes` counts from the trigger's start, or from the end of the last wait."""

    type: Literal["message"] = "message"
    step_id: StepId
    step_name: Name
    channel: Channel
    template_key: Annotated[str, Field(min_length=1, max_length=100)]
    delay_minutes: Annotated[int, Field(ge=0, le=LONGEST_DELAY_MINUTES)] = 0
    condition: Annotated[str, Field(max_length=MAX_SOURCE_LENGTH)] | None = None
    send_window: Window | None = None

    @field_validator("condition")
    @classmethod
    def _compiles(cls, source: str | None) -> str | None:
        return None if source is None else checked_condition(source, ALL_NAMES)


class Correlation(Definition):
    """Which event belongs to a run: the one that says at `path` what the trigger's `variable` says."""

    variable: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$", examples=["order_id"])]
    path: Annotated[
        str | None,
        Field(
            max_length=MOST_PATH_LENGTH,
            description="A JSONPath in the event's data; the event's `correlation_key` where it is left out.",
            examples=["$.order.id"],
        ),
    ] = None

    @field_validator("path")
    @classmethod
    def _compiles(cls, path: str | None) -> str | None:
        return None if path is None else checked_path(path)


class WaitForEvent(Definition):
    """A step in which each contact waits for an event, and goes on when it comes, or else when the time is over.

    An event that came before the wait, but after the trigger was accepted, counts. Later steps may ask for
    `steps.<step_id>.outcome` ("received" or "timed_out") and `steps.<step_id>.data`, the event's.
    """

    type: Literal["wait_for_event"]
    step_id: StepId
    step_name: Name
    event: EventName
    timeout_minutes: Annotated[int, Field(ge=1, le=LONGEST_DELAY_MINUTES)]
    delay_minutes: Annotated[int, Field(ge=0, le=LONGEST_DELAY_MINUTES)] = 0
    correlation: Correlation | None = Field(default=None, description="The contact's own event where it is left out.")


def _kind_of_step(given: Any) -> str:
    kind = given.get("type") if isinstance(given, dict) else getattr(given, "type", None)
    return WAIT_FOR_EVENT if kind == WAIT_FOR_EVENT else "message"


AnyStep = Annotated[
    Annotated[Step, Tag("message")] | Annotated[WaitForEvent, Tag("wait_for_event")], Discriminator(_kind_of_step)
]
_steps: TypeAdapter[list[AnyStep]] = TypeAdapter(list[AnyStep])


class Workflow(Definition):
    """What every workflow has. Without a category it has that of its least pressing template."""

    key: NameAsKey | None = None
    name: Name
    type: WorkflowType
    status: Literal["draft", "active", "inactive"] = "draft"
    category: Category | None = None
    send_window: Window | None = None


class StepsWorkflow(Workflow):
    """A series of steps, each after the delay from the start (or from the end of the last wait) that it names."""

    type: Literal[WorkflowType.STEPS]
    steps: list[AnyStep] = Field(min_length=1, max_length=MOST_STEPS)

    @model_validator(mode="after")
    def _steps_are_in_order(self) -> Self:
        names = [step.step_id for step in self.steps]
        for place, step in enumerate(self.steps):
            if step.step_id in names[:place]:
                raise fault(("steps", place, "step_id"), f"there are two steps {step.step_id}")
            before = self.steps[place - 1] if place else None
            if isinstance(before, Step) and step.delay_minutes < before.delay_minutes:
                raise fault(("steps", place, "delay_minutes"), "a step cannot come before the one that it follows")
        if isinstance(self.steps[-1], WaitForEvent):
            raise fault(("steps", len(self.steps) - 1), "a message has to follow a wait")
        return self


class TemplateGroupWorkflow(Workflow):
    """One message on every channel of a template group, all at once."""

    type: Literal[WorkflowType.TEMPLATE_GROUP]
    template_group_key: Annotated[str, Field(min_length=1, max_length=100)]


class Workflows(Shelf[Workflow]):
    """The workflows of all workspaces."""

    table = "workflows"
    noun = "workflow"

    def _read(self, row: Row) -> tuple[Workflow, dict[str, Any]]:
        definition = row["definition"]
        common = {
            "key": row["key"],
            "name": row["name"],
            "status": row["status"],
            "category": Category(definition["category"]) if definition["category"] else None,
            "send_window": definition["send_window"] and Window.model_validate(definition["send_window"]),
        }
        facts = {"version": row["version"], "category": row["category"], "definition": definition}
        if row["type"] == WorkflowType.TEMPLATE_GROUP:
            key = definition["template_group_key"]
            return TemplateGroupWorkflow.model_construct(
                **common, type=WorkflowType.TEMPLATE_GROUP, template_group_key=key
            ), facts
        steps = _steps.validate_python(definition["steps"])
        return StepsWorkflow.model_construct(**common, type=WorkflowType.STEPS, steps=steps), facts

    async def _columns(
        self, connection: Connection, workspace_id: UUID, content: Workflow, current: Stored[Workflow] | None
    ) -> tuple[Any, ...]:
        definition: dict[str, Any] = {
            "category": content.category,
            "send_window": content.send_window and content.send_window.model_dump(mode="json"),
        }
        if isinstance(content, StepsWorkflow):
            wanted = [
                (f"steps.{place}.template_key", step.template_key, step.channel)
                for place, step in enumerate(content.steps)
                if isinstance(step, Step)
            ]
            conditions = {
                f"steps.{place}.condition": step.condition
                for place, step in enumerate(content.steps)
                if isinstance(step, Step)
            }
            require_moderate(conditions, ALL_NAMES)
            definition["steps"] = [step.model_dump(mode="json") for step in content.steps]
        elif isinstance(content, TemplateGroupWorkflow):
            group = await self._group(connection, workspace_id, content)
            wanted = [("template_group_key", key, Channel(channel)) for channel, key in group["templates"].items()]
            definition |= group
        try:
            categories = await template_categories(connection, workspace_id, wanted)
        except InvalidDefinition:
            if content.status == "active":
                raise
            categories = []
        category = content.category or max(categories, key=_IMPORTANCE.index, default=Category.MARKETING)
        return content.key or content.name, content.name, content.type, content.status, category, definition

    async def _group(
        self, connection: Connection, workspace_id: UUID, content: TemplateGroupWorkflow
    ) -> dict[str, Any]:
        key = content.template_group_key
        row = await connection.fetchrow(queries.find_template_group, workspace_id, as_id(key), key)
        if row is None and content.status == "active":
            raise InvalidDefinition([Fault("template_group_key", f"there is no template group {key}")])
        return {
            "template_group_key": key,
            "template_group_id": None if row is None else str(row["id"]),
            "templates": {} if row is None else row["templates"],
        }

    async def _settle(self, connection: Connection, stored: Stored[Workflow], now: datetime) -> Stored[Workflow]:
        if stored.content.status == "active":
            facts = stored.facts
            version = await connection.fetchval(
                queries.publish_workflow, stored.id, facts["definition"], now, facts["category"]
            )
            stored = replace(stored, facts=facts | {"version": version})
            waits = {
                (step.event, step.correlation)
                for step in map(workflow_step, facts["definition"].get("steps") or ())
                if isinstance(step, WaitStep)
            }
            for event, correlation in sorted(waits):
                await connection.execute(queries.note_wait, stored.workspace_id, event, stored.id, correlation)
        return await super()._settle(connection, stored, now)

    def _deletion(self, now: datetime) -> tuple[Any, ...]:
        return (now,)
