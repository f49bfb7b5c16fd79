"""`GET /api/v1/triggers/{id}/workflow`: the steps, or the channels of a template group, with their totals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sluice_contracts.status import Status
from sluice_contracts.vocabulary import Channel
from status_api.domain.overview import Overview, is_template_group
from status_api.domain.presentation.analytics import Place, analytics
from status_api.domain.presentation.parts import CURRENCY, dollars, instant, job_counts
from status_api.domain.presentation.waits import present_wait_steps
from status_api.domain.rows import ExecutionRow
from status_api.domain.waits import WaitStep


def present_workflow(overview: Overview, waits: Sequence[WaitStep] = ()) -> dict[str, Any]:
    """Return the body; `waits` are the steps in which contacts wait for an event, and shown where there are any."""
    trigger = overview.trigger
    grouped = is_template_group(trigger)
    workflow: dict[str, Any] = {
        "id": None if trigger.workflow_id is None else str(trigger.workflow_id),
        "name": trigger.workflow_name,
        "execution_id": None if trigger.workflow_execution_id is None else str(trigger.workflow_execution_id),
    }
    if grouped:
        workflow["template_group_id"] = None if trigger.template_group_id is None else str(trigger.template_group_id)
    return {
        "trigger_id": str(trigger.trigger_id),
        "flow_type": trigger.flow_type.value,
        "workflow_type": trigger.workflow_type.value if trigger.workflow_type else None,
        "workflow": workflow,
        **({"channels": _channels(overview)} if grouped else {"steps": _steps(overview)}),
        **({"waits": present_wait_steps(waits, cancelled=trigger.cancelled)} if waits else {}),
        "totals": _totals(overview, "channels" if grouped else "steps"),
    }


def _steps(overview: Overview) -> list[dict[str, Any]]:
    steps = zip(overview.executions, overview.step_statuses(), strict=True)
    return [_step(overview, execution, status) for execution, status in steps]


def _step(overview: Overview, execution: ExecutionRow, status: Status) -> dict[str, Any]:
    step: dict[str, Any] = {
        "step_id": execution.step_id,
        "step_order": execution.step_order,
        "step_name": execution.step_name,
        "channel": execution.channel.value,
        "status": status.value,
        "delay_minutes": execution.delay_minutes,
    }
    if status is Status.SCHEDULED:
        step["scheduled_for"] = instant(execution.scheduled_for)
    if not execution.progress.started:
        return {**step, "execution": None, "jobs": None, "analytics": None}
    times = {"started_at": instant(execution.started_at), "completed_at": instant(overview.completed_at(execution))}
    return {**step, **_details(overview, execution, "step", times)}


def _channels(overview: Overview) -> dict[str, Any]:
    executions = sorted(overview.executions, key=lambda execution: execution.channel)
    return {execution.channel.value: _details(overview, execution, "group", {}) for execution in executions}


def _details(overview: Overview, execution: ExecutionRow, place: Place, times: dict[str, Any]) -> dict[str, Any]:
    counts = execution.counts
    body: dict[str, Any] = {
        "id": str(execution.execution_id),
        "status": overview.execution_status(execution).value,
        "total_contacts": counts.total,
        "sent_count": counts.sent,
        "failed_count": counts.failed,
        "filtered_count": counts.filtered,
    }
    if execution.channel is not Channel.EMAIL:
        body["estimated_cost"] = dollars(execution.cost_micros)
    return {"execution": {**body, **times}, "jobs": job_counts(counts), "analytics": analytics(execution, place)}


def _totals(overview: Overview, parts: str) -> dict[str, Any]:
    totals = overview.totals
    completed = sum(overview.execution_status(part) is Status.COMPLETED for part in overview.executions)
    return {
        "total_contacts": overview.total_contacts,
        "total_sent": totals.sent,
        "total_failed": totals.failed,
        "total_filtered": totals.filtered,
        "total_cost": dollars(overview.cost_micros),
        "currency": CURRENCY,
        f"{parts}_completed": completed,
        f"{parts}_total": len(overview.executions),
    }
