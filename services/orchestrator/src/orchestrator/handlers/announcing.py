"""Says what is known of triggers: as records for everybody, and as a word to the workers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from orchestrator.adapters import waits
from orchestrator.adapters.records import Records
from orchestrator.domain import announcements
from orchestrator.domain.plan import Plan
from orchestrator.domain.running import FailedTrigger, Mode, RunningTrigger, StartedExecution
from orchestrator.domain.waits import reports
from sluice_contracts.topics import CONTROL, EXECUTIONS
from sluice_messaging.ports import EventPublisher
from sluice_messaging.records import OutboundRecord, outbound
from sluice_storage.database import Database

_WAITS_AT_ONCE: Final = 2_000


def said_of(trigger: RunningTrigger | FailedTrigger, executions: Sequence[StartedExecution]) -> list[OutboundRecord]:
    """Return the records that say all that is known of a trigger."""
    if isinstance(trigger, FailedTrigger):
        return [outbound(EXECUTIONS, announcements.failure(trigger))]
    return [outbound(EXECUTIONS, message) for message in announcements.everything(trigger, executions)]


async def tell_waits(database: Database, publisher: EventPublisher, plan: Plan) -> None:
    """Say again of everybody who has waited in a trigger how that stands, some at a time."""
    after = (0, -1)
    while plan.waits:
        async with database.connection() as connection:
            known = await waits.waits_of(connection, plan.trigger_id, after, _WAITS_AT_ONCE)
        if known:
            told = reports({plan.trigger_id: plan}, known)
            await publisher.publish([outbound(EXECUTIONS, message) for message in told])
            after = (known[-1].step_order, known[-1].seq)
        if len(known) < _WAITS_AT_ONCE:
            return


async def tell_workers(
    database: Database, records: Records, publisher: EventPublisher, trigger_ids: Collection[UUID]
) -> None:
    """Tell every worker how those triggers stand about which anybody has ever asked for anything.

    Two handlers may speak of one trigger at once, and the one that read first may speak last. So each looks again after
    it has spoken, until nothing has changed meanwhile: the last word on the topic is how the trigger stands.
    """
    told: dict[UUID, tuple[Mode, datetime]] = {}
    while True:
        async with database.connection() as connection:
            found = await records.triggers(connection, trigger_ids)
        words: list[OutboundRecord] = []
        for trigger_id, trigger in found.items():
            if not isinstance(trigger, RunningTrigger) or trigger.mode_at is None:
                continue
            stands = (trigger.mode, trigger.mode_at)
            if told.get(trigger_id) != stands:
                told[trigger_id] = stands
                words.append(outbound(CONTROL, announcements.control(trigger, trigger.mode_at)))
        if not words:
            return
        await publisher.publish(words)
