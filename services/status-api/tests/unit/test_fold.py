"""Reports come repeated and in any order; the facts they leave do not depend on that."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_contracts.messages.delivery import JobsReported, ReportedJobs
from sluice_contracts.messages.trigger import RetryRequested
from sluice_contracts.vocabulary import Channel, Engagement, JobState, MessageState
from status_api.domain.fold import ExecutionTouch, JobFacts, TimelineEntry, fold_reports, fold_retry
from status_api.domain.progress import attempt_of, epoch_of, pack, state_of

EXECUTION, TRIGGER, WORKSPACE = (UUID(int=place) for place in (1, 2, 3))
COLUMNS = tuple(ReportedJobs.model_fields)


def report(**values: Any) -> dict[str, Any]:
    """One report that says nothing but `values`."""
    return dict.fromkeys(COLUMNS) | {"seq": 0, "at": 1_000, "epoch": 0, "attempt": 0} | values


def message(*reports: dict[str, Any], answers_round: int | None = None) -> JobsReported:
    return JobsReported(
        workspace_id=WORKSPACE,
        trigger_id=TRIGGER,
        execution_id=EXECUTION,
        channel=Channel.SMS,
        page=0,
        answers_round=answers_round,
        reported_at=datetime(2026, 1, 1, tzinfo=UTC),
        jobs=ReportedJobs(**{name: [one[name] for one in reports] for name in COLUMNS}),
    )


def folded(*messages: JobsReported) -> dict[int, JobFacts]:
    (touch,) = fold_reports(messages)
    return touch.jobs


def fact(*reports: dict[str, Any]) -> JobFacts:
    return folded(*(message(one) for one in reports))[0]


def joined_one_by_one(messages: list[JobsReported]) -> ExecutionTouch:
    """As the tables do it: every message is folded by itself and joined to what is there."""
    (whole,) = fold_reports(messages[:1])
    for later in messages[1:]:
        (touch,) = fold_reports([later])
        for seq, facts in touch.jobs.items():
            if seq in whole.jobs:
                whole.jobs[seq].join(facts)
            else:
                whole.jobs[seq] = facts
        ends = [at for at in (whole.last_ended_at, touch.last_ended_at) if at is not None]
        whole.last_ended_at = max(ends, default=None)
        whole.epoch = max(whole.epoch, touch.epoch)
    return whole


texts = st.none() | st.sampled_from(["", "a", "é", "zz"])
numbers = st.none() | st.integers(0, 3)
reports = st.fixed_dictionaries(
    {
        "seq": st.integers(0, 2),
        "at": st.integers(1_000, 1_005),
        "state": st.none() | st.sampled_from(JobState),
        "message": st.none() | st.sampled_from(MessageState),
        "engagement": st.none() | st.sampled_from(Engagement),
        "epoch": st.integers(0, 2),
        "attempt": st.integers(0, 2),
        "code": texts,
        "detail": texts,
        "until": numbers,
        "external_id": texts,
        "address": texts,
        "provider": texts,
        "provider_id": texts,
        "segments": numbers,
        "cost_micros": numbers,
    }
)
messages = st.builds(
    lambda rows, answers: message(*rows, answers_round=answers), st.lists(reports, min_size=1, max_size=4), numbers
)


@st.composite
def two_orders(draw: st.DrawFn) -> tuple[list[JobsReported], list[JobsReported]]:
    """The same messages twice: as they are, and shuffled with some of them repeated."""
    original = draw(st.lists(messages, min_size=1, max_size=6))
    repeated = original + draw(st.lists(st.sampled_from(original), max_size=4))
    return original, draw(st.permutations(repeated))


@given(two_orders())
def test_any_order_with_any_repetition_ends_in_the_same_facts(
    orders: tuple[list[JobsReported], list[JobsReported]],
) -> None:
    original, shuffled = orders
    assert fold_reports(original) == fold_reports(shuffled)


@given(two_orders())
def test_cutting_the_stream_into_other_batches_ends_in_the_same_facts(
    orders: tuple[list[JobsReported], list[JobsReported]],
) -> None:
    original, shuffled = orders
    assert fold_reports(original) == [joined_one_by_one(shuffled)]


@given(st.lists(messages, min_size=1, max_size=5), messages)
def test_progress_never_goes_back(earlier: list[JobsReported], later: JobsReported) -> None:
    before = deepcopy(folded(*earlier))
    after = folded(*earlier, later)
    for seq, facts in before.items():
        assert after[seq].progress >= facts.progress
        assert after[seq].message >= facts.message
        assert after[seq].engagements & facts.engagements == facts.engagements


@given(st.integers(0, 20_000), st.sampled_from(JobState), st.integers(0, 5_000))
def test_progress_unpacks_to_what_was_packed_up_to_what_fits(epoch: int, state: JobState, attempt: int) -> None:
    progress = pack(epoch, state, attempt)
    assert 0 <= progress < 2**31
    assert (epoch_of(progress), state_of(progress), attempt_of(progress)) == (
        min(epoch, 2**14 - 1),
        state,
        min(attempt, 2**12 - 1),
    )


def test_a_late_sent_never_undoes_delivered() -> None:
    late = fact(report(message=MessageState.DELIVERED), report(message=MessageState.SENT))
    assert late.message == MessageState.DELIVERED.rank


def test_a_failure_that_is_tried_again_moves_forward_to_held_and_to_sent() -> None:
    failed = report(state=JobState.FAILED, attempt=3, code="retries_exhausted")
    held = report(state=JobState.HELD, epoch=1, code="rate")
    assert state_of(fact(failed, held).progress) is JobState.HELD
    assert state_of(fact(held, failed).progress) is JobState.HELD
    sent = report(state=JobState.SENT, epoch=1, attempt=1)
    assert state_of(fact(sent, held, failed).progress) is JobState.SENT


@given(st.permutations(range(3)))
def test_a_retry_opens_what_has_failed_and_nothing_that_came_of_it(order: list[int]) -> None:
    request = RetryRequested(
        trigger_id=TRIGGER,
        workspace_id=WORKSPACE,
        requested_at=datetime(2026, 1, 1, tzinfo=UTC),
        execution_id=EXECUTION,
        page=0,
        epoch=1,
        seqs=[0, 1, 2],
    )
    touches: dict[UUID, ExecutionTouch] = {}
    fold_retry(touches, request)
    retried = touches[EXECUTION].jobs
    failures = folded(message(*(report(seq=seq, state=JobState.FAILED, attempt=5) for seq in range(3))))
    outcomes = folded(
        message(report(seq=1, state=JobState.SENT, epoch=1), report(seq=2, state=JobState.FAILED, epoch=1))
    )
    known = {seq: JobFacts() for seq in range(3)}
    for place in order:
        for seq, facts in (retried, failures, outcomes)[place].items():
            known[seq].join(facts)
    assert [state_of(known[seq].progress) for seq in range(3)] == [JobState.HELD, JobState.SENT, JobState.FAILED]
    assert {epoch_of(facts.progress) for facts in known.values()} == {1}
    assert all("Somebody asked for another try" in str(facts.timeline) for facts in known.values())


def test_a_receipt_moves_an_uncertain_job_to_sent() -> None:
    uncertain = report(state=JobState.FAILED, attempt=1, code="uncertain")
    receipt = report(message=MessageState.DELIVERED, at=2_000)
    assert state_of(fact(uncertain, receipt).progress) is JobState.SENT


def test_a_message_that_was_proven_sent_stays_sent_whatever_a_retry_of_it_comes_to() -> None:
    receipt = report(message=MessageState.DELIVERED)
    filtered = report(state=JobState.FILTERED, epoch=1, code="suppressed_stop")
    assert state_of(fact(receipt, filtered).progress) is JobState.SENT


def test_an_engagement_alone_proves_nothing_about_the_job() -> None:
    opened = fact(report(engagement=Engagement.OPENED))
    assert (state_of(opened.progress), opened.message) == (JobState.PENDING, 0)
    assert opened.engagements == Engagement.OPENED.bit


def test_a_sent_job_without_receipt_counts_as_accepted() -> None:
    assert fact(report(state=JobState.SENT, attempt=1)).message == MessageState.ACCEPTED.rank


def test_a_repeated_report_with_a_later_time_leaves_the_first_time() -> None:
    first, again = report(state=JobState.SENT, attempt=1, at=5), report(state=JobState.SENT, attempt=1, at=9)
    facts = fact(again, first)
    assert facts.timeline == {str(facts.progress): TimelineEntry(5)}
    assert facts.sent_at == 5


def test_columns_that_only_the_outcome_carries_survive_a_receipt_that_came_first() -> None:
    receipt = report(message=MessageState.DELIVERED, at=9)
    outcome = report(state=JobState.SENT, attempt=1, at=5, address="+14155550100", segments=2, cost_micros=15_000)
    facts = fact(receipt, outcome)
    assert (facts.address, facts.segments, facts.cost_micros, facts.sent_at) == ("+14155550100", 2, 15_000, 5)


def test_a_receipt_that_also_says_sent_leaves_the_hand_over_as_the_worker_told_it() -> None:
    """A provider's clock may be behind ours, and its receipts name neither the provider nor the right attempt."""
    outcome = report(state=JobState.SENT, attempt=2, at=5_400, provider="smtp", provider_id="m1")
    receipt = report(state=JobState.SENT, attempt=1, at=5_000, message=MessageState.BOUNCED, code="5.1.1")
    (touch,) = fold_reports([message(outcome, answers_round=0), message(receipt)])
    facts = touch.jobs[0]
    assert facts.timeline == {
        str(facts.progress): TimelineEntry(5_400, None, None, "smtp", "m1"),
        "bounced": TimelineEntry(5_000, "5.1.1"),
    }


@pytest.mark.parametrize(("answers_round", "expected"), [(0, 7), (None, None)])
def test_only_the_answer_to_a_command_says_when_an_execution_ended(
    answers_round: int | None, expected: int | None
) -> None:
    """A receipt three days later must not move the end of what was over long ago."""
    ended = report(state=JobState.SENT, at=7)
    held = report(seq=1, state=JobState.HELD, at=9)
    (touch,) = fold_reports([message(ended, held, answers_round=answers_round)])
    assert touch.last_ended_at == expected


def test_executions_come_out_in_the_order_of_their_ids() -> None:
    """Two folders that lock rows in the same order cannot wait for each other."""
    one = message(report()).model_copy(update={"execution_id": UUID(int=9)})
    assert [touch.execution_id for touch in fold_reports([one, message(report())])] == [EXECUTION, UUID(int=9)]
