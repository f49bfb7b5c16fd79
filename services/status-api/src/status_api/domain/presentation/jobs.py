"""Rows of `…/executions/{id}/jobs`: one job each."""

from __future__ import annotations

from typing import Any, Final

from sluice_contracts.identifiers import JobId
from sluice_contracts.vocabulary import Channel, JobState, MessageState
from status_api.domain.fold import TimelineEntry
from status_api.domain.presentation.parts import (
    address,
    dollars,
    instant_of_milliseconds,
    sentence,
    sentence_of,
)
from status_api.domain.progress import attempt_of, epoch_of, rank_of
from status_api.domain.rows import JobRow

Said = tuple[str | None, str | None]
"""A code, and a sentence for people."""

_NOTHING: Final[Said] = (None, None)
_FILTERED, _FAILED, _HELD = "filter", "failure", "hold"
_KIND_OF_REASON: Final = {
    JobState.CANCELLED: _FILTERED,
    JobState.FILTERED: _FILTERED,
    JobState.FAILED: _FAILED,
    JobState.HELD: _HELD,
}

# By rank: to ask a member of an enumeration for its value, or for its place in a dictionary, takes longer than all else
# that is done with it here, and a page has up to two hundred jobs.
_STATES: Final = tuple((state.value, _KIND_OF_REASON.get(state)) for state in JobState)
_MESSAGES: Final = (None, *(state.value for state in MessageState))


def present_job(job: JobRow, channel: Channel, *, unmasked: bool) -> dict[str, Any]:
    """Return one job as the list shows it: the address under the name that its channel gives it."""
    status, kind = _STATES[rank_of(job.progress)]
    outcome, receipt = job.outcome, job.receipt
    filtered = failed = held = refused = _NOTHING
    if kind is _FILTERED:
        filtered = _said(outcome, unmasked=unmasked)
    elif kind is _FAILED:
        failed = _said(outcome, unmasked=unmasked)
    elif kind is _HELD:
        held = _said(outcome, unmasked=unmasked)
    if receipt is not None:
        refused = _refused(job, receipt, unmasked=unmasked)
    provider, provider_id = _provider_entry(job, outcome, receipt)
    return {
        "id": JobId.text(job.execution_id, job.seq),
        "status": status,
        "external_id": job.external_id,
        "email" if channel is Channel.EMAIL else "phone_number": address(job.address, unmasked=unmasked),
        "filter_code": filtered[0],
        "filter_reason": filtered[1],
        "failure_code": failed[0],
        "failure_reason": failed[1],
        "hold_code": held[0],
        "hold_reason": held[1],
        "held_until": instant_of_milliseconds(job.until) if kind is _HELD and held[0] != "paused" else None,
        "message_status": _MESSAGES[job.message],
        "message_code": refused[0],
        "message_reason": refused[1],
        "engagements": [engagement.value for engagement in job.engagement_set] if job.engagements else [],
        "attempts": attempt_of(job.progress),
        "retries": epoch_of(job.progress),
        "provider": provider,
        "provider_id": provider_id,
        "segments": job.segments,
        "estimated_cost": None if job.cost_micros is None else dollars(job.cost_micros),
        "sent_at": instant_of_milliseconds(outcome.at if outcome and status == "sent" else job.sent_at),
    }


def _said(outcome: TimelineEntry | None, *, unmasked: bool) -> Said:
    """Why a job stands where it stands, in the words of whoever reported it or else in ours."""
    if outcome is None:
        return _NOTHING
    return outcome.code, sentence(outcome.detail or sentence_of(outcome.code), unmasked=unmasked)


def _refused(job: JobRow, receipt: TimelineEntry, *, unmasked: bool) -> Said:
    """Why a message that a provider took did not arrive; nothing where it did, or where nobody knows yet."""
    state = job.message_state
    if state is None or not state.is_negative:
        return _NOTHING
    return receipt.code, sentence(receipt.detail, unmasked=unmasked)


def _provider_entry(
    job: JobRow, outcome: TimelineEntry | None, receipt: TimelineEntry | None
) -> tuple[str | None, str | None]:
    """The provider and its id for the message, as the report that settled the job or else any receipt names them."""
    if outcome is not None and outcome.provider and outcome.provider_id:
        return outcome.provider, outcome.provider_id
    entries = [entry for entry in (outcome, receipt, *job.entries.values()) if entry is not None]
    provider = next((entry.provider for entry in entries if entry.provider), None)
    provider_id = next((entry.provider_id for entry in entries if entry.provider_id), None)
    return provider, provider_id
