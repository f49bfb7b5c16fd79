"""What the topics `executions` and `control` are told. Derived from what is stored, so that it can be said again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from orchestrator.domain.running import FailedTrigger, Mode, RunningTrigger, StartedExecution
from sluice_contracts.base import Message
from sluice_contracts.messages.control import TriggerControl
from sluice_contracts.messages.execution import (
    CohortCounted,
    ExecutionCommanded,
    ExecutionStarted,
    TriggerControlled,
    TriggerFailed,
)


def failure(trigger: FailedTrigger) -> TriggerFailed:
    """Say that a trigger can never be carried out."""
    return TriggerFailed(
        trigger_id=trigger.trigger_id,
        workspace_id=trigger.workspace_id,
        at=trigger.at,
        code=trigger.code,
        detail=trigger.detail,
    )


def everything(trigger: RunningTrigger, executions: Sequence[StartedExecution]) -> list[Message]:
    """Say all that is known of a trigger, from its plan to its end."""
    return [
        trigger.plan.announcement(),
        *started(trigger, executions),
        *finished(trigger, executions),
        *controlled(trigger),
    ]


def started(trigger: RunningTrigger, executions: Sequence[StartedExecution]) -> Iterator[Message]:
    """Say which executions have started and how many contacts there are, as far as that is known."""
    ids = {"trigger_id": trigger.plan.trigger_id, "workspace_id": trigger.plan.workspace_id}
    for execution in executions:
        yield ExecutionStarted(
            **ids,
            execution_id=execution.execution_id,
            started_at=execution.started_at,
            expected=execution.expected,
        )
    if executions and trigger.cohort_total is None:
        yield CohortCounted(
            **ids,
            at=min(execution.started_at for execution in executions),
            total_contacts=max(execution.expected for execution in executions),
            final=False,
        )


def finished(trigger: RunningTrigger, executions: Sequence[StartedExecution]) -> Iterator[Message]:
    """Say which executions have been commanded to the end, and the exact number of contacts."""
    ids = {"trigger_id": trigger.plan.trigger_id, "workspace_id": trigger.plan.workspace_id}
    if trigger.cohort_total is not None:
        yield CohortCounted(**ids, at=trigger.plan.planned_at, total_contacts=trigger.cohort_total, final=True)
    for execution in executions:
        if execution.finished_at is not None:
            yield ExecutionCommanded(
                **ids,
                execution_id=execution.execution_id,
                at=execution.finished_at,
                total=execution.commanded + execution.never_commanded,
                cancelled=execution.never_commanded,
            )


def controlled(trigger: RunningTrigger) -> Iterator[Message]:
    """Say that a trigger was cancelled, paused or resumed, when it ever was."""
    if trigger.mode_at is None:
        return
    changes = {Mode.CANCELLED: "cancelled", Mode.PAUSED: "paused", Mode.RUNNING: "resumed"}
    yield TriggerControlled.model_validate(
        {
            "trigger_id": trigger.plan.trigger_id,
            "workspace_id": trigger.plan.workspace_id,
            "at": trigger.mode_at,
            "change": changes[trigger.mode],
        }
    )


def control(trigger: RunningTrigger, at: datetime) -> TriggerControl:
    """Return the word to the workers on how to go on with a trigger's jobs."""
    return TriggerControl.model_validate(
        {
            "trigger_id": trigger.plan.trigger_id,
            "workspace_id": trigger.plan.workspace_id,
            "at": at,
            "mode": trigger.mode,
        }
    )
