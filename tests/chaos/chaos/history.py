"""What is known of one run, from outside alone: asked, answered, shown, handed over, logged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

FINAL_JOBS: Final = frozenset({"sent", "failed", "filtered", "cancelled"})
FINAL_TRIGGERS: Final = frozenset({"completed", "failed", "cancelled"})
UNCERTAIN: Final = "uncertain"


class Policy(StrEnum):
    """What becomes of a message of which nobody can say whether the provider has it."""

    HOLD = "hold"
    RESEND = "resend"


class Act(StrEnum):
    """What is asked of a trigger that is under way."""

    CANCEL = "cancel"
    PAUSE = "pause"
    RESUME = "resume"
    RETRY = "retry"


@dataclass(frozen=True, slots=True)
class Action:
    """Something that was asked of a trigger. Moments are seconds since 1970.

    `accepted_at`: it was answered with 202. `shown_at`: the trigger was seen to be cancelled, or paused.
    """

    act: Act
    asked_at: float
    accepted_at: float | None = None
    shown_at: float | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One request of the load. `mark` is in every message that it leads to; `trigger_ids` are all that it led to.

    `people` says for each channel who is to get a message: addresses. `event_ids`: all that it was answered where it
    told an event.
    """

    mark: str
    workspace: str
    what: str
    policy: Policy
    people: Mapping[str, frozenset[str]]
    trigger_ids: tuple[str, ...] = ()
    actions: Sequence[Action] = ()
    event_ids: tuple[str, ...] = ()

    def last(self, act: Act) -> Action | None:
        """Return the last action of a kind that was asked for."""
        return next((action for action in reversed(self.actions) if action.act is act), None)


@dataclass(frozen=True, slots=True)
class Job:
    """One row of a list of jobs."""

    id: str
    channel: str
    address: str
    status: str
    code: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution as the ledger shows it, with all its jobs as their list shows them."""

    id: str
    channel: str
    counters: Mapping[str, int]
    jobs: Sequence[Job]


@dataclass(frozen=True, slots=True)
class Trigger:
    """One trigger as its workspace sees it; `ledger` holds the sums over its executions."""

    id: str
    workspace: str
    status: str
    ledger: Mapping[str, int]
    executions: Sequence[Execution]


@dataclass(frozen=True, slots=True)
class HandOver:
    """What a provider wrote down when it got a message. `answered` is False where it swallowed it without a word.

    `at` is in seconds since 1970. `workspace` is the one whose account it came through. `receipt_at` is when its
    receipt was taken from the provider, where one was.
    """

    at: float
    workspace: str
    channel: str
    mark: str
    address: str
    answered: bool = True
    job_id: str | None = None
    receipt_at: float | None = None


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What may leave hand-overs of `channel` in doubt: `kills` processes of its worker ended or paused from `at` on."""

    at: float
    until: float
    channel: str
    kills: int = 1


@dataclass(frozen=True, slots=True)
class Refusal:
    """A provider refused a message for good, once: the next attempt would have been taken."""

    at: float
    mark: str
    channel: str
    address: str


@dataclass(frozen=True, slots=True)
class Deferral:
    """A provider asked to be called again later with a message to somebody."""

    at: float
    channel: str
    address: str


@dataclass(frozen=True, slots=True)
class Loss:
    """A topic had lost its log by the moment `at`."""

    at: float
    topic: str


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that a consumer gave up."""

    topic: str
    place: str
    reason: str


@dataclass(frozen=True, slots=True)
class Leak:
    """Something personal or secret in a log; `kind` says what, so that the report does not show it again."""

    file: str
    line: int
    kind: str
    event: str


@dataclass(frozen=True, slots=True)
class Sight:
    """Something of `owner` that `viewer`, another workspace, could see."""

    viewer: str
    owner: str
    what: str


@dataclass(slots=True)
class History:
    """Everything that the checker is given."""

    requests: Sequence[Request] = ()
    triggers: Sequence[Trigger] = ()
    hand_overs: Sequence[HandOver] = ()
    disturbances: Sequence[Disturbance] = ()
    refusals: Sequence[Refusal] = ()
    deferrals: Sequence[Deferral] = ()
    losses: Sequence[Loss] = ()
    dead_letters: Sequence[DeadLetter] = ()
    leaks: Sequence[Leak] = ()
    sights: Sequence[Sight] = ()
    unknown_triggers: Sequence[str] = ()
