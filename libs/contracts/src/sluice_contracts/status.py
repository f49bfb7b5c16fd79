"""Status as a pure function of a plan and its counts. Nobody stores a status, so none can stick."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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

    @classmethod
    def sum(cls, parts: Iterable[JobCounts]) -> JobCounts:
        """Return the counts of several executions together."""
        counted = [(part.total, part.sent, part.failed, part.filtered, part.cancelled) for part in parts]
        return cls(*(sum(column) for column in zip(*counted, strict=True)))


@dataclass(frozen=True, slots=True)
class ExecutionProgress:
    """What is known of one execution. `commanded` says that `counts.total` is exact and final."""

    counts: JobCounts
    started: bool
    commanded: bool

    @property
    def begun(self) -> bool:
        """Whether anything of it has happened; a report may well be read before the word that it was started."""
        return self.started or self.commanded or self.counts.accounted > 0


def execution_status(
    progress: ExecutionProgress, *, trigger_cancelled: bool = False, trigger_failed: bool = False
) -> Status:
    """Return the status of one execution.

    Nothing open and at least one job not cancelled is `completed`, also with sent 0 and filtered 1: nothing went wrong.
    It is `failed` where jobs failed and none was sent or filtered, or where the trigger broke off on the way.
    """
    counts = progress.counts
    if not progress.begun:
        if trigger_failed:
            return Status.FAILED
        return Status.CANCELLED if trigger_cancelled else Status.PENDING
    if counts.open or not progress.commanded:
        return Status.FAILED if trigger_failed else Status.PROCESSING
    return _ended(counts)


def step_statuses(
    steps: Sequence[ExecutionProgress],
    *,
    paused: bool = False,
    trigger_cancelled: bool = False,
    trigger_failed: bool = False,
) -> list[Status]:
    """Return the status of each step of a workflow, in order.

    Of the steps that have not begun only the next is `scheduled`; the first never is, and nothing is while paused.
    """
    statuses = [
        execution_status(step, trigger_cancelled=trigger_cancelled, trigger_failed=trigger_failed) for step in steps
    ]
    if Status.PENDING in statuses[1:] and statuses[0] is not Status.PENDING and not paused:
        statuses[statuses.index(Status.PENDING)] = Status.SCHEDULED
    return statuses


def trigger_status(executions: Sequence[ExecutionProgress], *, cancelled: bool = False, failed: bool = False) -> Status:
    """Return the status of a trigger from all the executions that its plan foresees; none while there is no plan.

    Its end follows from the counts of all executions together, by the same rule as an execution's. Only a cancel that
    kept anything from being sent shows as `cancelled`; one that came too late changes nothing.
    """
    if failed:
        return Status.FAILED
    if not executions:
        return Status.CANCELLED if cancelled else Status.PENDING
    statuses = {execution_status(execution, trigger_cancelled=cancelled) for execution in executions}
    if not all(status.is_final for status in statuses):
        return Status.PENDING if statuses == {Status.PENDING} else Status.PROCESSING
    counts = JobCounts.sum(execution.counts for execution in executions)
    kept_back = counts.cancelled > 0 or not all(execution.begun for execution in executions)
    if cancelled and kept_back:
        return Status.CANCELLED
    return _ended(counts)


def _ended(counts: JobCounts) -> Status:
    """Return how jobs of which none is open have ended as a whole."""
    if counts.total and counts.cancelled == counts.total:
        return Status.CANCELLED
    if counts.failed and counts.failed + counts.cancelled == counts.total:
        return Status.FAILED
    return Status.COMPLETED
