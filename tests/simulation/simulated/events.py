"""What happens to people in a run, who waits for it, and what it starts, all drawn from the seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sluice_catalog.models import TriggerRule, WaitStep, WorkflowReference, WorkflowStep, WorkflowVersion
from sluice_contracts.messages.event import EventOccurred
from sluice_contracts.vocabulary import Channel

AWAITED: Final = "paid"
STARTING: Final = "signed_up"
ORDERS: Final = ("o1", "o2")
"""What waits may be for, beside the contact's own events."""

_SOME: Final = 6
"""Events are about the first few people, so that some of them meet."""


def waiting_steps(fate: random.Random, channels: Sequence[Channel]) -> tuple[WorkflowStep | WaitStep, ...]:
    """Return steps of a workflow in which people wait once or twice, with messages before, between and behind."""
    steps: list[WorkflowStep | WaitStep] = []
    if fate.random() < 0.4:
        steps.append(_message(fate, channels, len(steps) + 1, [None]))
    for _ in range(fate.choice([1, 1, 2])):
        wait = f"wait-{len(steps) + 1}"
        variable = "order" if fate.random() < 0.3 else None
        minutes, delay = fate.choice([1, 2, 4]), fate.choice([0, 0, 1])
        steps.append(WaitStep(wait, "Wait", AWAITED, minutes, delay, variable))
        outcome = f"steps['{wait}'].outcome"
        conditions = [None, None, f"{outcome} == 'received'", f"{outcome} == 'timed_out'"]
        if fate.random() < 0.8:
            steps.append(_message(fate, channels, len(steps) + 1, conditions))
    if isinstance(steps[-1], WaitStep):
        steps.append(_message(fate, channels, len(steps) + 1, [None]))
    return tuple(steps)


def rule_for(fate: random.Random, number: int, workflow: WorkflowVersion) -> TriggerRule:
    """Return a rule that starts a workflow: always, once for everybody, or not again too soon."""
    limit = fate.choice(["none", "none", "once", "gap"])
    return TriggerRule(
        rule_id=UUID(int=workflow.workspace_id.int << 48 | number + 1),
        workspace_id=workflow.workspace_id,
        key=f"rule-{number}",
        name=f"Rule {number}",
        status="active",
        event=STARTING,
        workflow=WorkflowReference(workflow.workflow_id, workflow.name, "active", 1, workflow.category),
        filter=fate.choice([None, None, "event.data.plan == 'pro'"]),
        once_per_contact=limit == "once",
        reentry_gap_minutes=2 if limit == "gap" else None,
        excluded_contacts=frozenset({"c0"}) if fate.random() < 0.1 else frozenset(),
    )


def drawn_events(fate: random.Random, start: datetime, workspace_id: UUID) -> list[tuple[float, EventOccurred]]:
    """Return events with the moments at which they come, some of them twice."""
    events = []
    for _ in range(fate.choice([3, 8, 16])):
        at = fate.random() * 9
        accepted_at = start + timedelta(milliseconds=int(at * 1000))
        event = EventOccurred(
            event_id=UUID(int=fate.getrandbits(128), version=4),
            workspace_id=workspace_id,
            name=fate.choice([AWAITED, AWAITED, STARTING]),
            external_id=None if fate.random() < 0.1 else f"c{fate.randrange(_SOME)}",
            data={"plan": fate.choice(["pro", "free"])},
            occurred_at=accepted_at,
            accepted_at=accepted_at,
            correlation_key=fate.choice([None, *ORDERS]),
        )
        events.append((at, event))
        if fate.random() < 0.3:
            events.append((at + fate.random() * 5, event))
    return events


def _message(
    fate: random.Random, channels: Sequence[Channel], order: int, conditions: Sequence[str | None]
) -> WorkflowStep:
    channel = fate.choice(channels)
    delay = fate.choice([0, 0, 1])
    return WorkflowStep(f"step-{order}", f"Step {order}", channel, f"hello-{channel}", delay, fate.choice(conditions))
