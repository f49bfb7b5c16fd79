"""Steps in which contacts wait for an event, as callers read them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from status_api.domain.presentation.parts import instant, instant_of_milliseconds
from status_api.domain.waits import PersonsWait, WaitStep


def present_wait_steps(steps: Sequence[WaitStep], *, cancelled: bool) -> list[dict[str, Any]]:
    """Return the steps with how many wait, went on, or (`cancelled`: the trigger is) never will."""
    return [
        {
            "step_id": step.step_id,
            "step_order": step.step_order,
            "step_name": step.step_name,
            "event": step.event,
            "timeout_minutes": step.timeout_minutes,
            "delay_minutes": step.delay_minutes,
            "scheduled_for": instant(step.scheduled_for),
            "waiting": 0 if cancelled else step.waiting,
            "received": step.received,
            "timed_out": step.timed_out,
            "cancelled": step.waiting if cancelled else 0,
        }
        for step in steps
    ]


def present_waits_of_person(
    steps: Sequence[WaitStep], waits: Sequence[PersonsWait], *, cancelled_at: datetime | None
) -> list[dict[str, Any]]:
    """Return one contact's waits."""
    by_order = {step.step_order: step for step in steps}
    return [_wait(by_order[wait.step_order], wait, cancelled_at) for wait in waits if wait.step_order in by_order]


def _wait(step: WaitStep, wait: PersonsWait, cancelled_at: datetime | None) -> dict[str, Any]:
    status, ended_at = wait.outcome or "waiting", instant_of_milliseconds(wait.ended_at)
    if wait.outcome is None and cancelled_at is not None:
        status, ended_at = "cancelled", instant(cancelled_at.astimezone(UTC))
    return {
        "step_id": step.step_id,
        "step_order": step.step_order,
        "step_name": step.step_name,
        "event": step.event,
        "status": status,
        "since": instant_of_milliseconds(wait.since),
        "until": instant_of_milliseconds(wait.until),
        "ended_at": ended_at,
        "event_id": None if wait.event_id is None else str(wait.event_id),
    }
