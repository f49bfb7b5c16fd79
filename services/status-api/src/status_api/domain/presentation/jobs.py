"""Rows of `…/executions/{id}/jobs`: one job each."""

from __future__ import annotations

from typing import Any, Final

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

Said = tuple[str | None, str | None]
"""A code, and a sentence for people."""

_NOTHING: Final[Said] = (None, None)


def present_job(job: JobRow, channel: Channel, *, unmasked: bool) -> dict[str, Any]:
    """Return one job as the list shows it: the address under the name that its channel gives it."""
    state, message, outcome, receipt = job.state, job.message_state, job.outcome, job.receipt
    said = _NOTHING if state is JobState.SENT else _said(outcome, unmasked=unmasked)
    filter_code, filter_reason = said if state is JobState.FILTERED or state is JobState.CANCELLED else _NOTHING
    failure_code, failure_reason = said if state is JobState.FAILED else _NOTHING
    hold_code, hold_reason = said if state is JobState.HELD else _NOTHING
    message_code, message_reason = _NOTHING
    if receipt is not None and message is not None and message.is_negative:
        message_code, message_reason = receipt.code, sentence(receipt.detail, unmasked=unmasked)
    provider, provider_id = _provider_entry(job, outcome, receipt)
    return {
        "id": str(JobId(job.execution_id, job.seq)),
        "status": state.value,
        "external_id": job.external_id,
        "email" if channel is Channel.EMAIL else "phone_number": address(job.address, unmasked=unmasked),
        "filter_code": filter_code,
        "filter_reason": filter_reason,
        "failure_code": failure_code,
        "failure_reason": failure_reason,
        "hold_code": hold_code,
        "hold_reason": hold_reason,
        "held_until": instant_of_milliseconds(job.until) if state is JobState.HELD and hold_code != "paused" else None,
        "message_status": message.value if message else None,
        "message_code": message_code,
        "message_reason": message_reason,
        "engagements": [engagement.value for engagement in job.engagement_set],
        "attempts": job.attempt,
        "retries": job.epoch,
        "provider": provider,
        "provider_id": provider_id,
        "segments": job.segments,
        "estimated_cost": dollars(job.cost_micros) if job.cost_micros is not None else None,
        "sent_at": instant_of_milliseconds(outcome.at if outcome and state is JobState.SENT else job.sent_at),
    }


def _said(outcome: TimelineEntry | None, *, unmasked: bool) -> Said:
    """Why a job stands where it stands, in the words of whoever reported it or else in ours."""
    if outcome is None:
        return _NOTHING
    return outcome.code, sentence(outcome.detail or sentence_of(outcome.code), unmasked=unmasked)


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
