"""The topic `events`: what happened to contacts, and which workflows it starts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Final
from uuid import UUID

from pydantic import ValidationError

from orchestrator.adapters.entries import enter
from orchestrator.domain.rules import Decision, Entry, decide
from orchestrator.handlers.meeting import Meeting, Met
from orchestrator.handlers.wake import WAITS, Wake
from orchestrator.ports import Directory
from sluice_catalog.models import Contact
from sluice_catalog.profiles import GivenProfile
from sluice_contracts.messages.event import EventOccurred
from sluice_contracts.messages.execution import EvaluatedEvent, EventsEvaluated
from sluice_contracts.topics import EXECUTIONS, triggers
from sluice_messaging.errors import PoisonError
from sluice_messaging.ports import EventPublisher
from sluice_messaging.records import OutboundRecord, Record, outbound, with_headers
from sluice_messaging.spans import trace_of
from sluice_runtime import metrics
from sluice_runtime.clock import Clock
from sluice_runtime.failpoints import FAILPOINTS
from sluice_storage.database import Connection, Database

_MOST_TOGETHER: Final = 200

Decisions = Mapping[UUID, Sequence[Decision]]
"""What each rule made of an event, by event."""


class EventHandler:
    """The same event again makes the same triggers, under the same ids.

    What follows from a batch is published before the transaction ends that grants it and ends waits. So a crash before
    that leaves everything to be granted again, and a crash after it nothing to be said.
    """

    def __init__(
        self,
        database: Database,
        directory: Directory,
        meeting: Meeting,
        publisher: EventPublisher,
        clock: Clock,
        wake: Wake,
    ) -> None:
        self._database = database
        self._directory = directory
        self._meeting = meeting
        self._publisher = publisher
        self._clock = clock
        self._wake = wake

    async def __call__(self, records: Sequence[Record]) -> None:
        """Handle one batch. Raises PoisonError for a record that is no event."""
        read = [(_read(record), record) for record in records]
        origins = {event.event_id: record for event, record in read}
        events = list({event.event_id: event for event, _ in read}.values())
        await self._directory.keep_profiles(
            [
                GivenProfile(event.workspace_id, event.accepted_at, event.profile)
                for event in events
                if event.profile is not None
            ]
        )
        decisions = await self._decide(events)
        entries = [item.entry for made in decisions.values() for item in made if item.entry is not None]
        awaited = await self._meeting.awaited(events)

        async def settle(connection: Connection) -> tuple[Decisions, Met]:
            granted = await enter(connection, entries) if entries else set()
            met = await self._meeting.meet(connection, awaited)
            settled = _settled(decisions, granted)
            await self._tell(events, origins, settled, met)
            return settled, met

        if entries or awaited:
            decisions, met = await self._database.in_transaction(settle)
            FAILPOINTS.reach("orchestrator.after_commit")
        else:
            met = Met()
            await self._tell(events, origins, decisions, met)
        if met.counts:
            self._wake.signal(WAITS)
        _count(events, decisions, met)
        FAILPOINTS.reach("orchestrator.before_offset")

    async def _tell(
        self, events: Sequence[EventOccurred], origins: Mapping[UUID, Record], decisions: Decisions, met: Met
    ) -> None:
        triggers = [
            with_headers(_record(decision), trace_of(origins[event.event_id]))
            for event in events
            for decision in decisions[event.event_id]
            if decision.trigger is not None
        ]
        told = [outbound(EXECUTIONS, message) for message in met.told]
        await self._publisher.publish([*triggers, *told, *self._evaluated(events, decisions, met)])
        FAILPOINTS.reach("orchestrator.after_publish")

    async def _decide(self, events: Sequence[EventOccurred]) -> Decisions:
        rules = await self._directory.rules_for({(event.workspace_id, event.name) for event in events})
        answered = [event for event in events if rules.get((event.workspace_id, event.name))]
        contacts = await self._contacts(answered)
        return {
            event.event_id: decide(
                event,
                rules.get((event.workspace_id, event.name), ()),
                contacts.get((event.workspace_id, event.external_id or "")),
            )
            for event in events
        }

    async def _contacts(self, events: Sequence[EventOccurred]) -> dict[tuple[UUID, str], Contact]:
        wanted: defaultdict[UUID, set[str]] = defaultdict(set)
        for event in events:
            if event.external_id:
                wanted[event.workspace_id].add(event.external_id)
        return {
            (workspace_id, contact.external_id): contact
            for workspace_id, external_ids in wanted.items()
            for contact in await self._directory.contacts_by_external_id(workspace_id, external_ids)
        }

    def _evaluated(self, events: Sequence[EventOccurred], decisions: Decisions, met: Met) -> list[OutboundRecord]:
        by_workspace: defaultdict[UUID, list[EvaluatedEvent]] = defaultdict(list)
        for event in events:
            by_workspace[event.workspace_id].append(
                EvaluatedEvent(
                    event_id=event.event_id,
                    name=event.name,
                    external_id=event.external_id,
                    source=event.source,
                    occurred_at=event.occurred_at,
                    accepted_at=event.accepted_at,
                    rules=[decision.outcome() for decision in decisions[event.event_id]],
                    waits=met.counts.get(event.event_id, 0),
                )
            )
        now = self._clock.now()
        return [
            outbound(
                EXECUTIONS,
                EventsEvaluated(workspace_id=workspace_id, at=now, events=evaluated[start : start + _MOST_TOGETHER]),
            )
            for workspace_id, evaluated in by_workspace.items()
            for start in range(0, len(evaluated), _MOST_TOGETHER)
        ]


def _settled(decisions: Decisions, granted: Collection[Entry]) -> Decisions:
    """Return the decisions with those refused whose contacts may not start the workflow (again)."""
    return {
        event_id: [item if item.entry is None or item.entry in granted else item.refused() for item in made]
        for event_id, made in decisions.items()
    }


def _read(record: Record) -> EventOccurred:
    try:
        return EventOccurred.decode(record.value)
    except ValidationError as error:
        places = ", ".join(".".join(map(str, item["loc"])) or "value" for item in error.errors(include_input=False)[:5])
        raise PoisonError(f"not an event: {places}") from error


def _record(decision: Decision) -> OutboundRecord:
    trigger = decision.trigger
    assert trigger is not None  # noqa: S101 - asked only of decisions that made a trigger
    return outbound(triggers(trigger.lane), trigger)


def _count(events: Sequence[EventOccurred], decisions: Decisions, met: Met) -> None:
    for event in events:
        made = decisions[event.event_id]
        if any(item.trigger for item in made):
            outcome = "triggered"
        elif met.counts.get(event.event_id):
            outcome = "awaited"
        else:
            outcome = "refused" if made else "unmatched"
        metrics.HANDLED_EVENTS.labels(outcome).inc()
