"""A batch says of every job what the fold of its reports says, whether or not a page was read as a whole."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_contracts.messages.delivery import JobsReported, ReportedJobs
from sluice_contracts.vocabulary import Channel, Engagement, JobState, MessageState
from status_api.domain.batch import Batch
from status_api.domain.fold import JobFacts, TimelineEntry, fold_reports

EXECUTIONS = (UUID(int=1), UUID(int=2))
COLUMNS = tuple(ReportedJobs.model_fields)
PAGE: dict[str, Any] = {"at": 1_000, "state": JobState.SENT, "epoch": 0, "attempt": 1}


def page(*jobs: dict[str, Any], execution: int = 0, answers_round: int | None = 0, number: int = 0) -> JobsReported:
    """A report whose jobs say no more than `jobs`."""
    rows = [dict.fromkeys(COLUMNS) | {"seq": place} | PAGE | job for place, job in enumerate(jobs)]
    return JobsReported(
        workspace_id=UUID(int=3),
        trigger_id=UUID(int=4),
        execution_id=EXECUTIONS[execution],
        channel=Channel.SMS,
        page=number,
        answers_round=answers_round,
        reported_at=datetime(2026, 1, 1, tzinfo=UTC),
        jobs=ReportedJobs(**{name: [row[name] for row in rows] for name in COLUMNS}),
    )


def jobs_of(batch: Batch) -> dict[tuple[UUID, int], JobFacts]:
    """The jobs of a batch, each as its own facts. Fails where one is named twice."""
    found: dict[tuple[UUID, int], JobFacts] = {}
    columns = (batch.seq, batch.course, batch.external_id, batch.address, batch.timeline)
    for seq, place, external_id, address, own in zip(*columns, strict=True):
        course = batch.courses[place - 1]
        said = course.timeline if course.timeline is not None else own
        assert said is not None
        assert (course.execution_id, seq) not in found
        found[course.execution_id, seq] = JobFacts(
            course.progress, course.message, course.engagements, course.sent_at, course.until, external_id, address,
            course.segments, course.cost_micros, {key: TimelineEntry(*entry) for key, entry in said.items()},
        )  # fmt: skip
    return found


def folded(messages: list[JobsReported]) -> dict[tuple[UUID, int], JobFacts]:
    return {(touch.execution_id, seq): facts for touch in fold_reports(messages) for seq, facts in touch.jobs.items()}


def headers(batch: Batch) -> list[tuple[UUID, int, int | None]]:
    return [(touch.execution_id, touch.epoch, touch.last_ended_at) for touch in batch.touches]


texts = st.none() | st.sampled_from(["", "a", "é", "zz"])
numbers = st.none() | st.integers(0, 3)
unlike = st.fixed_dictionaries(
    {
        "seq": st.integers(0, 2),
        "state": st.none() | st.sampled_from(JobState),
        "message": st.none() | st.sampled_from(MessageState),
        "engagement": st.none() | st.sampled_from(Engagement),
        "epoch": st.integers(0, 2),
        "attempt": st.integers(0, 2),
        "code": texts,
        "detail": texts,
        "until": numbers,
    }
)
own = st.fixed_dictionaries(
    {
        "at": st.integers(1_000, 1_003),
        "external_id": texts,
        "address": texts,
        "provider": texts,
        "provider_id": texts,
        "segments": numbers,
        "cost_micros": numbers,
    }
)


@st.composite
def pages(draw: st.DrawFn) -> JobsReported:
    """A report in which the jobs may be alike, or each as it likes."""
    common = {"state": JobState.SENT, "message": draw(st.none() | st.sampled_from(MessageState))}
    common |= {"attempt": draw(st.integers(0, 2)), "epoch": draw(st.integers(0, 1))}
    provider = draw(st.sampled_from([{"provider": "smtp", "provider_id": "m1"}, {}]))
    rows = draw(st.lists(own, min_size=1, max_size=3))
    if draw(st.booleans()):
        rows = [row | common | provider | {"seq": place} for place, row in enumerate(rows)]
    elif draw(st.booleans()):
        rows = [row | common for row in rows]
    else:
        rows = [row | draw(unlike) for row in rows]
    return page(*rows, execution=draw(st.integers(0, 1)), answers_round=draw(numbers), number=draw(st.integers(0, 1)))


@given(st.lists(pages(), min_size=1, max_size=5))
def test_a_batch_says_what_the_fold_says(messages: list[JobsReported]) -> None:
    # A job lies on one page: what is drawn for the second is about other jobs.
    for message in messages:
        message.jobs.seq[:] = [seq + 200 * message.page for seq in message.jobs.seq]
    batch = Batch.of_reports(messages)
    assert jobs_of(batch) == folded(messages)
    assert headers(batch) == [
        (touch.execution_id, touch.epoch, touch.last_ended_at) for touch in fold_reports(messages)
    ]


@given(st.lists(pages(), min_size=1, max_size=3))
def test_facts_gathered_job_by_job_stay_what_they_are(messages: list[JobsReported]) -> None:
    assert jobs_of(Batch.of_touches(fold_reports(messages))) == folded(messages)


def test_a_page_that_was_sent_at_once_has_one_course() -> None:
    sent = page(*({"address": f"+1415555010{n}", "provider": "s", "provider_id": f"m{n}"} for n in range(9)))
    delivered = page(*({"message": MessageState.DELIVERED} for _ in range(9)), answers_round=None)
    assert len(Batch.of_reports([sent]).courses) == 1
    (course,) = Batch.of_reports([delivered]).courses
    assert course.timeline == {"delivered": [1_000]}


@pytest.mark.parametrize(
    "oddity",
    [
        {"code": "30003"},
        {"detail": "odd"},
        {"engagement": Engagement.OPENED},
        {"message": MessageState.READ},
        {"state": JobState.FAILED},
        {"epoch": 1},
        {"attempt": 2},
        {"until": 9},
        {"provider_id": "m1"},
    ],
)
def test_one_job_that_is_unlike_the_others_is_told_apart(oddity: dict[str, Any]) -> None:
    message = page({}, oddity, {})
    assert jobs_of(Batch.of_reports([message])) == folded([message])
