"""What follows from a trigger's row and its executions' rows: statuses, times and sums. Nothing here is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sluice_contracts.identifiers import execution_id_for
from sluice_contracts.status import JobCounts, Status, execution_status, step_statuses, trigger_status
from sluice_contracts.vocabulary import FlowType, WorkflowType
from status_api.domain.rows import ExecutionRow, TriggerRow


@dataclass(frozen=True, slots=True)
class Overview:
    """A trigger with its executions, in the order of steps and channels."""

    trigger: TriggerRow
    executions: Sequence[ExecutionRow]

    @property
    def status(self) -> Status:
        """The status of the whole. Before the plan is known, whatever runs already only shows that something does."""
        trigger = self.trigger
        progress = [execution.progress for execution in self.executions]
        if trigger.planned_at is None and not trigger.failed and any(part.started for part in progress):
            return Status.PROCESSING
        if trigger.planned_at is None:
            progress = []
        return trigger_status(progress, cancelled=trigger.cancelled, failed=trigger.failed)

    def execution_status(self, execution: ExecutionRow) -> Status:
        """Return the status of one execution of this trigger."""
        return execution_status(
            execution.progress, trigger_cancelled=self.trigger.cancelled, trigger_failed=self.trigger.failed
        )

    def step_statuses(self) -> list[Status]:
        """Return the status of each execution as a step."""
        return step_statuses(
            [execution.progress for execution in self.executions],
            paused=self.trigger.paused,
            trigger_cancelled=self.trigger.cancelled,
            trigger_failed=self.trigger.failed,
        )

    def completed_at(self, execution: ExecutionRow) -> datetime | None:
        """Return when the last job of an execution ended, None while any is open."""
        if not self.execution_status(execution).is_final:
            return None
        ends = [execution.started_at, execution.commanded_at, execution.last_ended_at]
        if execution.started_at is None and execution.last_ended_at is None:
            ends += [self.trigger.cancelled_at, self.trigger.failed_at]
        return max((end for end in ends if end is not None), default=None)

    @property
    def started_at(self) -> datetime | None:
        """When the first execution started."""
        return min((part.started_at for part in self.executions if part.started_at is not None), default=None)

    @property
    def ended_at(self) -> datetime | None:
        """When the last execution ended, None while the trigger is under way."""
        if not self.status.is_final:
            return None
        ends = [self.completed_at(execution) for execution in self.executions]
        known = [end for end in ends if end is not None]
        if not known:
            known = [at for at in (self.trigger.failed_at, self.trigger.cancelled_at) if at is not None]
        return max(known, default=None)

    @property
    def duration_seconds(self) -> float | None:
        """Seconds from the start to the end, None before the end or without a start."""
        return seconds_between(self.started_at, self.ended_at)

    @property
    def queue_seconds(self) -> float | None:
        """Seconds from accepting the request to the start, None before it."""
        return seconds_between(self.trigger.accepted_at, self.started_at)

    @property
    def total_contacts(self) -> int:
        """Distinct contacts of the trigger: exact once counted, until then as many as are known of."""
        if self.trigger.counted_contacts is not None:
            return self.trigger.counted_contacts
        largest = max((execution.counts.total for execution in self.executions), default=0)
        return max(self.trigger.estimated_contacts or 0, self.trigger.requested_contacts or 0, largest)

    @property
    def totals(self) -> JobCounts:
        """The jobs of all executions together."""
        counts = [execution.counts for execution in self.executions]
        return JobCounts(
            total=sum(part.total for part in counts),
            sent=sum(part.sent for part in counts),
            failed=sum(part.failed for part in counts),
            filtered=sum(part.filtered for part in counts),
            cancelled=sum(part.cancelled for part in counts),
        )

    @property
    def cost_micros(self) -> int:
        """What the sent messages of all executions cost, in millionths of a US dollar."""
        return sum(execution.cost_micros for execution in self.executions)


def overview(trigger: TriggerRow, executions: Sequence[ExecutionRow]) -> Overview:
    """Return the trigger with its executions in order.

    A direct trigger has its one execution from the moment it is accepted: its id follows from the trigger's.
    """
    if trigger.flow_type is FlowType.DIRECT_CHANNEL and trigger.channel is not None and not executions:
        execution_id = execution_id_for(trigger.trigger_id, 1, trigger.channel)
        executions = [
            ExecutionRow(execution_id, trigger.trigger_id, trigger.channel, expected=trigger.requested_contacts)
        ]
    return Overview(trigger, sorted(executions, key=lambda part: (part.step_order or 0, part.channel)))


def is_template_group(trigger: TriggerRow) -> bool:
    """Whether the trigger's workflow sends on several channels at once."""
    return trigger.workflow_type is WorkflowType.TEMPLATE_GROUP


def seconds_between(start: datetime | None, end: datetime | None) -> float | None:
    """Return the seconds from `start` to `end`, to the millisecond and never negative; None if either is unknown."""
    if start is None or end is None:
        return None
    return max(0.0, round((end - start).total_seconds(), 3))
