"""Status as a pure function of a plan and its counts. Nobody stores a status, so none can stick."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """What a trigger, a step or an execution is doing. Only steps are ever `scheduled`."""

    PENDING = "pending"
    SCHEDULED = "scheduled"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen unless somebody asks for a retry."""
        return self in {Status.COMPLETED, Status.FAILED, Status.CANCELLED}


@dataclass(frozen=True, slots=True)
class JobCounts:
    """How many jobs of an execution there are and how many have ended in each way.

    Invariant: `total = sent + failed + filtered + cancelled + open`, with no term negative.
    """

    total: int = 0
    sent: int = 0
    failed: int = 0
    filtered: int = 0
    cancelled: int = 0

    @property
    def accounted(self) -> int:
        """Jobs that have ended."""
        return self.sent + self.failed + self.filtered + self.cancelled

    @property
    def open(self) -> int:
        """Jobs that have not ended."""
        return self.total - self.accounted

    @classmethod
    def of(cls, expected: int, *, sent: int, failed: int, filtered: int, cancelled: int) -> JobCounts:
        """Return counts that balance even while an estimate (`expected`) is behind the jobs already reported."""
        return cls(max(expected, sent + failed + filtered + cancelled), sent, failed, filtered, cancelled)


@dataclass(frozen=True, slots=True)
class ExecutionProgress:
    """What is known of one execution. `commanded` says that `counts.total` is exact and final."""

    counts: JobCounts
    started: bool
    commanded: bool


def execution_status(
    progress: ExecutionProgress, *, trigger_cancelled: bool = False, trigger_failed: bool = False
) -> Status:
    """Return the status of one execution.

    It is completed when nothing is open and at least one job was not cancelled; failed when every job failed, or when
    the trigger could not be carried out; sent 0 and filtered 1 is completed: nothing went wrong.
    """
    counts = progress.counts
    if not progress.started:
        if trigger_failed:
            return Status.FAILED
        return Status.CANCELLED if trigger_cancelled else Status.PENDING
    if counts.open or not progress.commanded:
        return Status.FAILED if trigger_failed else Status.PROCESSING
    if counts.total and counts.cancelled == counts.total:
        return Status.CANCELLED
    if counts.failed and counts.failed + counts.cancelled == counts.total:
        return Status.FAILED
    return Status.COMPLETED


def step_statuses(
    steps: Sequence[ExecutionProgress],
    *,
    paused: bool = False,
    trigger_cancelled: bool = False,
    trigger_failed: bool = False,
) -> list[Status]:
    """Return the status of each step of a workflow, in order: of those not started, only the next is `scheduled`."""
    statuses = [
        execution_status(step, trigger_cancelled=trigger_cancelled, trigger_failed=trigger_failed) for step in steps
    ]
    next_step = next((place for place, status in enumerate(statuses) if status is Status.PENDING), None)
    if next_step is not None and next_step > 0 and not paused:
        statuses[next_step] = Status.SCHEDULED
    return statuses


def trigger_status(executions: Sequence[ExecutionProgress], *, cancelled: bool = False, failed: bool = False) -> Status:
    """Return the status of a trigger from all the executions that its plan foresees.

    Without a plan (not taken up yet) it is pending, unless it was cancelled or failed before it could be planned.
    """
    if failed:
        return Status.FAILED
    if not executions:
        return Status.CANCELLED if cancelled else Status.PENDING
    statuses = [execution_status(execution, trigger_cancelled=cancelled) for execution in executions]
    if all(status is Status.PENDING for status in statuses):
        return Status.PENDING
    if not all(status.is_final for status in statuses):
        return Status.PROCESSING
    for status in (Status.COMPLETED, Status.FAILED):
        if status in statuses and (status is Status.COMPLETED or not cancelled):
            return Status.CANCELLED if cancelled and Status.CANCELLED in statuses else status
    return Status.CANCELLED if Status.CANCELLED in statuses else Status.FAILED
