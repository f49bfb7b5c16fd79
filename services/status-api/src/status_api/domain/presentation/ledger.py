"""`GET /api/v1/triggers/{id}/ledger`: every job of a trigger, in the one bucket that it lies in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from sluice_contracts.vocabulary import Channel, JobState
from status_api.domain.overview import Overview
from status_api.domain.presentation.parts import filter_reasons, sentence_of
from status_api.domain.presentation.waits import present_wait_steps
from status_api.domain.rows import EngagementCounts, ExecutionRow, MessageCounts, ReasonRow
from status_api.domain.waits import WaitStep


def present_ledger(
    overview: Overview, reasons: Sequence[ReasonRow], waits: Sequence[WaitStep] = (), *, unmasked: bool
) -> dict[str, Any]:
    """Return the body.

    `total = sent + failed + filtered + cancelled + open` for the whole and for each execution. `unaccounted` is what is
    left of the accepted jobs after all these: anything but 0 is a fault of ours. Who waits for an event (`waits`, shown
    where steps do that) is open in every step behind.
    """
    executions = [_execution(overview, execution, reasons, unmasked=unmasked) for execution in overview.executions]
    return {
        "trigger_id": str(overview.trigger.trigger_id),
        "status": overview.status.value,
        "paused": overview.trigger.paused,
        "total_contacts": overview.total_contacts,
        "accepted": sum(part["accepted"] for part in executions),
        **{key: sum(part[key] for part in executions) for key in _BUCKETS},
        "executions": executions,
        **({"waits": present_wait_steps(waits, cancelled=overview.trigger.cancelled)} if waits else {}),
    }


_BUCKETS = ("total", "sent", "failed", "filtered", "cancelled", "open", "held", "unaccounted")


def _execution(
    overview: Overview, execution: ExecutionRow, reasons: Sequence[ReasonRow], *, unmasked: bool
) -> dict[str, Any]:
    counts = execution.counts
    accepted = execution.commanded_total if execution.commanded_total is not None else counts.total
    mine = [reason for reason in reasons if reason.execution_id == execution.execution_id]
    messages = execution.messages
    negative = "bounced" if execution.channel is Channel.EMAIL else "failed"
    return {
        "id": str(execution.execution_id),
        "step_id": execution.step_id,
        "step_order": execution.step_order,
        "channel": execution.channel.value,
        "status": overview.execution_status(execution).value,
        "final": execution.commanded_total is not None,
        "accepted": accepted,
        "total": counts.total,
        "sent": counts.sent,
        "failed": counts.failed,
        "filtered": counts.filtered,
        "cancelled": counts.cancelled,
        "open": counts.open,
        "held": execution.held,
        "unaccounted": accepted - counts.accounted - counts.open,
        "analytics": {
            "sent": execution.sent,
            "delivered": messages.reached,
            negative: messages.negative,
            "awaiting_receipt": messages.awaiting_receipt,
            "unknown": messages.unknown,
        },
        "message_states": _by_name(messages),
        "engagements": _by_name(execution.engagements),
        "filter_reasons": filter_reasons(
            [reason for reason in mine if reason.state is JobState.FILTERED], unmasked=unmasked
        ),
        "failure_reasons": [
            {"reason": sentence_of(reason.code) or reason.code, "code": reason.code, "count": reason.n}
            for reason in sorted(mine, key=lambda reason: (-reason.n, reason.code))
            if reason.state is JobState.FAILED
        ],
    }


def _by_name(counts: MessageCounts | EngagementCounts) -> dict[str, int]:
    return {each.name: getattr(counts, each.name) for each in fields(counts)}
