"""Trigger rules: an event's name, a filter and a data mapping, and the workflow that they start."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self
from uuid import UUID

from pydantic import Field, field_validator, model_validator

from sluice_catalog.conditions import EVENT_AND_CONTACT, MAX_SOURCE_LENGTH
from sluice_catalog.definitions.contact import ExternalId
from sluice_catalog.definitions.problems import Fault, InvalidDefinition
from sluice_catalog.definitions.segments import checked_condition, require_moderate
from sluice_catalog.definitions.shelf import Shelf, Stored, as_id, queries
from sluice_catalog.definitions.words import Definition, EventName, Name, NameAsKey, fault
from sluice_catalog.mapping import VariableType, converted
from sluice_catalog.paths import MOST_PATH_LENGTH, checked_path
from sluice_catalog.rows import Row
from sluice_contracts.vocabulary import Category
from sluice_storage.database import Connection

MOST_VARIABLES: Final = 100
MOST_EXCLUDED: Final = 1000
LONGEST_GAP_MINUTES: Final = 366 * 24 * 60


class Variable(Definition):
    """One variable of the trigger, taken from the event's data."""

    variable: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$", examples=["total"])]
    path: Annotated[str, Field(min_length=1, max_length=MOST_PATH_LENGTH, examples=["$.order.total"])]
    type: VariableType = "json"
    default: Any = Field(default=None, description="Used where the path finds nothing, or null.")
    required: bool = Field(default=False, description="Without a value and a default, no trigger is made.")

    @field_validator("path")
    @classmethod
    def _compiles(cls, path: str) -> str:
        return checked_path(path)

    @model_validator(mode="after")
    def _default_is_of_the_type(self) -> Self:
        if self.default is not None:
            try:
                converted(self.default, self.type)
            except ValueError as error:
                raise fault(("default",), str(error)) from error
        return self


class TriggerRule(Definition):
    """Whenever the event comes and the filter matches, the workflow starts for the event's contact."""

    key: NameAsKey | None = None
    name: Name
    status: Literal["draft", "active", "inactive"] = "draft"
    event: EventName
    filter: (
        Annotated[str, Field(max_length=MAX_SOURCE_LENGTH, examples=["event.data.total > 10 && 'vip' in contact.tags"])]
        | None
    ) = None
    mapping: list[Variable] = Field(default_factory=list, max_length=MOST_VARIABLES)
    workflow: Annotated[
        str, Field(min_length=1, max_length=200, description="The workflow's name, its key or our id of it.")
    ]
    once_per_contact: bool = False
    reentry_gap_minutes: Annotated[int, Field(ge=1, le=LONGEST_GAP_MINUTES)] | None = None
    excluded_contacts: list[ExternalId] = Field(default_factory=list, max_length=MOST_EXCLUDED)
    category: Category | None = Field(default=None, description="The workflow's own where it is left out.")
    campaign_name: Name | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)

    @field_validator("filter")
    @classmethod
    def _filter_compiles(cls, source: str | None) -> str | None:
        return None if source is None else checked_condition(source, EVENT_AND_CONTACT)

    @model_validator(mode="after")
    def _variables_are_different(self) -> Self:
        names = [variable.variable for variable in self.mapping]
        for place, name in enumerate(names):
            if name in names[:place]:
                raise fault(("mapping", place, "variable"), f"there are two variables {name}")
        return self


class TriggerRules(Shelf[TriggerRule]):
    """The trigger rules of all workspaces."""

    table = "trigger_rules"
    noun = "trigger rule"

    def _read(self, row: Row) -> tuple[TriggerRule, dict[str, Any]]:
        plain = {name: row[name] for name in ("key", "name", "status", "event", "workflow")}
        return TriggerRule.model_validate({**plain, **row["definition"]}), {"workflow_id": row["workflow_id"]}

    async def _columns(
        self, connection: Connection, workspace_id: UUID, content: TriggerRule, current: Stored[TriggerRule] | None
    ) -> tuple[Any, ...]:
        require_moderate({"filter": content.filter}, EVENT_AND_CONTACT)
        named = content.workflow
        row = await connection.fetchrow(queries.find_workflow, workspace_id, as_id(named), named)
        if content.status == "active" and (row is None or row["status"] != "active"):
            what = f"there is no workflow {named}" if row is None else f"the workflow {named} is {row['status']}"
            raise InvalidDefinition([Fault("workflow", what)])
        definition = content.model_dump(mode="json", exclude={"key", "name", "status", "event", "workflow"})
        workflow_id = None if row is None else row["id"]
        key = content.key or content.name
        return key, content.name, content.status, content.event, named, workflow_id, definition
