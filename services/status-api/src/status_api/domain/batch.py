"""A batch of reports as columns: what jobs have in common is said once for all of them.

The jobs of a page are as a rule sent together and delivered together, and differ in whom they are for. A report of that
kind becomes columns without a look at the single job, in a fifth of the time; all others are folded job by job.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple
from uuid import UUID

from sluice_contracts.messages.delivery import JobsReported, ReportedJobs
from sluice_contracts.messages.trigger import RetryRequested
from sluice_contracts.vocabulary import JobState, MessageState
from status_api.domain.fold import ACCEPTED, ExecutionTouch, fold_message, fold_retry, message_key, touched
from status_api.domain.progress import pack

Timeline = dict[str, list[Any]]
"""See `fold.JobFacts`; an entry ends with the last thing that it knows."""


class Course(NamedTuple):
    """What jobs have in common, as in `fold.JobFacts`. `timeline` is None where each has its own."""

    execution_id: UUID
    progress: int
    message: int
    engagements: int
    segments: int | None
    sent_at: int | None
    until: int | None
    cost_micros: int | None
    timeline: Timeline | None = None


@dataclass(slots=True)
class Batch:
    """Jobs as columns, one entry a job and each job once. `touches` are their executions, in the order of ids.

    `course` is where a job's course stands among `courses`, from 1.
    """

    touches: list[ExecutionTouch]
    courses: list[Course] = field(default_factory=list)
    seq: list[int] = field(default_factory=list)
    course: list[int] = field(default_factory=list)
    external_id: list[str | None] = field(default_factory=list)
    address: list[str | None] = field(default_factory=list)
    timeline: list[Timeline | None] = field(default_factory=list)

    @classmethod
    def of_touches(cls, touches: Iterable[ExecutionTouch]) -> Batch:
        """Return facts that were gathered job by job; each execution once."""
        batch = cls(sorted(touches, key=lambda touch: touch.execution_id))
        for touch in batch.touches:
            batch._add_facts(touch)
        return batch

    @classmethod
    def of_retries(cls, requests: Iterable[RetryRequested]) -> Batch:
        """Return that the jobs of `requests` are open again."""
        touches: dict[UUID, ExecutionTouch] = {}
        for request in requests:
            fold_retry(touches, request)
        return cls.of_touches(touches.values())

    @classmethod
    def of_reports(cls, messages: Iterable[JobsReported]) -> Batch:
        """Return what `messages` say, in whatever order and however often they say it."""
        touches: dict[UUID, ExecutionTouch] = {}
        alike: list[tuple[JobsReported, _Likeness]] = []
        for page in _pages(messages):
            likenesses = [found for message in page if (found := _Likeness.of(message))]
            if len(likenesses) == len(page) and _names_each_job_once(page):
                alike += zip(page, likenesses, strict=True)
                for message in page:
                    touched(touches, message)
            else:
                for message in page:
                    fold_message(touches, message)
        batch = cls.of_touches(touches.values())
        for message, likeness in alike:
            batch._add_alike(message, likeness)
        return batch

    def _add_facts(self, touch: ExecutionTouch) -> None:
        courses: dict[Course, int] = {}
        for seq, facts in touch.jobs.items():
            course = Course(
                touch.execution_id, facts.progress, facts.message, facts.engagements, facts.segments, facts.sent_at,
                facts.until, facts.cost_micros,
            )  # fmt: skip
            self.course.append(courses.setdefault(course, len(self.courses) + len(courses) + 1))
            self.seq.append(seq)
            self.external_id.append(facts.external_id)
            self.address.append(facts.address)
            self.timeline.append({key: _known(entry) for key, entry in facts.timeline.items()})
        self.courses += courses

    def _add_alike(self, message: JobsReported, likeness: _Likeness) -> None:
        jobs = message.jobs
        kinds = list(zip(jobs.at, jobs.segments, jobs.cost_micros, strict=True))
        places: dict[tuple[int, int | None, int | None], int] = {}
        for kind in set(kinds):
            at, segments, cost_micros = kind
            self.courses.append(
                Course(
                    message.execution_id, likeness.progress, likeness.message, 0, segments, at, None, cost_micros,
                    likeness.shared_timeline(at),
                )
            )  # fmt: skip
            places[kind] = len(self.courses)
        self.seq += jobs.seq
        self.course += [places[kind] for kind in kinds]
        self.external_id += _texts(jobs.external_id)
        self.address += _texts(jobs.address)
        self.timeline += likeness.timelines(jobs)


class _Likeness(NamedTuple):
    """What the jobs of a report have in common that were all sent, and of which nothing unusual is said.

    `outcome` and `receipt` are the keys under which their timelines say so, None where this report is not to say it.
    """

    progress: int
    message: int
    outcome: str | None
    receipt: str | None

    @classmethod
    def of(cls, report: JobsReported) -> _Likeness | None:
        """Return it as `fold.facts_in` would find it for each job; None where they are not alike, or not plain."""
        jobs = report.jobs
        if not len(jobs):
            return None
        state, became, epoch, attempt = jobs.state[0], jobs.message[0], jobs.epoch[0], jobs.attempt[0]
        if state is not JobState.SENT or not (
            _all(jobs.state, state)
            and _all(jobs.message, became)
            and _all(jobs.epoch, epoch)
            and _all(jobs.attempt, attempt)
            and _all(jobs.engagement, None)
            and _all(jobs.code, None)
            and _all(jobs.detail, None)
            and _all(jobs.until, None)
            and _all_or_nothing(jobs.provider)
            and _all_or_nothing(jobs.provider_id)
            and bool(jobs.provider[0]) == bool(jobs.provider_id[0])
        ):
            return None
        progress = pack(epoch, state, attempt)
        is_answer = report.answers_round is not None
        tells_more = became is not None and not (is_answer and became is MessageState.ACCEPTED)
        return cls(
            progress,
            ACCEPTED if became is None else became.rank,
            str(progress) if is_answer or became is None else None,
            message_key(became) if became is not None and tells_more else None,
        )

    def shared_timeline(self, at: int) -> Timeline | None:
        """Return the timeline of every job of `at`, None where each has its own."""
        return {self.receipt: [at]} if self.outcome is None and self.receipt is not None else None

    def timelines(self, jobs: ReportedJobs) -> list[Timeline | None]:
        """Return the timelines of the single jobs."""
        if self.outcome is None:
            return [None] * len(jobs)
        columns: Sequence[Sequence[Any]] = (jobs.at,)
        if jobs.provider[0]:
            nothing = [None] * len(jobs)
            columns = (jobs.at, nothing, nothing, jobs.provider, jobs.provider_id)
        outcomes: list[Timeline | None] = [{self.outcome: [*entry]} for entry in zip(*columns, strict=True)]
        if self.receipt is not None:
            for timeline, at in zip(outcomes, jobs.at, strict=True):
                if timeline is not None:
                    timeline[self.receipt] = [at]
        return outcomes


def _pages(messages: Iterable[JobsReported]) -> Collection[list[JobsReported]]:
    pages: defaultdict[tuple[UUID, int], list[JobsReported]] = defaultdict(list)
    for message in messages:
        pages[message.execution_id, message.page].append(message)
    return pages.values()


def _names_each_job_once(messages: Sequence[JobsReported]) -> bool:
    seqs = [*chain.from_iterable(message.jobs.seq for message in messages)]
    return len(set(seqs)) == len(seqs)


def _all(column: Sequence[Any], value: Any) -> bool:
    return column.count(value) == len(column)


def _all_or_nothing(column: Sequence[str | None]) -> bool:
    return all(column) or not any(column)


def _texts(column: list[str | None]) -> list[str | None]:
    """An empty text knows nothing."""
    return [text or None for text in column] if "" in column else column


def _known(entry: Sequence[Any]) -> list[Any]:
    values = list(entry)
    while values[-1] is None:
        values.pop()
    return values
