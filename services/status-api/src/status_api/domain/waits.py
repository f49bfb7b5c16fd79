"""What the topic `executions` says of waits for events, as rows: each wait once, in the order of its key."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sluice_contracts.messages.execution import ExecutionMessage, TriggerPlanned, WaitsReported

WaitKey = tuple[UUID, int, int]
"""(trigger, order of the step, position)."""


@dataclass(frozen=True, slots=True)
class WaitFacts:
    """Steps as planned and waits as reported, each as a tuple of its columns. See `waits.sql`."""

    steps: Sequence[tuple[Any, ...]]
    waits: Sequence[tuple[Any, ...]]
    workspaces: dict[UUID, UUID]

    def __bool__(self) -> bool:
        return bool(self.steps or self.waits)


@dataclass(frozen=True, slots=True)
class WaitStep:
    """A step in which people wait; what was planned is None until that is known. Counts are of people."""

    step_order: int
    step_id: str | None
    step_name: str | None
    event: str | None
    timeout_minutes: int | None
    delay_minutes: int | None
    scheduled_for: datetime | None
    waiting: int
    received: int
    timed_out: int


@dataclass(frozen=True, slots=True)
class PersonsWait:
    """One contact's wait, without an outcome while it lasts. Times are Unix milliseconds."""

    step_order: int
    since: int
    until: int
    outcome: str | None
    ended_at: int | None
    event_id: UUID | None


def fold_waits(messages: Iterable[ExecutionMessage]) -> WaitFacts:
    """Return what `messages` say of waits. Of several ends of one wait the latest counts, and any before none."""
    steps: dict[tuple[UUID, int], tuple[Any, ...]] = {}
    waits: dict[WaitKey, tuple[Any, ...]] = {}
    workspaces: dict[UUID, UUID] = {}
    for message in messages:
        match message:
            case TriggerPlanned(waits=planned) if planned:
                for step in planned:
                    steps[message.trigger_id, step.step_order] = (
                        message.trigger_id,
                        step.step_order,
                        message.workspace_id,
                        step.step_id,
                        step.step_name,
                        step.event,
                        step.timeout_minutes,
                        step.delay_minutes,
                        step.scheduled_for,
                    )
            case WaitsReported():
                workspaces[message.trigger_id] = message.workspace_id
                for key, row in _rows(message):
                    if key not in waits or _ended_at(row) > _ended_at(waits[key]):
                        waits[key] = row
    return WaitFacts([steps[key] for key in sorted(steps)], [waits[key] for key in sorted(waits)], workspaces)


def _rows(message: WaitsReported) -> Iterable[tuple[WaitKey, tuple[Any, ...]]]:
    reported = message.waits
    for seq, *columns in zip(
        reported.seq,
        reported.external_id,
        reported.since,
        reported.until,
        reported.outcome,
        reported.ended_at,
        reported.event_id,
        strict=True,
    ):
        key = (message.trigger_id, message.step_order, seq)
        yield key, (*key, *columns)


def _ended_at(row: tuple[Any, ...]) -> int:
    return row[7] or 0
