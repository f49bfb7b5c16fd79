"""The shapes of the bodies about single jobs and messages, for the OpenAPI document; tests hold the bodies to them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from sluice_contracts.vocabulary import Channel, Engagement, JobState, MessageState
from status_api.domain.presentation.models import Body, Pagination


class JobBody(Body):
    """One job; an email's address is `email`, any other's `phone_number`."""

    id: str
    status: JobState
    external_id: str | None
    email: str | None = None
    phone_number: str | None = None
    filter_code: str | None
    filter_reason: str | None
    failure_code: str | None
    failure_reason: str | None
    hold_code: str | None
    hold_reason: str | None
    held_until: str | None
    message_status: MessageState | None
    message_code: str | None
    message_reason: str | None
    engagements: list[Engagement]
    attempts: int
    retries: int
    provider: str | None
    provider_id: str | None
    segments: int | None
    estimated_cost: float | None
    sent_at: str | None


class Jobs(Body):
    """A list of jobs."""

    jobs: list[JobBody]


class JobPage(Body):
    """One page of jobs."""

    data: Jobs
    pagination: Pagination


class Gate(Body):
    """One gate that a job came to."""

    gate: str
    result: Literal["passed", "failed", "not_applicable"]
    reason: str | None


class Event(Body):
    """Something that was reported about a job; `attempt` and `retry` belong to the job's own states."""

    at: str | None
    kind: Literal["job", "receipt", "engagement"]
    event: str
    attempt: int = 0
    retry: int = 0
    code: str | None
    reason: str | None
    provider: str | None
    provider_id: str | None


class ContactJob(JobBody):
    """One contact's job in one execution, with all that happened to it."""

    execution_id: str
    step_id: str | None
    step_order: int | None
    channel: Channel
    gates: list[Gate]
    timeline: list[Event]


class ContactWait(Body):
    """One contact's wait for an event: until when at most, and whether it lasts or how it ended."""

    step_id: str | None
    step_order: int
    step_name: str | None
    event: str | None
    status: Literal["waiting", "received", "timed_out", "cancelled"]
    since: str
    until: str
    ended_at: str | None
    event_id: str | None


class ContactBody(Body):
    """What a trigger did for one contact, and the events that the contact waits or has waited for."""

    trigger_id: str
    external_id: str
    jobs: list[ContactJob]
    waits: list[ContactWait]


class SandboxMessageBody(Body):
    """One message that the sandbox got."""

    channel: Channel
    to: str
    sender: str | None = Field(alias="from")
    subject: str | None
    text: str | None
    html: str | None
    headers: dict[str, Any]
    trigger_id: str
    job_id: str
    at: str


class SandboxPage(Body):
    """One page of what the sandbox got."""

    messages: list[SandboxMessageBody]
    pagination: Pagination
