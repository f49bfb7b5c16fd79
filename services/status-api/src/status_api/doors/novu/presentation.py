"""Messages and notifications in Novu's words.

The SDKs know closed sets of channels, providers, statuses and sources: whatever is said here is one of theirs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from sluice_catalog.models import Contact
from sluice_contracts.base import format_instant
from sluice_contracts.novu import CHANNEL_TYPES, named_object_id, object_id, place_id, provider_id
from sluice_contracts.vocabulary import Channel, Engagement, JobState, MessageState
from sluice_runtime.http.novu import without_nulls
from status_api.domain.fold import message_key
from status_api.domain.presentation.contact import timeline_of
from status_api.domain.presentation.jobs import present_job
from status_api.domain.presentation.parts import address, instant_of_milliseconds
from status_api.domain.rows import ExecutionRow, JobRow
from status_api.doors.novu.runs import Run

_JOB_STATUSES: Final = {
    JobState.PENDING: "pending",
    JobState.HELD: "delayed",
    JobState.QUEUED: "queued",
    JobState.SENDING: "running",
    JobState.CANCELLED: "canceled",
    JobState.FILTERED: "skipped",
    JobState.FAILED: "failed",
    JobState.SENT: "completed",
}
_DETAIL_STATUSES: Final = {
    JobState.PENDING.value: "Pending",
    JobState.HELD.value: "Pending",
    JobState.QUEUED.value: "Queued",
    JobState.SENDING.value: "Pending",
    JobState.CANCELLED.value: "Warning",
    JobState.FILTERED.value: "Warning",
    JobState.FAILED.value: "Failed",
    JobState.SENT.value: "Success",
    MessageState.READ.value: "ReadConfirmation",
    **{state.value: "Failed" for state in MessageState if state.is_negative},
    MessageState.UNKNOWN.value: "Warning",
    Engagement.OPENED.value: "ReadConfirmation",
    Engagement.COMPLAINED.value: "Warning",
}
_DETAILS: Final = {
    JobState.SENT.value: "Message sent",
    JobState.QUEUED.value: "Step queued",
    JobState.CANCELLED.value: "Step canceled",
}


class Reader:
    """Who reads: whether addresses are shown whole, and who the people are, by the caller's own ids."""

    def __init__(self, people: Mapping[str, Contact], *, unmasked: bool) -> None:
        self._people = people
        self.unmasked = unmasked

    def subscriber_id(self, run: Run, external_id: str | None) -> str:
        """Return Novu's id for a person, also for one who is gone."""
        contact = self._people.get(external_id or "")
        if contact is not None:
            return object_id(contact.id)
        return named_object_id(run.overview.trigger.workspace_id, f"subscriber:{external_id}")

    def subscriber(self, run: Run, external_id: str) -> dict[str, Any]:
        """Return a person as an activity shows them."""
        contact = self._people.get(external_id)
        known = {"_id": self.subscriber_id(run, external_id), "subscriberId": external_id}
        if contact is None:
            return known
        return known | without_nulls(
            {
                "firstName": contact.first_name,
                "lastName": contact.last_name,
                "email": address(contact.email, unmasked=self.unmasked),
                "phone": address(contact.phone_number, unmasked=self.unmasked),
            }
        )


def message(run: Run, execution: ExecutionRow, job: JobRow, reader: Reader) -> dict[str, Any]:
    """Return one message that a provider was asked to deliver."""
    known = present_job(job, execution.channel, unmasked=reader.unmasked)
    state = job.message_state
    failed = job.state is JobState.FAILED
    negative = state is not None and state.is_negative
    read = state is MessageState.READ or Engagement.OPENED in job.engagement_set
    reached = [job.said(message_key(one)) for one in (MessageState.DELIVERED, MessageState.READ)]
    delivered = [entry.at for entry in reached if entry is not None]
    where = address(job.address, unmasked=reader.unmasked)
    shown = {
        "_id": place_id(job.execution_id, job.seq),
        "_environmentId": run.workspace,
        "_organizationId": run.workspace,
        "_notificationId": run.notification_id(job.seq),
        "_subscriberId": reader.subscriber_id(run, job.external_id),
        "_templateId": run.template_id,
        "_messageTemplateId": run.step_id(execution),
        "templateIdentifier": run.identifier,
        "createdAt": known["sent_at"] or format_instant(run.overview.trigger.accepted_at),
        "transactionId": run.transaction_id,
        "channel": CHANNEL_TYPES[execution.channel],
        "seen": read,
        "read": read,
        "cta": {},
        "status": "error" if failed or negative else "sent",
        "providerId": provider_id(execution.channel, known["provider"]),
        "errorId": known["failure_code"] or known["message_code"],
        "errorText": known["failure_reason"] or known["message_reason"],
        "deliveredAt": [instant_of_milliseconds(min(delivered))] if delivered else None,
        "email" if execution.channel is Channel.EMAIL else "phone": where,
    }
    return without_nulls(shown)


def activity(run: Run, seq: int, external_id: str, jobs: Mapping[UUID, JobRow], reader: Reader) -> dict[str, Any]:
    """Return what became of a trigger for one contact. `jobs` are theirs, by execution."""
    topics = run.texts("topics")
    shown: dict[str, Any] = {
        "_id": run.notification_id(seq),
        "_environmentId": run.workspace,
        "_organizationId": run.workspace,
        "_subscriberId": reader.subscriber_id(run, external_id),
        "_templateId": run.template_id,
        "transactionId": run.transaction_id,
        "createdAt": format_instant(run.overview.trigger.accepted_at),
        "updatedAt": _updated_at(run, jobs),
        "channels": list(dict.fromkeys(CHANNEL_TYPES[execution.channel] for execution in run.executions)),
        "subscriber": reader.subscriber(run, external_id),
        "template": {
            "_id": run.template_id,
            "name": run.name,
            "triggers": [{"type": "event", "identifier": run.identifier, "variables": []}],
        },
        "jobs": [_job(run, execution, seq, jobs.get(execution.execution_id), reader) for execution in run.executions],
        "to": {"subscriberId": external_id},
        "critical": run.overview.trigger.category.is_essential,
    }
    if topics:
        workspace_id = run.overview.trigger.workspace_id
        shown["topics"] = [
            {"_topicId": named_object_id(workspace_id, f"topic:{key}"), "topicKey": key} for key in topics
        ]
    if run.texts("context"):
        shown["contextKeys"] = run.texts("context")
    if isinstance(run.noted.get("severity"), str):
        shown["severity"] = run.noted["severity"]
    return shown


def _updated_at(run: Run, jobs: Mapping[UUID, JobRow]) -> str:
    moments = [entry.at for job in jobs.values() for entry in job.entries.values()]
    latest = instant_of_milliseconds(max(moments)) if moments else None
    return latest or format_instant(run.overview.trigger.accepted_at)


def _job(run: Run, execution: ExecutionRow, seq: int, job: JobRow | None, reader: Reader) -> dict[str, Any]:
    step_id = run.step_id(execution)
    provider = None if job is None else present_job(job, execution.channel, unmasked=False)["provider"]
    return {
        "_id": place_id(execution.execution_id, seq),
        "type": CHANNEL_TYPES[execution.channel],
        "status": _status(run, execution, job),
        "providerId": provider_id(execution.channel, provider),
        "step": {
            "_id": step_id,
            "_templateId": step_id,
            "active": True,
            "filters": [],
            "name": execution.step_name or execution.channel.value,
        },
        "executionDetails": [] if job is None else details(execution, job, reader),
        "updatedAt": _updated_at(run, {} if job is None else {job.execution_id: job}),
    }


def _status(run: Run, execution: ExecutionRow, job: JobRow | None) -> str:
    if job is not None:
        return _JOB_STATUSES[job.state]
    if run.overview.trigger.cancelled:
        return "canceled"
    return "delayed" if execution.delay_minutes else "pending"


def details(execution: ExecutionRow, job: JobRow, reader: Reader) -> list[dict[str, Any]]:
    """Return what was reported about a job, earliest first."""
    shown = []
    for place, event in enumerate(timeline_of(job, unmasked=reader.unmasked)):
        name = str(event["event"])
        detail = event.get("reason") or _DETAILS.get(name) or f"Message {name}"
        shown.append(
            without_nulls(
                {
                    "_id": named_object_id(job.execution_id, f"detail:{job.seq}:{place}"),
                    "createdAt": event["at"],
                    "status": _DETAIL_STATUSES.get(name, "Success"),
                    "detail": detail,
                    "isRetry": bool(event.get("retry")) or (event.get("attempt") or 0) > 1,
                    "isTest": False,
                    "source": "Internal" if event["kind"] == "job" else "Webhook",
                    "providerId": provider_id(execution.channel, event.get("provider")),
                    "raw": event.get("code"),
                }
            )
        )
    return shown


def legacy_details(run: Run, execution: ExecutionRow, job: JobRow, reader: Reader) -> list[dict[str, Any]]:
    """Return the same as the first version shows it."""
    common = {
        "_jobId": place_id(job.execution_id, job.seq),
        "_environmentId": run.workspace,
        "_organizationId": run.workspace,
        "_notificationId": run.notification_id(job.seq),
        "_notificationTemplateId": run.template_id,
        "_subscriberId": reader.subscriber_id(run, job.external_id),
        "_messageId": place_id(job.execution_id, job.seq),
        "transactionId": run.transaction_id,
        "channel": CHANNEL_TYPES[execution.channel],
    }
    return [common | detail for detail in details(execution, job, reader)]


def people_in(jobs: Sequence[JobRow]) -> list[str]:
    """Return whose jobs these are, each once."""
    return list(dict.fromkeys(job.external_id for job in jobs if job.external_id is not None))
