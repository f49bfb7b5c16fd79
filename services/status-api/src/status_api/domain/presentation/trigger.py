"""`GET /api/v1/triggers/{id}`: what kind of trigger it is, how it goes, and where the details are."""

from __future__ import annotations

from typing import Any

from sluice_contracts.vocabulary import FlowType
from status_api.domain.overview import Overview
from status_api.domain.presentation.parts import instant
from status_api.domain.rows import TriggerRow


def present_trigger(overview: Overview) -> dict[str, Any]:
    """Return the body."""
    trigger, totals = overview.trigger, overview.totals
    return {
        "id": str(trigger.trigger_id),
        "flow_type": trigger.flow_type.value,
        "trigger_type": trigger.channel.value if trigger.channel else "workflow",
        "trigger_source": trigger.trigger_source,
        "campaign_name": trigger.campaign_name,
        "status": overview.status.value,
        "created_at": instant(trigger.accepted_at),
        "started_at": instant(overview.started_at),
        "completed_at": instant(overview.ended_at),
        "scheduled_at": instant(trigger.scheduled_at),
        "duration_seconds": overview.duration_seconds,
        "queue_seconds": overview.queue_seconds,
        "summary": {
            "total_contacts": overview.total_contacts,
            "sent": totals.sent,
            "failed": totals.failed,
            "filtered": totals.filtered,
        },
        "details_endpoint": details_endpoint(trigger),
    }


def details_endpoint(trigger: TriggerRow) -> str:
    """Return the path of the detailed body, without `/api/v1`, as the reference has it."""
    name = "direct" if trigger.flow_type is FlowType.DIRECT_CHANNEL else "workflow"
    return f"/triggers/{trigger.trigger_id}/{name}"
