"""What all triggers of one workflow came to."""

from __future__ import annotations

from dataclasses import dataclass

from sluice_contracts.vocabulary import Channel


@dataclass(frozen=True, slots=True)
class StepCounts:
    """One step on one channel. `first` and `last` count the jobs that are over where it is a trigger's first or last.

    `bounced` messages were refused for good, `undelivered` ones failed for now; both had been accepted.
    """

    step_id: str
    channel: Channel
    first: int
    last: int
    sent: int
    delivered: int
    opened: int
    clicked: int
    undelivered: int
    bounced: int


@dataclass(frozen=True, slots=True)
class WorkflowCounts:
    """All steps, and how many contacts came in."""

    enrolled: int = 0
    steps: tuple[StepCounts, ...] = ()
