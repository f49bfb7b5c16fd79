"""Puts what is known of a trigger into records."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.domain import announcements
from orchestrator.domain.running import FailedTrigger, RunningTrigger, StartedExecution
from sluice_contracts.topics import CONTROL, EXECUTIONS
from sluice_messaging.records import OutboundRecord, outbound


def said_of(trigger: RunningTrigger | FailedTrigger, executions: Sequence[StartedExecution]) -> list[OutboundRecord]:
    """Return the records that say all that is known of a trigger."""
    if isinstance(trigger, FailedTrigger):
        return [outbound(EXECUTIONS, str(trigger.trigger_id), announcements.failure(trigger))]
    key = str(trigger.plan.trigger_id)
    said = [outbound(EXECUTIONS, key, message) for message in announcements.everything(trigger, executions)]
    if trigger.mode_at is not None:
        said.insert(0, outbound(CONTROL, key, announcements.control(trigger, trigger.mode_at)))
    return said
