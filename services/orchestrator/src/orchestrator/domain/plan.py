"""The plan of a trigger: which executions there will be and when. Decided once, then frozen."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby
from uuid import UUID

from pydantic import Field

from sluice_catalog.mapping import as_text
from sluice_catalog.models import WaitStep, WorkflowStep, WorkflowVersion
from sluice_contracts.base import Instant, Part
from sluice_contracts.identifiers import derived_id, execution_id_for
from sluice_contracts.messages.content import Content, SendWindow
from sluice_contracts.messages.execution import PlannedExecution, PlannedWait, TriggerPlanned
from sluice_contracts.messages.trigger import TriggerAccepted
from sluice_contracts.vocabulary import Channel, FlowType, WorkflowType


class UnplannableTriggerError(Exception):
    """The trigger can never be carried out; `code` is for machines, the message for people."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class ExecutionPlan(Part):
    """One channel inside one step. A direct send brings its `content`; a workflow names a `template_key`.

    `scheduled_for` counts `delay_minutes` from the trigger's start, not from the step before. Where the step stands
    behind a wait (`after_wait` is its order), it counts from the end of the wait, which is the latest that it can be.
    """

    execution_id: UUID
    step_id: str
    step_order: int = 1
    step_name: str
    channel: Channel
    delay_minutes: int = 0
    scheduled_for: Instant
    content: Content | None = None
    template_key: str | None = None
    condition: str | None = None
    window: SendWindow | None = None
    after_wait: int | None = None


class WaitPlan(Part):
    """A step in which each contact waits for an event. `correlation` says how an event finds them: see `WaitStep`.

    `key` is what such an event says of itself; None where each contact has a key of its own. `scheduled_for` and
    `after_wait` are those of an execution.
    """

    step_id: str
    step_order: int
    step_name: str = ""
    event: str
    timeout_minutes: int
    correlation: str
    key: str | None = None
    delay_minutes: int = 0
    scheduled_for: Instant
    after_wait: int | None = None


class Plan(Part):
    """All executions of a trigger, in the order of their steps.

    The executions of one step form a stage: they start together and are fed by one pass over the cohort. Only a
    template group has stages of more than one execution. `traceparent` names the span that accepted the trigger.
    """

    trigger_id: UUID
    workspace_id: UUID
    flow_type: FlowType
    planned_at: Instant
    starts_at: Instant
    workflow_type: WorkflowType | None = None
    workflow_id: UUID | None = None
    workflow_name: str | None = None
    template_group_id: UUID | None = None
    executions: list[ExecutionPlan] = Field(min_length=1)
    waits: list[WaitPlan] = Field(default_factory=list)
    traceparent: str | None = None

    @property
    def stages(self) -> dict[int, list[ExecutionPlan]]:
        """The executions of each step, by the step's order."""
        return {order: list(group) for order, group in groupby(self.executions, key=lambda item: item.step_order)}

    @property
    def first_stage(self) -> int | None:
        """The step that starts first, and so the one that walks an audience for all others.

        None where that is a wait.
        """
        first = min(
            (item for item in self._steps if item.after_wait is None),
            key=lambda item: (item.scheduled_for, item.step_order),
        )
        return first.step_order if isinstance(first, ExecutionPlan) else None

    @property
    def _steps(self) -> list[ExecutionPlan | WaitPlan]:
        return [*self.executions, *self.waits]

    def following(self, wait_order: int) -> list[ExecutionPlan | WaitPlan]:
        """Return the steps that are reached from the end of a wait: messages, and the next wait."""
        return [item for item in self._steps if item.after_wait == wait_order]

    def wait(self, step_order: int) -> WaitPlan | None:
        """Return the wait that is the step of this order, None where that is no wait."""
        return next((wait for wait in self.waits if wait.step_order == step_order), None)

    @property
    def asks_for_outcomes(self) -> bool:
        """Whether a condition may look at what became of earlier steps."""
        return any("steps" in (execution.condition or "") for execution in self.executions)

    def announcement(self) -> TriggerPlanned:
        """Return the message that says what will exist."""
        return TriggerPlanned(
            trigger_id=self.trigger_id,
            workspace_id=self.workspace_id,
            planned_at=self.planned_at,
            starts_at=self.starts_at,
            flow_type=self.flow_type,
            workflow_type=self.workflow_type,
            workflow_id=self.workflow_id,
            workflow_name=self.workflow_name,
            workflow_execution_id=(
                derived_id(self.trigger_id, "workflow-execution") if self.flow_type is FlowType.WORKFLOW else None
            ),
            template_group_id=self.template_group_id,
            executions=[
                PlannedExecution(
                    execution_id=execution.execution_id,
                    step_id=execution.step_id,
                    step_order=execution.step_order,
                    step_name=execution.step_name,
                    channel=execution.channel,
                    delay_minutes=execution.delay_minutes,
                    scheduled_for=execution.scheduled_for,
                )
                for execution in self.executions
            ],
            waits=[
                PlannedWait(
                    step_id=wait.step_id,
                    step_order=wait.step_order,
                    step_name=wait.step_name,
                    event=wait.event,
                    timeout_minutes=wait.timeout_minutes,
                    delay_minutes=wait.delay_minutes,
                    scheduled_for=wait.scheduled_for,
                )
                for wait in self.waits
            ],
        )


def make_plan(trigger: TriggerAccepted, workflow: WorkflowVersion | None, now: datetime) -> Plan:
    """Plan `trigger` as taken up at `now`; `workflow` is the version that it names, where it names one.

    Times are cut to milliseconds, so that a plan that was stored and read again is the same plan. Raises
    UnplannableTriggerError when there is nothing that could be carried out.
    """
    planned_at = _to_milliseconds(now)
    starts_at = max(planned_at, trigger.trigger_at) if trigger.trigger_at else planned_at
    if trigger.plan.kind == "direct":
        channel = trigger.plan.channel
        return Plan(
            trigger_id=trigger.trigger_id,
            workspace_id=trigger.workspace_id,
            flow_type=trigger.flow_type,
            planned_at=planned_at,
            starts_at=starts_at,
            executions=[
                ExecutionPlan(
                    execution_id=execution_id_for(trigger.trigger_id, 1, channel),
                    step_id=str(channel),
                    step_name=str(channel),
                    channel=channel,
                    scheduled_for=starts_at,
                    content=trigger.plan.content,
                )
            ],
        )
    if workflow is None or workflow.workspace_id != trigger.workspace_id:
        raise UnplannableTriggerError("workflow_gone", f'The workflow "{trigger.plan.name}" does not exist any more')
    waits: list[WaitPlan] = []
    if workflow.type is WorkflowType.TEMPLATE_GROUP:
        executions = _group_executions(trigger.trigger_id, workflow, starts_at)
    else:
        executions, waits = _step_plans(trigger, workflow.steps, workflow.send_window, starts_at)
    if not executions:
        raise UnplannableTriggerError("workflow_empty", f'The workflow "{workflow.name}" has nothing to send')
    return Plan(
        trigger_id=trigger.trigger_id,
        workspace_id=trigger.workspace_id,
        flow_type=trigger.flow_type,
        planned_at=planned_at,
        starts_at=starts_at,
        workflow_type=workflow.type,
        workflow_id=workflow.workflow_id,
        workflow_name=workflow.name,
        template_group_id=workflow.template_group_id,
        executions=executions,
        waits=waits,
    )


def _step_plans(
    trigger: TriggerAccepted,
    steps: Sequence[WorkflowStep | WaitStep],
    window: SendWindow | None,
    starts_at: datetime,
) -> tuple[list[ExecutionPlan], list[WaitPlan]]:
    """Return the messages and the waits of a series; what stands behind a wait counts its delay from there."""
    executions: list[ExecutionPlan] = []
    waits: list[WaitPlan] = []
    base, after_wait = starts_at, None
    for order, step in enumerate(steps, start=1):
        scheduled_for = base + timedelta(minutes=step.delay_minutes)
        if isinstance(step, WaitStep):
            waits.append(
                WaitPlan(
                    step_id=step.step_id,
                    step_order=order,
                    step_name=step.step_name,
                    event=step.event,
                    timeout_minutes=step.timeout_minutes,
                    correlation=step.correlation,
                    key=None if step.variable is None else as_text(trigger.variables.get(step.variable)) or "",
                    delay_minutes=step.delay_minutes,
                    scheduled_for=scheduled_for,
                    after_wait=after_wait,
                )
            )
            base, after_wait = scheduled_for + timedelta(minutes=step.timeout_minutes), order
        else:
            executions.append(
                ExecutionPlan(
                    execution_id=execution_id_for(trigger.trigger_id, order, step.channel),
                    step_id=step.step_id,
                    step_order=order,
                    step_name=step.step_name,
                    channel=step.channel,
                    delay_minutes=step.delay_minutes,
                    scheduled_for=scheduled_for,
                    template_key=step.template_key,
                    condition=step.condition,
                    window=step.send_window or window,
                    after_wait=after_wait,
                )
            )
    return executions, waits


def _group_executions(trigger_id: UUID, workflow: WorkflowVersion, starts_at: datetime) -> list[ExecutionPlan]:
    return [
        ExecutionPlan(
            execution_id=execution_id_for(trigger_id, 1, channel),
            step_id=str(channel),
            step_name=str(channel),
            channel=channel,
            scheduled_for=starts_at,
            template_key=template_key,
            window=workflow.send_window,
        )
        for channel, template_key in workflow.templates
    ]


def _to_milliseconds(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
