"""Making a trigger do what it says: a workflow and a trigger rule of ours, which come and go with its status.

Both bear the trigger's id in their key, so that a call that was cut off in between is completed by its repeat.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final
from uuid import UUID

from pydantic import ValidationError

from sluice_catalog.businesses import Business
from sluice_catalog.definitions.pocketflows import PocketflowsTrigger
from sluice_catalog.definitions.problems import Fault, InvalidDefinition, NotThere
from sluice_catalog.definitions.shelf import Stored
from sluice_catalog.definitions.templates import Template, Templates
from sluice_catalog.definitions.trigger_rules import TriggerRule, TriggerRules
from sluice_catalog.definitions.workflows import StepsWorkflow, Workflow, Workflows
from sluice_contracts.vocabulary import Channel, WorkflowType
from sluice_runtime.clock import Clock
from sluice_storage.database import Database
from status_api.doors.pocketflows.bodies import NewTrigger, Step
from status_api.doors.pocketflows.objects import step_id

_CHANNELS: Final = {"email": Channel.EMAIL, "sms": Channel.SMS}
_NOBODY: Final = UUID(int=0)
_CONTACT: Final = "contact"
_FIELDS: Final = {"event": "project_defined_event", "excluded_contacts": "excluded_customers"}
"""What the trigger calls fields of the rule."""


class Publisher:
    """Writes workflows and rules. Everything that it raises is for the caller to see: InvalidDefinition."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._templates = Templates(database, clock)
        self._workflows = Workflows(database, clock)
        self._rules = TriggerRules(database, clock)

    async def check(self, business: Business, said: NewTrigger) -> None:
        """Return if a trigger of `business` that says so could be published."""
        await self._carried_out(_NOBODY, business, said)

    async def publish(self, trigger: PocketflowsTrigger, said: NewTrigger) -> UUID:
        """Have the trigger answer its event from now on; return its workflow's id."""
        business = Business(trigger.workspace_id, trigger.business)
        workflow, rule = await self._carried_out(trigger.id, business, said)
        workflow_id = await self._put_workflow(trigger.workspace_id, workflow)
        await self._put_rule(trigger.workspace_id, rule)
        return workflow_id

    async def withdraw(self, trigger: PocketflowsTrigger) -> None:
        """Have the trigger answer its event no more; what is under way goes on."""
        try:
            await self._rules.change(
                trigger.workspace_id,
                _key(trigger.id),
                None,
                lambda rule: rule.model_copy(update={"status": "inactive"}),
            )
        except NotThere:
            return

    async def _carried_out(
        self, trigger_id: UUID, business: Business, said: NewTrigger
    ) -> tuple[StepsWorkflow, TriggerRule]:
        templates = [await self._template(business.workspace_id, place, step) for place, step in enumerate(said.steps)]
        with _said_of_the_trigger():
            return _workflow_of(trigger_id, said, templates), _rule_of(trigger_id, business, said, templates)

    async def _template(self, workspace_id: UUID, place: int, step: Step) -> Stored[Template]:
        field, reference = step.template
        where = f"steps.{place}.{field}"
        if reference is None:
            raise InvalidDefinition([Fault(where, f"a step of type {step.type} needs it")])
        try:
            template = await self._templates.get(workspace_id, reference)
        except NotThere:
            raise InvalidDefinition([Fault(where, f"there is no template {reference}")]) from None
        channel = _CHANNELS.get(step.type, template.content.channel)
        if template.content.channel != channel:
            raise InvalidDefinition([Fault(where, f"the template {reference} is for {template.content.channel.value}")])
        return template

    async def _put_workflow(self, workspace_id: UUID, workflow: StepsWorkflow) -> UUID:
        def replaced(_: Workflow) -> Workflow:
            return workflow

        try:
            return (await self._workflows.change(workspace_id, str(workflow.key), None, replaced)).id
        except NotThere:
            return (await self._workflows.create(workspace_id, workflow)).id

    async def _put_rule(self, workspace_id: UUID, rule: TriggerRule) -> None:
        try:
            await self._rules.change(workspace_id, str(rule.key), None, lambda _: rule)
        except NotThere:
            await self._rules.create(workspace_id, rule)


def _key(trigger_id: UUID) -> str:
    return f"pocketflows-{trigger_id}"


def _workflow_of(trigger_id: UUID, said: NewTrigger, templates: Sequence[Stored[Template]]) -> StepsWorkflow:
    steps = [
        {
            "step_id": step_id(place),
            "step_name": step.custom_step or f"{step.type} {place + 1}",
            "channel": template.content.channel,
            "template_key": template.content.key,
            "delay_minutes": step.delay_minutes or 0,
        }
        for place, (step, template) in enumerate(zip(said.steps, templates, strict=True))
    ]
    name = f"{said.name} ({trigger_id.hex[-12:]})"
    return StepsWorkflow.model_validate(
        {"key": _key(trigger_id), "name": name, "type": WorkflowType.STEPS, "status": "active", "steps": steps}
    )


def _rule_of(
    trigger_id: UUID, business: Business, said: NewTrigger, templates: Sequence[Stored[Template]]
) -> TriggerRule:
    conditions = [business.condition, said.filter and f"({said.filter})"]
    return TriggerRule.model_validate(
        {
            "key": _key(trigger_id),
            "name": said.name,
            "status": "active",
            "event": said.project_defined_event,
            "filter": " && ".join(filter(None, conditions)) or None,
            "mapping": [{"variable": name, "path": f"$.{name}"} for name in _variables(templates)],
            "workflow": _key(trigger_id),
            "excluded_contacts": said.excluded_customers,
            "campaign_name": said.name,
            "metadata": said.metadata or {},
        }
    )


def _variables(templates: Sequence[Stored[Template]]) -> list[str]:
    """What the templates ask for beside the contact: an event's data bears it under the same name."""
    roots = {reference.partition(".")[0] for template in templates for reference in template.facts["variables"]}
    return sorted(root for root in roots if root != _CONTACT and not root.startswith(f"{_CONTACT}_"))


@contextmanager
def _said_of_the_trigger() -> Iterator[None]:
    """Turn what is wrong with our definitions into what is wrong with the trigger's fields."""
    try:
        yield
    except ValidationError as error:
        faults: list[Fault] = []
        for item in error.errors(include_url=False, include_context=False, include_input=False):
            path: tuple[Any, ...] = item["loc"]
            field = ".".join(str(step) for step in (_FIELDS.get(path[0], path[0]), *path[1:])) if path else ""
            faults.append(Fault(field, item["msg"].removeprefix("Value error, ")))
        raise InvalidDefinition(faults) from error
