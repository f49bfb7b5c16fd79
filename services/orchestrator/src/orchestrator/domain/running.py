"""What is remembered of a trigger and its executions while they run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from orchestrator.domain.plan import ExecutionPlan, Plan
from sluice_contracts.identifiers import PAGE_SIZE
from sluice_contracts.messages.content import Content
from sluice_contracts.messages.trigger import AddressRecipients, ContactRecipients, TriggerAccepted


class Mode(StrEnum):
    """What somebody wants of a trigger, or that it can never be carried out."""

    RUNNING = "running"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class RunningTrigger:
    """A trigger as it was accepted and planned. `cohort_total` is None until its audience has been walked."""

    accepted: TriggerAccepted
    plan: Plan
    mode: Mode
    mode_at: datetime | None
    cohort_total: int | None


@dataclass(frozen=True, slots=True)
class FailedTrigger:
    """A trigger that can never be carried out."""

    trigger_id: UUID
    workspace_id: UUID
    at: datetime
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class StartedExecution:
    """What has happened of an execution. It exists from its start on.

    `commanded` jobs were commanded in round 0; `never_commanded` were not and will not be. `finished_at` is when the
    last was commanded.
    """

    execution_id: UUID
    content: Content
    started_at: datetime
    expected: int
    commanded: int = 0
    never_commanded: int = 0
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """Jobs of one page that are to be carried out, until a worker has answered: (execution_id, page, round) names it.

    `attempts` are hand-overs tried before, one for each of `seqs`. A command with `credit` counts against what its
    stage may have under way. `sends` is how often it was published.
    """

    trigger_id: UUID
    step_order: int
    execution_id: UUID
    page: int
    round: int
    epoch: int
    seqs: tuple[int, ...]
    attempts: tuple[int, ...]
    credit: bool
    sends: int
    opened_at: datetime
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a trigger on its way through the cohort.

    Everything before `next_page` is commanded, and everything before `emitted_pages` is certainly published (-1:
    not even the start). `cursor` is the last contact that was taken from the audience. `ended`: nothing is left but
    to say so.
    """

    trigger_id: UUID
    step_order: int
    workspace_id: UUID
    walks: bool
    next_page: int
    emitted_pages: int
    cursor: UUID | None
    open: int
    ended: bool
    due_at: datetime


def has_audience(trigger: TriggerAccepted) -> bool:
    """Whether the recipients have to be looked up page by page, as opposed to being named by the caller."""
    return not isinstance(trigger.recipients, ContactRecipients | AddressRecipients)


def never_commanded(expected_positions: int, pages_commanded: int) -> int:
    """Return how many positions of a stage are left when it is stopped after `pages_commanded` full pages."""
    return max(0, expected_positions - pages_commanded * PAGE_SIZE)


def execution_of(plan: Plan, execution_id: UUID) -> ExecutionPlan | None:
    """Return the planned execution with this id, None when the plan has none such."""
    return next((item for item in plan.executions if item.execution_id == execution_id), None)
