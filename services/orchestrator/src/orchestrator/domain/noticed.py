"""Events that Sluice notices itself: what a change of a contact amounts to, and what a reply does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from sluice_catalog.conditions import CONTACT_ONLY, ConditionProblem, View, compile_condition
from sluice_catalog.events import ContactChange, SegmentFilter
from sluice_catalog.models import Contact
from sluice_contracts.identifiers import JobId, derived_id
from sluice_contracts.messages.event import EventOccurred
from sluice_contracts.messages.trigger import TriggerAccepted
from sluice_contracts.vocabulary import BuiltInEvent, Channel

SOURCE: Final = "sluice"
_SEEN: Final = tuple(name for name in Contact._fields if name not in {"id", "workspace_id"})


def events_of_change(change: ContactChange, segments: Sequence[SegmentFilter], now: datetime) -> list[EventOccurred]:
    """Return the events that a change of a contact amounts to; `segments` are those of its workspace.

    The same change again gives the same events under the same ids.
    """
    found: list[tuple[BuiltInEvent, str, dict[str, Any]]] = []
    present = _seen(change.present)
    former = None if change.former is None else _seen(change.former)
    if former is None:
        found.append((BuiltInEvent.CONTACT_CREATED, "created", {"tags": present["tags"]}))
    had = set() if former is None else set(former["tags"])
    found += [
        (BuiltInEvent.TAG_ADDED, f"{change.sequence}:{tag}", {"tag": tag, "tags": present["tags"]})
        for tag in dict.fromkeys(present["tags"])
        if tag not in had
    ]
    if present["status"] == "active":
        for segment in _entered(segments, former, present):
            data = {"segment": segment.key, "segment_id": str(segment.segment_id), "name": segment.name}
            found.append((BuiltInEvent.SEGMENT_ENTERED, f"{change.sequence}:{segment.segment_id}", data))
    return [
        EventOccurred(
            event_id=derived_id(change.contact_id, f"{name}:{place}"),
            workspace_id=change.workspace_id,
            name=name,
            external_id=present["external_id"],
            data=data,
            occurred_at=change.changed_at,
            accepted_at=now,
            source=SOURCE,
        )
        for name, place, data in found
    ]


@dataclass(frozen=True, slots=True)
class Reply:
    """That somebody answered the message of a job. `at` is in Unix milliseconds, as the report has it."""

    workspace_id: UUID
    trigger_id: UUID
    execution_id: UUID
    channel: Channel
    seq: int
    at: int


def event_of_reply(reply: Reply, trigger: TriggerAccepted, external_id: str | None, now: datetime) -> EventOccurred:
    """Return the event that a reply to a message of `trigger` is; `external_id` names who replied, where known."""
    return EventOccurred(
        event_id=derived_id(reply.execution_id, f"{BuiltInEvent.MESSAGE_REPLIED}:{reply.seq}:{reply.at}"),
        workspace_id=reply.workspace_id,
        name=BuiltInEvent.MESSAGE_REPLIED,
        external_id=external_id,
        data={
            "channel": str(reply.channel),
            "trigger_id": str(reply.trigger_id),
            "execution_id": str(reply.execution_id),
            "job_id": str(JobId(reply.execution_id, reply.seq)),
            "campaign_name": trigger.campaign_name,
            "metadata": trigger.metadata,
        },
        occurred_at=datetime.fromtimestamp(reply.at / 1000, UTC),
        accepted_at=now,
        source=SOURCE,
        chain=0 if trigger.event is None else trigger.event.chain + 1,
    )


def _entered(
    segments: Iterable[SegmentFilter], former: Mapping[str, Any] | None, present: Mapping[str, Any]
) -> Iterator[SegmentFilter]:
    before = None if former is None or former["status"] != "active" else View(CONTACT_ONLY, contact=former)
    after = View(CONTACT_ONLY, contact=present)
    for segment in segments:
        try:
            condition = compile_condition(segment.filter, CONTACT_ONLY)
        except ConditionProblem:
            continue
        if condition.holds(after) is True and (before is None or condition.holds(before) is not True):
            yield segment


def _seen(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in _SEEN}
