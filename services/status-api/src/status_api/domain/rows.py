"""The rows that pages are made of, as they are read. Times are in UTC; times inside a job are Unix milliseconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from sluice_contracts.status import ExecutionProgress, JobCounts
from sluice_contracts.vocabulary import Category, Channel, Engagement, FlowType, JobState, MessageState, WorkflowType
from status_api.domain.fold import TimelineEntry, message_key
from status_api.domain.progress import attempt_of, epoch_of, state_of

ERASED: Final = "\U0010ffff"
"""Stands where the name and the address of an erased person stood. Of two texts the greater stays (see `fold`), and
this is the greatest of all: no report that comes again brings a name back."""

_MESSAGE_STATES: Final[tuple[MessageState | None, ...]] = (None, *MessageState)
_MESSAGE_KEYS: Final = ("", *map(message_key, MessageState))


@dataclass(frozen=True, slots=True)
class TriggerRow:
    """One trigger. `channel` is None for a workflow; `version` grows with every change that a reader could see."""

    trigger_id: UUID
    workspace_id: UUID
    version: int
    accepted_at: datetime
    flow_type: FlowType
    category: Category
    channel: Channel | None = None
    trigger_source: str = "direct_api"
    campaign_name: str | None = None
    scheduled_at: datetime | None = None
    requested_contacts: int | None = None
    planned_at: datetime | None = None
    workflow_type: WorkflowType | None = None
    workflow_id: UUID | None = None
    workflow_name: str | None = None
    workflow_execution_id: UUID | None = None
    template_group_id: UUID | None = None
    estimated_contacts: int | None = None
    counted_contacts: int | None = None
    cancelled_at: datetime | None = None
    paused_at: datetime | None = None
    resumed_at: datetime | None = None
    failed_at: datetime | None = None
    failure_code: str | None = None
    failure_detail: str | None = None

    @property
    def paused(self) -> bool:
        """Whether somebody paused it and nobody has resumed it since."""
        return self.paused_at is not None and (self.resumed_at is None or self.resumed_at < self.paused_at)

    @property
    def cancelled(self) -> bool:
        """Whether somebody cancelled it."""
        return self.cancelled_at is not None

    @property
    def failed(self) -> bool:
        """Whether it could never be carried out."""
        return self.failed_at is not None


@dataclass(frozen=True, slots=True)
class MessageCounts:
    """How many sent messages stand in each state. `accepted` counts those without any receipt yet."""

    accepted: int = 0
    sent: int = 0
    unknown: int = 0
    expired: int = 0
    rejected: int = 0
    undelivered: int = 0
    bounced: int = 0
    delivered: int = 0
    read: int = 0

    @property
    def reached(self) -> int:
        """Messages that reached the person, read or not."""
        return self.delivered + self.read

    @property
    def negative(self) -> int:
        """Messages that a provider accepted and that then failed."""
        return self.expired + self.rejected + self.undelivered + self.bounced

    @property
    def awaiting_receipt(self) -> int:
        """Messages of which nobody has said yet what became of them, those given up waiting for included."""
        return self.accepted + self.sent + self.unknown


@dataclass(frozen=True, slots=True)
class EngagementCounts:
    """How many messages people did something with."""

    opened: int = 0
    clicked: int = 0
    replied: int = 0
    complained: int = 0
    unsubscribed: int = 0


@dataclass(frozen=True, slots=True)
class ExecutionRow:
    """One execution with its counters. What was not planned or reported yet is None or 0."""

    execution_id: UUID
    trigger_id: UUID
    channel: Channel
    step_id: str | None = None
    step_order: int | None = None
    step_name: str | None = None
    delay_minutes: int | None = None
    scheduled_for: datetime | None = None
    started_at: datetime | None = None
    expected: int | None = None
    commanded_at: datetime | None = None
    commanded_total: int | None = None
    never_commanded: int | None = None
    last_ended_at: datetime | None = None
    epoch: int = 0
    held: int = 0
    cancelled: int = 0
    filtered: int = 0
    failed: int = 0
    sent: int = 0
    messages: MessageCounts = field(default_factory=MessageCounts)
    engagements: EngagementCounts = field(default_factory=EngagementCounts)
    segments: int = 0
    cost_micros: int = 0

    @property
    def counts(self) -> JobCounts:
        """The jobs by how they ended; the total is exact once all are commanded, an estimate before."""
        expected = self.commanded_total if self.commanded_total is not None else self.expected or 0
        return JobCounts.of(
            expected,
            sent=self.sent,
            failed=self.failed,
            filtered=self.filtered,
            cancelled=self.cancelled + (self.never_commanded or 0),
        )

    @property
    def unlisted(self) -> int:
        """Jobs of the total that have no row: nothing was reported about them yet, or they were never commanded."""
        return self.counts.total - self.sent - self.failed - self.filtered - self.cancelled - self.held

    @property
    def progress(self) -> ExecutionProgress:
        """What its status is derived from."""
        started = self.started_at is not None or self.counts.accounted + self.held - (self.never_commanded or 0) > 0
        return ExecutionProgress(self.counts, started=started, commanded=self.commanded_total is not None)


@dataclass(frozen=True, slots=True)
class ReasonRow:
    """How many jobs ended unsent for one reason, and the first few of the people concerned."""

    execution_id: UUID
    state: JobState
    code: str
    sentence: str
    n: int
    contacts: tuple[str, ...] = ()


class JobRow(NamedTuple):
    """One job, its columns in the order in which every statement selects them. See `fold.JobFacts`.

    A page has up to two hundred, and a tuple is made in a sixth of the time that a frozen dataclass takes. For the same
    reason the timeline is as it was read: what it says under a key is `said`.
    """

    execution_id: UUID
    seq: int
    progress: int
    message: int
    engagements: int
    segments: int | None
    sent_at: int | None
    until: int | None
    cost_micros: int | None
    external_id: str | None
    address: str | None
    timeline: Mapping[str, Sequence[Any]]

    @property
    def state(self) -> JobState:
        """Where the job stands."""
        return state_of(self.progress)

    @property
    def message_state(self) -> MessageState | None:
        """What became of the message, None where no provider took it."""
        return _MESSAGE_STATES[self.message]

    @property
    def epoch(self) -> int:
        """How often an operator had it tried again."""
        return epoch_of(self.progress)

    @property
    def attempt(self) -> int:
        """The number of its latest hand-over, 0 before the first."""
        return attempt_of(self.progress)

    @property
    def engagement_set(self) -> list[Engagement]:
        """What the person did with the message."""
        if not self.engagements:
            return []
        return [engagement for engagement in Engagement if self.engagements & engagement.bit]

    @property
    def outcome(self) -> TimelineEntry | None:
        """What the report said that put the job where it stands; for a held job the latest hold."""
        said = self.said(str(self.progress))
        if said is not None or self.state is not JobState.HELD:
            return said
        prefix = f"{self.progress}:"
        return max(
            (entry for key, entry in self.entries.items() if key.startswith(prefix)),
            key=lambda entry: (entry.at, entry.code or ""),
            default=None,
        )

    @property
    def receipt(self) -> TimelineEntry | None:
        """What the receipt said that put the message where it stands."""
        return self.said(_MESSAGE_KEYS[self.message]) if self.message else None

    def said(self, key: str) -> TimelineEntry | None:
        """What was reported under one key of the timeline."""
        entry = self.timeline.get(key)
        return None if entry is None else TimelineEntry(*entry)

    @property
    def entries(self) -> dict[str, TimelineEntry]:
        """The whole timeline."""
        return {key: TimelineEntry(*entry) for key, entry in self.timeline.items()}
