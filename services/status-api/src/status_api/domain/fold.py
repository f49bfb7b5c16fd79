"""Folding reports into rows: a join, so that neither order nor repetition of reports makes a difference.

Every column is joined by an operation that is commutative, associative and idempotent: the highest progress, message
rank, time of release, price and text; the earliest time; the union of engagements; and in the timeline, entry by entry,
whatever was said first. What a row shows beyond that (its code, its provider) is looked up in the timeline under its
progress, and so is as independent of order as the progress is. `fold_jobs` in `projection.sql` joins the same way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from uuid import UUID

from sluice_contracts.messages.delivery import JobsReported
from sluice_contracts.messages.trigger import RetryRequested
from sluice_contracts.vocabulary import Channel, HoldCode, JobState, MessageState
from status_api.domain.progress import pack

ACCEPTED: Final = MessageState.ACCEPTED.rank
_FINAL: Final = frozenset(state for state in JobState if state.is_final)
_ASKED_FOR: Final = "Somebody asked for another try"


class TimelineEntry(NamedTuple):
    """What one report said. `at` is Unix milliseconds; the provider stands only with a job's own states."""

    at: int
    code: str | None = None
    detail: str | None = None
    provider: str | None = None
    provider_id: str | None = None


def _order(entry: TimelineEntry) -> tuple[int | str, ...]:
    return (entry.at, entry.code or "", entry.detail or "", entry.provider or "", entry.provider_id or "")


def earlier(one: TimelineEntry, other: TimelineEntry) -> TimelineEntry:
    """Return which of two entries under one key stays: the earlier; of two at one moment, the lower text."""
    return one if _order(one) <= _order(other) else other


@dataclass(slots=True)
class JobFacts:
    """Everything known of one job. `sent_at` and `until` are Unix milliseconds.

    The timeline's keys: a job state's progress (for `held` with its code, "8193:rate"), or the name of a message state
    or of an engagement.
    """

    progress: int = 0
    message: int = 0
    engagements: int = 0
    sent_at: int | None = None
    until: int | None = None
    external_id: str | None = None
    address: str | None = None
    segments: int | None = None
    cost_micros: int | None = None
    timeline: dict[str, TimelineEntry] = field(default_factory=dict)

    def note(self, key: str, entry: TimelineEntry) -> None:
        """Put `entry` into the timeline, unless something earlier stands there."""
        known = self.timeline.get(key)
        self.timeline[key] = entry if known is None else earlier(known, entry)

    def join(self, other: JobFacts) -> None:
        """Learn what `other` knows about the same job."""
        self.progress = max(self.progress, other.progress)
        self.message = max(self.message, other.message)
        self.engagements |= other.engagements
        self.sent_at = lowest(self.sent_at, other.sent_at)
        self.until = highest(self.until, other.until)
        self.external_id = highest_text(self.external_id, other.external_id)
        self.address = highest_text(self.address, other.address)
        self.segments = highest(self.segments, other.segments)
        self.cost_micros = highest(self.cost_micros, other.cost_micros)
        for key, entry in other.timeline.items():
            self.note(key, entry)


@dataclass(slots=True)
class ExecutionTouch:
    """What a batch says about one execution as a whole. Times are Unix milliseconds, `epoch` the highest reported.

    The channel is None where nobody has named it.
    """

    execution_id: UUID
    trigger_id: UUID
    workspace_id: UUID
    channel: Channel | None
    epoch: int = 0
    last_ended_at: int | None = None
    jobs: dict[int, JobFacts] = field(default_factory=dict)


def fold_reports(messages: Iterable[JobsReported]) -> list[ExecutionTouch]:
    """Return what `messages` say, one entry an execution and one fact sheet a job, in the order of the ids."""
    touches: dict[UUID, ExecutionTouch] = {}
    for message in messages:
        fold_message(touches, message)
    return [touches[execution_id] for execution_id in sorted(touches)]


def fold_message(touches: dict[UUID, ExecutionTouch], message: JobsReported) -> None:
    """Take what `message` says of its execution and of each of its jobs into `touches`."""
    jobs = touched(touches, message).jobs
    for seq, facts in facts_in(message):
        known = jobs.get(seq)
        if known is None:
            jobs[seq] = facts
        else:
            known.join(facts)


def touched(touches: dict[UUID, ExecutionTouch], message: JobsReported) -> ExecutionTouch:
    """Take what `message` says of its execution, and nothing of its jobs, into `touches`; return the entry."""
    touch = touches.get(message.execution_id)
    if touch is None:
        touch = touches[message.execution_id] = ExecutionTouch(
            message.execution_id, message.trigger_id, message.workspace_id, message.channel
        )
    reports = message.jobs
    touch.epoch = max(touch.epoch, max(reports.epoch, default=0))
    if message.answers_round is not None:
        ended = [at for at, state in zip(reports.at, reports.state, strict=True) if state in _FINAL]
        touch.last_ended_at = highest(touch.last_ended_at, max(ended, default=None))
    return touch


def fold_retry(touches: dict[UUID, ExecutionTouch], request: RetryRequested) -> None:
    """Take into `touches` that somebody asked for these jobs to be tried again: they are open from that moment on.

    The request is on a topic that is never lost, and what it comes to may be: as long as that has not been heard, the
    execution is not at its end, and whoever looks for what stands still finds it. It counts as news of the execution.
    """
    touch = touches.setdefault(
        request.execution_id, ExecutionTouch(request.execution_id, request.trigger_id, request.workspace_id, None)
    )
    at = int(request.requested_at.timestamp() * 1000)
    touch.epoch = max(touch.epoch, request.epoch)
    touch.last_ended_at = highest(touch.last_ended_at, at)
    progress, said = pack(request.epoch, JobState.HELD, 0), TimelineEntry(at, HoldCode.RETRY.value, _ASKED_FOR)
    for seq in request.seqs:
        facts = JobFacts(progress, until=at)
        facts.note(_state_key(progress, JobState.HELD, said.code), said)
        touch.jobs.setdefault(seq, JobFacts()).join(facts)


def facts_in(message: JobsReported) -> Iterator[tuple[int, JobFacts]]:
    """Yield what each report says by itself, with the position of its job.

    A report of what became of a message proves that a provider took it: the job was sent. When and by whom it was
    handed over is for the answer to the command to tell; a later receipt that says `sent` besides only proves it.
    """
    is_answer = message.answers_round is not None
    reports = message.jobs
    columns = zip(
        reports.seq,
        reports.at,
        reports.state,
        reports.message,
        reports.engagement,
        reports.epoch,
        reports.attempt,
        reports.code,
        reports.detail,
        reports.until,
        reports.external_id,
        reports.address,
        reports.provider,
        reports.provider_id,
        reports.segments,
        reports.cost_micros,
        strict=True,
    )
    for (
        seq, at, state, became, engagement, epoch, attempt, code, detail, until,
        external_id, address, provider, provider_id, segments, cost_micros,
    ) in columns:  # fmt: skip
        facts = JobFacts(0, 0, 0, None, until, external_id or None, address or None, segments, cost_micros)
        said = TimelineEntry(at, code or None, detail or None)
        if state is JobState.SENT or became is not None:
            facts.progress = pack(epoch, JobState.SENT, attempt)
            facts.message = ACCEPTED if became is None else became.rank
            facts.sent_at = at
        elif state is not None:
            facts.progress = pack(epoch, state, attempt)
        if state is not None and (is_answer or (became is None and engagement is None)):
            key = _state_key(pack(epoch, state, attempt), state, said.code)
            facts.timeline[key] = TimelineEntry(at, said.code, said.detail, provider or None, provider_id or None)
        if became is not None and not (is_answer and became is MessageState.ACCEPTED):
            facts.note(message_key(became), said)
        if engagement is not None:
            facts.engagements = engagement.bit
            facts.note(engagement.value, said)
        yield seq, facts


def message_key(state: MessageState) -> str:
    """Return the timeline's key for `state`; "sent" alone would read like the job's own state."""
    return "message_sent" if state is MessageState.SENT else state.value


def _state_key(progress: int, state: JobState, code: str | None) -> str:
    return f"{progress}:{code or ''}" if state is JobState.HELD else str(progress)


def lowest(one: int | None, other: int | None) -> int | None:
    """Return the lower of two numbers; None knows nothing."""
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def highest(one: int | None, other: int | None) -> int | None:
    """Return the higher of two numbers; None knows nothing."""
    if one is None or other is None:
        return other if one is None else one
    return max(one, other)


def highest_text(one: str | None, other: str | None) -> str | None:
    """Return the text that sorts last by code points; None knows nothing."""
    if one is None or other is None:
        return other if one is None else one
    return max(one, other)
