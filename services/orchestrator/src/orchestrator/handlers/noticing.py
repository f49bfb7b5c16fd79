"""Turns what Sluice notices itself into events on the topic `events`: changes of contacts, and replies.

Both are told before their cause is forgotten (the row of a change, the offset of a report), under ids that are derived.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import orjson
import structlog

from orchestrator.adapters.records import Records, cohort_pages
from orchestrator.domain.noticed import Reply, event_of_reply, events_of_change
from orchestrator.domain.running import RunningTrigger
from orchestrator.ports import Directory
from sluice_catalog.events import SegmentFilter
from sluice_contracts.identifiers import PAGE_SIZE, page_of
from sluice_contracts.messages.delivery import JobsReported
from sluice_contracts.messages.event import EventOccurred
from sluice_contracts.topics import EVENTS
from sluice_contracts.vocabulary import BuiltInEvent, Channel, Engagement
from sluice_messaging.errors import TransientError
from sluice_messaging.ports import BatchHandler, EventPublisher
from sluice_messaging.records import OutboundRecord, Record, outbound
from sluice_runtime.clock import Clock
from sluice_runtime.failpoints import FAILPOINTS
from sluice_runtime.pausing import pause
from sluice_storage.database import Database
from sluice_storage.errors import is_transient

_MARK = f'"{Engagement.REPLIED}"'.encode()
_log = structlog.get_logger()


class ContactWatch:
    """Drains the changes of contacts that somebody listens for; one process at a time."""

    def __init__(self, directory: Directory, publisher: EventPublisher, clock: Clock, poll_seconds: float) -> None:
        self._directory = directory
        self._publisher = publisher
        self._clock = clock
        self._poll_seconds = poll_seconds

    async def run(self, stop: asyncio.Event) -> None:
        """Tell changes until `stop` is set."""
        while not stop.is_set():
            try:
                told = await self.tell()
            except Exception as error:
                if not (isinstance(error, TransientError) or is_transient(error)):
                    raise
                _log.warning("contact_changes.delayed", error=type(error).__name__)
                told = 0
            if not told:
                await pause(self._poll_seconds, stop)

    async def tell(self) -> int:
        """Tell the oldest changes as events; return how many changes there were."""
        async with self._directory.contact_changes() as hand:
            count = len(hand.changes)
            if not count:
                return 0
            segments: defaultdict[UUID, list[SegmentFilter]] = defaultdict(list)
            for segment in await hand.segments({change.workspace_id for change in hand.changes}):
                segments[segment.workspace_id].append(segment)
            now = self._clock.now()
            events = [
                event
                for change in hand.changes
                for event in events_of_change(change, segments[change.workspace_id], now)
            ]
            wanted = await self._directory.listened_for({(event.workspace_id, event.name) for event in events})
            await self._publisher.publish(
                [_record(event) for event in events if (event.workspace_id, event.name) in wanted]
            )
            FAILPOINTS.reach("orchestrator.changes_published")
            await hand.done()
            return count


class ReplyWatch:
    """Handles reports as `deliveries` does, and tells the replies among them where somebody listens for them."""

    def __init__(
        self,
        deliveries: BatchHandler,
        database: Database,
        records: Records,
        directory: Directory,
        publisher: EventPublisher,
        clock: Clock,
    ) -> None:
        self._deliveries = deliveries
        self._database = database
        self._records = records
        self._directory = directory
        self._publisher = publisher
        self._clock = clock

    async def __call__(self, records: Sequence[Record]) -> None:
        """Handle one batch of the topic `deliveries`. Raises PoisonError for a record that is no report."""
        await self._deliveries(records)
        replies = [
            reply
            for record in records
            if _MARK in record.value and record.message_type in {JobsReported.TYPE, None}
            for reply in _replies(orjson.loads(record.value))
        ]
        if replies:
            await self._tell(replies)

    async def _tell(self, replies: Sequence[Reply]) -> None:
        asked = {(reply.workspace_id, str(BuiltInEvent.MESSAGE_REPLIED)) for reply in replies}
        wanted = {workspace_id for workspace_id, _ in await self._directory.listened_for(asked)}
        replies = [reply for reply in replies if reply.workspace_id in wanted]
        if not replies:
            return
        async with self._database.connection() as connection:
            triggers = await self._records.triggers(connection, {reply.trigger_id for reply in replies})
            pages = await cohort_pages(connection, {(reply.trigger_id, page_of(reply.seq)) for reply in replies})
        now = self._clock.now()
        events = []
        for reply in replies:
            trigger = triggers.get(reply.trigger_id)
            positions = pages.get((reply.trigger_id, page_of(reply.seq)), [])
            place = reply.seq % PAGE_SIZE
            if isinstance(trigger, RunningTrigger) and place < len(positions):
                external_id = await self._name(reply.workspace_id, positions[place].contact_id)
                events.append(event_of_reply(reply, trigger.accepted, external_id, now))
        await self._publisher.publish([_record(event) for event in events])

    async def _name(self, workspace_id: UUID, contact_id: UUID | None) -> str | None:
        if contact_id is None:
            return None
        found = await self._directory.contacts_by_id(workspace_id, [contact_id])
        return found[0].external_id if found else None


def _replies(report: dict[str, Any]) -> list[Reply]:
    jobs = report["jobs"]
    return [
        Reply(
            UUID(report["workspace_id"]),
            UUID(report["trigger_id"]),
            UUID(report["execution_id"]),
            Channel(report["channel"]),
            seq,
            at,
        )
        for seq, at, engagement in zip(jobs["seq"], jobs["at"], jobs["engagement"], strict=True)
        if engagement == Engagement.REPLIED
    ]


def _record(event: EventOccurred) -> OutboundRecord:
    return outbound(EVENTS, event)
