"""The shapes of the bodies about triggers and executions, for the OpenAPI document; tests hold the bodies to them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from sluice_contracts.status import Status
from sluice_contracts.vocabulary import Channel, Engagement, FlowType, MessageState, WorkflowType


class Body(BaseModel):
    """A JSON object with these keys and no others. A key with a default may be left out."""

    model_config = ConfigDict(extra="forbid")


class Pagination(Body):
    """Where the next page begins: behind `next_cursor`, null on the last page."""

    limit: int
    has_more: bool
    next_cursor: str | None


class Summary(Body):
    """A trigger's jobs in brief; `total_contacts` counts distinct contacts."""

    total_contacts: int
    sent: int
    failed: int
    filtered: int


class TriggerBody(Body):
    """A trigger in brief. `details_endpoint` has no `/api/v1`."""

    id: str
    flow_type: FlowType
    trigger_type: Literal["sms", "email", "whatsapp", "workflow"]
    trigger_source: str
    campaign_name: str | None
    status: Status
    created_at: str
    started_at: str | None
    completed_at: str | None
    scheduled_at: str | None
    duration_seconds: float | None
    queue_seconds: float | None
    summary: Summary
    details_endpoint: str


class TriggerPage(Body):
    """One page of triggers."""

    triggers: list[TriggerBody]
    pagination: Pagination


class ExecutionBody(Body):
    """One execution; which of the later keys it has depends on its channel and on where it is shown."""

    id: str
    status: Status
    total_contacts: int
    sent_count: int
    failed_count: int
    filtered_count: int
    total_segments: int = 0
    estimated_cost: float = 0.0
    currency: str = "USD"
    started_at: str | None = None
    completed_at: str | None = None


class FilterReason(Body):
    """Why jobs were filtered, and up to ten of the people concerned."""

    reason: str
    code: str
    count: int
    contacts: list[str]


class JobsBody(Body):
    """`total = sent + failed + filtered + cancelled + open`."""

    total: int
    sent: int
    failed: int
    filtered: int
    cancelled: int
    open: int


class ReasonedJobs(JobsBody):
    """Jobs with the reasons of those that were filtered. `unlisted` of the total are not in the list of jobs.

    Nothing has been reported about those yet, or they were cancelled before any worker was asked to send them.
    """

    unlisted: int
    filter_reasons: list[FilterReason]


class Analytics(Body):
    """What became of messages, in the words of the channel. `sent = delivered + failed|bounced + awaiting_receipt`."""

    sent: int
    delivered: int
    read: int = 0
    opened: int = 0
    clicked: int = 0
    failed: int = 0
    bounced: int = 0
    complained: int = 0
    unsubscribed: int = 0
    replied: int = 0
    awaiting_receipt: int
    unknown: int


class DirectBody(Body):
    """A direct send."""

    trigger_id: str
    flow_type: Literal["direct_channel"]
    channel: Channel
    execution: ExecutionBody
    jobs: ReasonedJobs
    analytics: Analytics
    execution_details_endpoint: str


class ExecutionDetails(Body):
    """One execution of any trigger."""

    trigger_id: str
    channel: Channel
    step_id: str | None
    execution: ExecutionBody
    jobs: ReasonedJobs
    analytics: Analytics
    execution_details_endpoint: str


class StepBody(Body):
    """One step. What it has not started has no execution, jobs or analytics; only the next step has `scheduled_for`."""

    step_id: str | None
    step_order: int | None
    step_name: str | None
    channel: Channel
    status: Status
    delay_minutes: int | None
    scheduled_for: str | None = None
    execution: ExecutionBody | None
    jobs: JobsBody | None
    analytics: Analytics | None


class ChannelBody(Body):
    """One channel of a template group."""

    execution: ExecutionBody
    jobs: JobsBody
    analytics: Analytics


class WorkflowName(Body):
    """Which workflow runs, and the id of this run."""

    id: str | None
    name: str | None
    execution_id: str | None
    template_group_id: str | None = None


class Totals(Body):
    """Sums over the steps or channels; contacts are distinct."""

    total_contacts: int
    total_sent: int
    total_failed: int
    total_filtered: int
    total_cost: float
    currency: str
    steps_completed: int = 0
    steps_total: int = 0
    channels_completed: int = 0
    channels_total: int = 0


class WaitStepBody(Body):
    """A step in which each contact waits for an event, and how many do, went on, or never will (`cancelled`).

    `scheduled_for` is when it begins, behind another wait at the latest.
    """

    step_id: str | None
    step_order: int
    step_name: str | None
    event: str | None
    timeout_minutes: int | None
    delay_minutes: int | None
    scheduled_for: str | None
    waiting: int
    received: int
    timed_out: int
    cancelled: int


class WorkflowBody(Body):
    """A workflow's run: with `steps`, or for a template group with `channels`."""

    trigger_id: str
    flow_type: Literal["workflow"]
    workflow_type: WorkflowType | None
    workflow: WorkflowName
    steps: list[StepBody] = []
    channels: dict[Channel, ChannelBody] = {}
    waits: list[WaitStepBody] = []
    totals: Totals


class FailureReason(Body):
    """Why jobs failed."""

    reason: str
    code: str
    count: int


class Buckets(Body):
    """`total = sent + failed + filtered + cancelled + open`; `unaccounted` is 0, or a fault of ours."""

    accepted: int
    total: int
    sent: int
    failed: int
    filtered: int
    cancelled: int
    open: int
    held: int
    unaccounted: int


class ExecutionLedger(Buckets):
    """The buckets of one execution; `final` says that `total` is exact."""

    id: str
    step_id: str | None
    step_order: int | None
    channel: Channel
    status: Status
    final: bool
    analytics: Analytics
    message_states: dict[MessageState, int]
    engagements: dict[Engagement, int]
    filter_reasons: list[FilterReason]
    failure_reasons: list[FailureReason]


class LedgerBody(Buckets):
    """Which bucket every job of a trigger lies in."""

    trigger_id: str
    status: Status
    paused: bool
    total_contacts: int
    executions: list[ExecutionLedger]
    waits: list[WaitStepBody] = []


class ActionAccepted(Body):
    """The request was passed on; `jobs` counts those that a retry asks for."""

    success: Literal[True]
    trigger_id: str
    action: Literal["cancel", "pause", "resume", "retry"]
    jobs: int = 0
