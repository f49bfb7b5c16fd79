"""`GET /api/v1/triggers/{id}/contacts/{external_id}`: what happened to one contact, gate by gate, report by report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sluice_contracts.sentences import FILTER_SENTENCES
from sluice_contracts.vocabulary import Category, Engagement, FilterCode, HoldCode, JobState
from status_api.domain.fold import TimelineEntry
from status_api.domain.overview import Overview
from status_api.domain.presentation.jobs import present_job
from status_api.domain.presentation.parts import instant_of_milliseconds, sentence, sentence_of
from status_api.domain.progress import attempt_of, epoch_of, state_of
from status_api.domain.rows import JobRow

_GATES: Final = tuple(code for code in FilterCode if code is not FilterCode.DRY_RUN)
_NOT_FOR_ESSENTIAL: Final = frozenset(
    {FilterCode.PREFERENCE_CATEGORY_OFF, FilterCode.OUTSIDE_WINDOW, FilterCode.FREQUENCY_CAPPED}
)
_ENGAGEMENTS: Final = frozenset(engagement.value for engagement in Engagement)


def present_contact(overview: Overview, external_id: str, jobs: Sequence[JobRow], *, unmasked: bool) -> dict[str, Any]:
    """Return the body. `jobs` are all jobs of this contact in the trigger, one an execution."""
    executions = {execution.execution_id: execution for execution in overview.executions}
    return {
        "trigger_id": str(overview.trigger.trigger_id),
        "external_id": external_id,
        "jobs": [
            {
                "execution_id": str(job.execution_id),
                "step_id": execution.step_id,
                "step_order": execution.step_order,
                "channel": execution.channel.value,
                **present_job(job, execution.channel, unmasked=unmasked),
                "gates": gates_of(job, overview.trigger.category),
                "timeline": timeline_of(job, unmasked=unmasked),
            }
            for job in sorted(jobs, key=lambda job: (executions[job.execution_id].step_order or 0, job.execution_id))
            for execution in [executions[job.execution_id]]
        ],
    }


def gates_of(job: JobRow, category: Category) -> list[dict[str, Any]]:
    """Return each gate that the job came to, in order: `passed`, `not_applicable`, and at the end perhaps `failed`.

    A job filtered at a gate passed all before it; one that waits for its window stands before that gate; one that
    was handed over, or that a provider refused, passed them all. Nothing is known of a job that nobody has decided on.
    """
    outcome = job.outcome
    code = outcome.code if outcome else None
    match job.state:
        case JobState.FILTERED | JobState.CANCELLED:
            failed = _gate_named(code if job.state is JobState.FILTERED else FilterCode.CANCELLED.value)
            if failed is FilterCode.DRY_RUN:
                return [*_passed(_GATES, category), _failed(failed)]
            return [] if failed is None else [*_passed(_GATES[: _GATES.index(failed)], category), _failed(failed)]
        case JobState.HELD if code == HoldCode.OUTSIDE_WINDOW:
            return _passed(_GATES[: _GATES.index(FilterCode.OUTSIDE_WINDOW)], category)
        case JobState.SENT | JobState.FAILED | JobState.SENDING:
            return _passed(_GATES, category)
        case JobState.HELD if code != HoldCode.PAUSED:
            return _passed(_GATES, category)
        case _:
            return []


def timeline_of(job: JobRow, *, unmasked: bool) -> list[dict[str, Any]]:
    """Return what was reported about the job, earliest first: its attempts and holds, its receipts, its engagements."""
    events = sorted(job.entries.items(), key=lambda item: (item[1].at, _place(item[0]), item[0]))
    return [_event(key, entry, unmasked=unmasked) for key, entry in events]


def _event(key: str, entry: TimelineEntry, *, unmasked: bool) -> dict[str, Any]:
    head, _, _ = key.partition(":")
    event: dict[str, Any] = {"at": instant_of_milliseconds(entry.at)}
    if head.isdigit():
        progress = int(head)
        event |= {
            "kind": "job",
            "event": state_of(progress).value,
            "attempt": attempt_of(progress),
            "retry": epoch_of(progress),
        }
    elif key in _ENGAGEMENTS:
        event |= {"kind": "engagement", "event": key}
    else:
        event |= {"kind": "receipt", "event": key.removeprefix("message_")}
    return event | {
        "code": entry.code,
        "reason": sentence(entry.detail or sentence_of(entry.code), unmasked=unmasked),
        "provider": entry.provider,
        "provider_id": entry.provider_id,
    }


def _place(key: str) -> int:
    if key[0].isdigit():
        return int(key.partition(":")[0]) & 0x7FFF
    return 1 << 16 if key not in _ENGAGEMENTS else 1 << 17


def _gate_named(code: str | None) -> FilterCode | None:
    try:
        return FilterCode(code) if code is not None else None
    except ValueError:
        return None


def _passed(gates: Sequence[FilterCode], category: Category) -> list[dict[str, Any]]:
    return [
        {
            "gate": gate.value,
            "result": "not_applicable" if category.is_essential and gate in _NOT_FOR_ESSENTIAL else "passed",
            "reason": None,
        }
        for gate in gates
    ]


def _failed(gate: FilterCode) -> dict[str, Any]:
    return {"gate": gate.value, "result": "failed", "reason": FILTER_SENTENCES[gate]}
