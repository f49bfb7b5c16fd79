from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_contracts.status import (
    ExecutionProgress,
    JobCounts,
    Status,
    execution_status,
    step_statuses,
    trigger_status,
)

NUMBERS = st.integers(min_value=0, max_value=10**7)
SMALL = st.integers(min_value=0, max_value=3)
COUNTS = st.builds(
    lambda open_jobs, sent, failed, filtered, cancelled: JobCounts(
        open_jobs + sent + failed + filtered + cancelled, sent, failed, filtered, cancelled
    ),
    SMALL,
    SMALL,
    SMALL,
    SMALL,
    SMALL,
)
PROGRESS = st.builds(ExecutionProgress, COUNTS, started=st.booleans(), commanded=st.booleans())
FLAGS = st.booleans()
TWO_ORDERS = st.lists(PROGRESS, min_size=1, max_size=5).flatmap(
    lambda parts: st.tuples(st.just(parts), st.permutations(parts))
)


def progress(
    *, sent: int = 0, failed: int = 0, filtered: int = 0, cancelled: int = 0, open_jobs: int = 0, commanded: bool = True
) -> ExecutionProgress:
    counts = JobCounts(sent + failed + filtered + cancelled + open_jobs, sent, failed, filtered, cancelled)
    return ExecutionProgress(counts, started=True, commanded=commanded)


IDLE = ExecutionProgress(JobCounts(), started=False, commanded=False)
RUNNING = progress(sent=3, open_jobs=2)
DONE = progress(sent=5)


class TestCounts:
    @given(NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS)
    def test_the_ledger_balances_however_late_the_estimate_is(
        self, expected: int, sent: int, failed: int, filtered: int, cancelled: int
    ) -> None:
        counts = JobCounts.of(expected, sent=sent, failed=failed, filtered=filtered, cancelled=cancelled)
        assert counts.total == counts.sent + counts.failed + counts.filtered + counts.cancelled + counts.open
        assert counts.open >= 0
        assert counts.total >= expected

    @given(st.lists(COUNTS))
    def test_sums_balance_too(self, parts: list[JobCounts]) -> None:
        whole = JobCounts.sum(parts)
        assert whole.open == sum(part.open for part in parts)
        assert whole.total == whole.accounted + whole.open


class TestExecution:
    @pytest.mark.parametrize(
        ("execution", "status"),
        [
            (IDLE, Status.PENDING),
            (progress(commanded=False), Status.PROCESSING),
            (progress(open_jobs=1), Status.PROCESSING),
            (progress(sent=5, commanded=False), Status.PROCESSING),
            (progress(sent=5), Status.COMPLETED),
            (progress(sent=995, failed=5), Status.COMPLETED),
            (progress(filtered=1), Status.COMPLETED),
            (progress(filtered=1, failed=1), Status.COMPLETED),
            (progress(sent=1, cancelled=9), Status.COMPLETED),
            (progress(filtered=1, cancelled=9), Status.COMPLETED),
            (progress(), Status.COMPLETED),
            (progress(failed=1), Status.FAILED),
            (progress(failed=1, cancelled=1), Status.FAILED),
            (progress(cancelled=5), Status.CANCELLED),
        ],
    )
    def test_the_status_follows_from_the_counts(self, execution: ExecutionProgress, status: Status) -> None:
        assert execution_status(execution) is status

    def test_a_report_that_is_read_before_the_start_is_not_pending(self) -> None:
        early = ExecutionProgress(
            JobCounts.of(0, sent=1, failed=0, filtered=0, cancelled=0), started=False, commanded=False
        )
        assert execution_status(early) is Status.PROCESSING

    def test_an_end_that_is_read_before_the_start_is_an_end(self) -> None:
        assert execution_status(replace(DONE, started=False)) is Status.COMPLETED

    def test_what_never_began_shares_its_triggers_fate(self) -> None:
        assert execution_status(IDLE, trigger_cancelled=True) is Status.CANCELLED
        assert execution_status(IDLE, trigger_failed=True) is Status.FAILED

    def test_what_was_under_way_when_its_trigger_broke_off_has_failed(self) -> None:
        assert execution_status(RUNNING, trigger_failed=True) is Status.FAILED
        assert execution_status(DONE, trigger_failed=True) is Status.COMPLETED

    def test_a_cancelled_execution_is_processing_until_what_is_under_way_has_ended(self) -> None:
        assert execution_status(RUNNING, trigger_cancelled=True) is Status.PROCESSING

    @given(PROGRESS, FLAGS, FLAGS)
    def test_an_end_is_an_end_only_when_nothing_is_open(
        self, execution: ExecutionProgress, cancelled: bool, failed: bool
    ) -> None:
        status = execution_status(execution, trigger_cancelled=cancelled, trigger_failed=failed)
        if status in {Status.COMPLETED, Status.CANCELLED}:
            assert execution.counts.open == 0 or not execution.begun
        if status is Status.COMPLETED:
            assert execution.counts.cancelled < execution.counts.total or execution.counts.total == 0
        if status is Status.FAILED and not failed:
            assert execution.counts.failed > 0
            assert execution.counts.sent == execution.counts.filtered == 0

    @given(PROGRESS, FLAGS, FLAGS)
    def test_an_execution_is_never_scheduled(self, execution: ExecutionProgress, cancelled: bool, failed: bool) -> None:
        status = execution_status(execution, trigger_cancelled=cancelled, trigger_failed=failed)
        assert status is not Status.SCHEDULED

    @given(COUNTS)
    def test_one_more_ended_job_never_reopens_an_execution(self, counts: JobCounts) -> None:
        before = execution_status(ExecutionProgress(counts, started=True, commanded=True))
        if counts.open:
            after = execution_status(
                ExecutionProgress(replace(counts, sent=counts.sent + 1), started=True, commanded=True)
            )
            assert before is Status.PROCESSING
            assert after in {Status.PROCESSING, Status.COMPLETED}


class TestSteps:
    @pytest.mark.parametrize(
        ("steps", "statuses"),
        [
            ([], []),
            ([IDLE, IDLE], ["pending", "pending"]),
            ([RUNNING, IDLE, IDLE], ["processing", "scheduled", "pending"]),
            ([DONE, IDLE, IDLE], ["completed", "scheduled", "pending"]),
            ([DONE, RUNNING, IDLE], ["completed", "processing", "scheduled"]),
            ([DONE, progress(failed=1), IDLE], ["completed", "failed", "scheduled"]),
            ([DONE, DONE], ["completed", "completed"]),
        ],
    )
    def test_of_the_steps_to_come_only_the_next_is_scheduled(
        self, steps: list[ExecutionProgress], statuses: list[str]
    ) -> None:
        assert step_statuses(steps) == statuses

    def test_nothing_is_scheduled_while_paused(self) -> None:
        assert step_statuses([DONE, IDLE], paused=True) == ["completed", "pending"]

    def test_steps_to_come_share_their_triggers_fate(self) -> None:
        assert step_statuses([DONE, IDLE, IDLE], trigger_cancelled=True) == ["completed", "cancelled", "cancelled"]
        assert step_statuses([DONE, IDLE], trigger_failed=True) == ["completed", "failed"]

    @given(st.lists(PROGRESS, max_size=6), FLAGS, FLAGS, FLAGS)
    def test_at_most_one_step_is_scheduled_and_what_comes_before_it_has_begun(
        self, steps: list[ExecutionProgress], paused: bool, cancelled: bool, failed: bool
    ) -> None:
        statuses = step_statuses(steps, paused=paused, trigger_cancelled=cancelled, trigger_failed=failed)
        assert len(statuses) == len(steps)
        assert statuses.count(Status.SCHEDULED) <= 1
        if Status.SCHEDULED in statuses:
            assert not paused
            assert Status.PENDING not in statuses[: statuses.index(Status.SCHEDULED)]
            assert statuses[0] is not Status.SCHEDULED


class TestTrigger:
    @pytest.mark.parametrize(
        ("executions", "status"),
        [
            ([], Status.PENDING),
            ([IDLE], Status.PENDING),
            ([IDLE, IDLE], Status.PENDING),
            ([RUNNING], Status.PROCESSING),
            ([DONE, IDLE], Status.PROCESSING),
            ([DONE, RUNNING], Status.PROCESSING),
            ([DONE], Status.COMPLETED),
            ([DONE, progress(failed=5)], Status.COMPLETED),
            ([progress(filtered=1), progress(failed=5)], Status.COMPLETED),
            ([progress(filtered=1)], Status.COMPLETED),
            ([progress(), progress()], Status.COMPLETED),
            ([progress(failed=5)], Status.FAILED),
            ([progress(failed=5), progress()], Status.FAILED),
            ([progress(failed=5), progress(cancelled=5)], Status.FAILED),
        ],
    )
    def test_the_status_follows_from_all_executions(self, executions: list[ExecutionProgress], status: Status) -> None:
        assert trigger_status(executions) is status

    @pytest.mark.parametrize(
        ("executions", "status"),
        [
            ([], Status.CANCELLED),
            ([IDLE], Status.CANCELLED),
            ([DONE, IDLE], Status.CANCELLED),
            ([RUNNING, IDLE], Status.PROCESSING),
            ([progress(sent=1, cancelled=9)], Status.CANCELLED),
            ([progress(cancelled=9)], Status.CANCELLED),
            ([DONE], Status.COMPLETED),
            ([DONE, progress()], Status.COMPLETED),
            ([progress(failed=5)], Status.FAILED),
        ],
    )
    def test_a_cancel_shows_if_it_kept_anything_back(self, executions: list[ExecutionProgress], status: Status) -> None:
        assert trigger_status(executions, cancelled=True) is status

    @pytest.mark.parametrize("executions", [[], [IDLE], [DONE, RUNNING]])
    def test_a_trigger_that_could_not_be_carried_out_has_failed(self, executions: list[ExecutionProgress]) -> None:
        assert trigger_status(executions, failed=True) is Status.FAILED

    @given(st.lists(PROGRESS, min_size=1, max_size=5), FLAGS)
    def test_it_is_over_exactly_when_all_its_executions_are(
        self, executions: list[ExecutionProgress], cancelled: bool
    ) -> None:
        over = all(execution_status(part, trigger_cancelled=cancelled).is_final for part in executions)
        assert trigger_status(executions, cancelled=cancelled).is_final is over

    @given(TWO_ORDERS, FLAGS)
    def test_the_order_of_executions_does_not_matter(
        self, orders: tuple[list[ExecutionProgress], list[ExecutionProgress]], cancelled: bool
    ) -> None:
        one, other = orders
        assert trigger_status(one, cancelled=cancelled) is trigger_status(other, cancelled=cancelled)

    @given(PROGRESS)
    def test_a_trigger_of_one_execution_shares_its_status(self, execution: ExecutionProgress) -> None:
        assert trigger_status([execution]) is execution_status(execution)

    @given(st.lists(PROGRESS, max_size=5), FLAGS, FLAGS)
    def test_only_steps_are_ever_scheduled(
        self, executions: list[ExecutionProgress], cancelled: bool, failed: bool
    ) -> None:
        assert trigger_status(executions, cancelled=cancelled, failed=failed) is not Status.SCHEDULED
