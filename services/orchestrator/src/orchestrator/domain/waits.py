"""Waits of contacts for events: what is known of one, by which keys an event may be waited for, and what is told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from orchestrator.domain.plan import Plan
from orchestrator.domain.running import RunningTrigger
from sluice_catalog.mapping import text_at
from sluice_contracts.identifiers import page_of
from sluice_contracts.messages.event import EventOccurred
from sluice_contracts.messages.execution import ReportedWaits, WaitsReported
from sluice_contracts.vocabulary import WaitOutcome

WaitKey = tuple[str, str]
"""(correlation, what the event says of itself)."""


@dataclass(frozen=True, slots=True)
class Wait:
    """One contact's wait. `outcome` is None while it lasts; then it was over at `ended_at`, by `event_id` if any."""

    trigger_id: UUID
    step_order: int
    seq: int
    external_id: str | None
    opened_at: datetime
    until: datetime
    outcome: WaitOutcome | None = None
    ended_at: datetime | None = None
    event_id: UUID | None = None

    @property
    def left_at(self) -> datetime:
        """When the contact went on, from which later delays count."""
        return self.until if self.ended_at is None or self.outcome is WaitOutcome.TIMED_OUT else self.ended_at


def keys_of(event: EventOccurred, correlations: Collection[str]) -> set[WaitKey]:
    """Return by which keys an event may be waited for."""
    found: set[WaitKey] = set()
    for correlation in correlations:
        match correlation:
            case "contact":
                key = event.external_id
            case "key":
                key = event.correlation_key
            case path:
                key = text_at(path, event.data)
        if key:
            found.add((correlation, key))
    return found


def awaited_names(triggers: Iterable[RunningTrigger], *, later: bool) -> set[tuple[UUID, str]]:
    """Return the events for which waits may be opened: the first of a series, or those that are reached through it."""
    return {
        (trigger.plan.workspace_id, wait.event)
        for trigger in triggers
        for wait in trigger.plan.waits
        if (wait.after_wait is not None) is later
    }


def reports(plans: Mapping[UUID, Plan], waits: Iterable[Wait]) -> list[WaitsReported]:
    """Return what is told of waits of planned triggers, one message for each page of a step."""
    pages: defaultdict[tuple[UUID, int, int], list[Wait]] = defaultdict(list)
    for wait in waits:
        pages[wait.trigger_id, wait.step_order, page_of(wait.seq)].append(wait)
    return [
        WaitsReported(
            trigger_id=trigger_id,
            workspace_id=plans[trigger_id].workspace_id,
            step_order=step_order,
            waits=ReportedWaits(
                seq=[wait.seq for wait in page],
                external_id=[wait.external_id for wait in page],
                since=[_milliseconds(wait.opened_at) for wait in page],
                until=[_milliseconds(wait.until) for wait in page],
                outcome=[wait.outcome for wait in page],
                ended_at=[None if wait.ended_at is None else _milliseconds(wait.ended_at) for wait in page],
                event_id=[wait.event_id for wait in page],
            ),
        )
        for (trigger_id, step_order, _), page in sorted(pages.items())
    ]


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
