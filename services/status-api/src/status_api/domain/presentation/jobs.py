"""Rows of `…/executions/{id}/jobs`: one job each."""

from __future__ import annotations

from typing import Any

from sluice_contracts.identifiers import JobId
from sluice_contracts.vocabulary import Channel, JobState
from status_api.domain.fold import TimelineEntry
from status_api.domain.presentation.parts import (
    address,
    dollars,
    instant_of_milliseconds,
    sentence,
    sentence_of,
)
from status_api.domain.rows import JobRow


def present_job(job: JobRow, channel: Channel, *, unmasked: bool) -> dict[str, Any]:
    """Return one job as the list shows it: the address under the name that its channel gives it."""
    state, outcome, receipt = job.state, job.outcome, job.receipt
    code = outcome.code if outcome else None
    said = (outcome.detail if outcome else None) or sentence_of(code)
    reason = sentence(said, unmasked=unmasked)
    filtered = state is JobState.FILTERED or state is JobState.CANCELLED
    failed, held = state is JobState.FAILED, state is JobState.HELD
    message = job.message_state
    negative = receipt is not None and message is not None and message.is_negative
    provider, provider_id = _provider_entry(job, outcome, receipt)
    return {
        "id": str(JobId(job.execution_id, job.seq)),
        "status": state.value,
        "external_id": job.external_id,
        "email" if channel is Channel.EMAIL else "phone_number": address(job.address, unmasked=unmasked),
        "filter_code": code if filtered else None,
        "filter_reason": reason if filtered else None,
        "failure_code": code if failed else None,
        "failure_reason": reason if failed else None,
        "hold_code": code if held else None,
        "hold_reason": reason if held else None,
        "held_until": instant_of_milliseconds(job.until) if held and code != "paused" else None,
        "message_status": message.value if message else None,
        "message_code": receipt.code if negative and receipt else None,
        "message_reason": sentence(receipt.detail, unmasked=unmasked) if negative and receipt else None,
        "engagements": [engagement.value for engagement in job.engagement_set],
        "attempts": job.attempt,
        "retries": job.epoch,
        "provider": provider,
        "provider_id": provider_id,
        "segments": job.segments,
        "estimated_cost": dollars(job.cost_micros) if job.cost_micros is not None else None,
        "sent_at": instant_of_milliseconds(outcome.at if outcome and state is JobState.SENT else job.sent_at),
    }


def _provider_entry(
    job: JobRow, outcome: TimelineEntry | None, receipt: TimelineEntry | None
) -> tuple[str | None, str | None]:
    """The provider and its id for the message, as the report that settled the job or else any receipt names them."""
    if outcome is not None and outcome.provider and outcome.provider_id:
        return outcome.provider, outcome.provider_id
    entries = [entry for entry in (outcome, receipt, *job.timeline.values()) if entry is not None]
    provider = next((entry.provider for entry in entries if entry.provider), None)
    provider_id = next((entry.provider_id for entry in entries if entry.provider_id), None)
    return provider, provider_id
