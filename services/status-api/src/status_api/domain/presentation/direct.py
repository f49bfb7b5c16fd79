"""`GET /api/v1/triggers/{id}/direct` and `GET /api/v1/<channel>/executions/{id}`: one execution with its details."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sluice_contracts.vocabulary import Channel
from status_api.domain.overview import Overview
from status_api.domain.presentation.analytics import analytics
from status_api.domain.presentation.parts import CURRENCY, details_path, dollars, filter_reasons, instant, job_counts
from status_api.domain.rows import ExecutionRow, ReasonRow


def present_direct(overview: Overview, reasons: Sequence[ReasonRow], *, unmasked: bool) -> dict[str, Any]:
    """Return the body of a direct trigger. `unmasked` shows addresses in full."""
    (execution, *_) = overview.executions
    return {
        "trigger_id": str(overview.trigger.trigger_id),
        "flow_type": overview.trigger.flow_type.value,
        "channel": execution.channel.value,
        **_details(overview, execution, reasons, unmasked=unmasked),
    }


def present_execution(
    overview: Overview, execution: ExecutionRow, reasons: Sequence[ReasonRow], *, unmasked: bool
) -> dict[str, Any]:
    """Return the body of one execution of any trigger."""
    return {
        "trigger_id": str(overview.trigger.trigger_id),
        "channel": execution.channel.value,
        "step_id": execution.step_id,
        **_details(overview, execution, reasons, unmasked=unmasked),
    }


def _details(
    overview: Overview, execution: ExecutionRow, reasons: Sequence[ReasonRow], *, unmasked: bool
) -> dict[str, Any]:
    counts = execution.counts
    return {
        "execution": _execution(overview, execution),
        "jobs": {
            **job_counts(counts),
            "unlisted": execution.unlisted,
            "filter_reasons": filter_reasons(reasons, unmasked=unmasked),
        },
        "analytics": analytics(execution, "direct"),
        "execution_details_endpoint": details_path(execution),
    }


def _execution(overview: Overview, execution: ExecutionRow) -> dict[str, Any]:
    counts = execution.counts
    body: dict[str, Any] = {
        "id": str(execution.execution_id),
        "status": overview.execution_status(execution).value,
        "total_contacts": counts.total,
        "sent_count": counts.sent,
        "failed_count": counts.failed,
        "filtered_count": counts.filtered,
    }
    if execution.channel is Channel.SMS:
        body["total_segments"] = execution.segments
    body["estimated_cost"] = dollars(execution.cost_micros)
    if execution.channel is not Channel.EMAIL:
        body["currency"] = CURRENCY
    body["started_at"] = instant(execution.started_at)
    body["completed_at"] = instant(overview.completed_at(execution))
    return body
