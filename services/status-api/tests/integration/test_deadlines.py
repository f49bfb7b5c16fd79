"""Messages without a receipt become unknown by the clock, and come back from it when the receipt comes after all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from sluice_contracts.messages.delivery import JobsReported, ReportedJobs
from sluice_contracts.vocabulary import Channel, JobState, MessageState
from sluice_runtime.clock import ManualClock
from sluice_storage.database import Database
from status_api.adapters.deadlines import ReceiptDeadlines
from status_api.adapters.projection import Projection
from status_api.adapters.status_store import StatusStore
from status_api.domain.batch import Batch
from status_api.domain.rows import ExecutionRow, MessageCounts
from status_api.handlers.sweeping import Gauge, Sweeper

pytestmark = pytest.mark.integration

START = datetime(2026, 1, 1, tzinfo=UTC)
DEADLINE = timedelta(hours=72)
WORKSPACE, TRIGGER, EXECUTION = (UUID(int=place) for place in (1, 2, 3))
COLUMNS = tuple(ReportedJobs.model_fields)

Report = Callable[..., Awaitable[None]]


@pytest.fixture
def report(projection: Projection) -> Report:
    async def report(seqs: list[int], at: datetime, **values: Any) -> None:
        """Fold the same report about each of `seqs`."""
        said = {"epoch": 0, "attempt": 1, "at": int(at.timestamp() * 1000), **values}
        rows = [dict.fromkeys(COLUMNS) | said | {"seq": seq} for seq in seqs]
        message = JobsReported(
            workspace_id=WORKSPACE,
            trigger_id=TRIGGER,
            execution_id=EXECUTION,
            channel=Channel.SMS,
            page=0,
            reported_at=at,
            jobs=ReportedJobs(**{name: [row[name] for row in rows] for name in COLUMNS}),
        )
        await projection.fold_reports(Batch.of_reports([message]))

    return report


@pytest.fixture
def deadlines(database: Database) -> ReceiptDeadlines:
    return ReceiptDeadlines(database, deadline=DEADLINE)


async def execution(store: StatusStore) -> ExecutionRow:
    (row,) = (await store.executions(WORKSPACE, [TRIGGER]))[TRIGGER]
    return row


async def pages_waiting(database: Database) -> int:
    async with database.connection() as connection:
        waiting: int = await connection.fetchval("SELECT count(*) FROM receipt_deadlines")
    return waiting


async def test_a_silent_message_is_unknown_after_the_deadline_and_not_before(
    report: Report, deadlines: ReceiptDeadlines, store: StatusStore, database: Database
) -> None:
    await report([0, 1, 2], START, state=JobState.SENT)
    await report([0], START, message=MessageState.DELIVERED)
    await deadlines.sweep(START + DEADLINE - timedelta(seconds=1))
    assert (await execution(store)).messages == MessageCounts(accepted=2, delivered=1)
    assert await deadlines.sweep(START + DEADLINE) == 1
    row = await execution(store)
    assert row.messages == MessageCounts(unknown=2, delivered=1)
    assert row.messages.awaiting_receipt == 2
    assert await pages_waiting(database) == 0
    assert await deadlines.sweep(START + DEADLINE * 2) == 0


async def test_a_receipt_that_comes_too_late_still_counts(
    report: Report, deadlines: ReceiptDeadlines, store: StatusStore
) -> None:
    await report([0], START, state=JobState.SENT)
    await deadlines.sweep(START + DEADLINE)
    await report([0], START + DEADLINE * 2, message=MessageState.UNDELIVERED, code="30003")
    row = await execution(store)
    assert (row.messages, row.sent) == (MessageCounts(undelivered=1), 1)


async def test_messages_of_one_page_become_unknown_each_in_its_time(
    report: Report, deadlines: ReceiptDeadlines, store: StatusStore, database: Database
) -> None:
    await report([0], START, state=JobState.SENT)
    await report([1], START + timedelta(hours=1), state=JobState.SENT)
    await deadlines.sweep(START + DEADLINE)
    assert (await execution(store)).messages == MessageCounts(accepted=1, unknown=1)
    assert await pages_waiting(database) == 1
    await deadlines.sweep(START + DEADLINE + timedelta(hours=1))
    assert (await execution(store)).messages == MessageCounts(unknown=2)
    assert await pages_waiting(database) == 0


async def test_a_message_that_is_sent_after_its_page_was_settled_is_waited_for_again(
    report: Report, deadlines: ReceiptDeadlines, store: StatusStore
) -> None:
    await report([0], START, state=JobState.SENT)
    await deadlines.sweep(START + DEADLINE)
    later = START + DEADLINE * 2
    await report([1], later, state=JobState.SENT)
    await deadlines.sweep(later + DEADLINE)
    assert (await execution(store)).messages == MessageCounts(unknown=2)


async def test_sweeping_and_folding_at_once_loses_no_deadline(
    report: Report, deadlines: ReceiptDeadlines, store: StatusStore
) -> None:
    """Each report sets its page's deadline while sweepers lift it for the messages before."""
    async with asyncio.timeout(60):
        for seq in range(0, 40, 2):
            await asyncio.gather(
                report([seq], START, state=JobState.SENT),
                deadlines.sweep(START + DEADLINE),
                report([seq + 1], START, state=JobState.SENT),
                deadlines.sweep(START + DEADLINE),
            )
        while await deadlines.sweep(START + DEADLINE):
            continue
    assert (await execution(store)).messages == MessageCounts(unknown=40)


async def test_the_sweeper_goes_by_the_services_clock_and_stops_when_told(
    report: Report, deadlines: ReceiptDeadlines, store: StatusStore
) -> None:
    await report([0], START, state=JobState.SENT)
    clock, stop = ManualClock(START), asyncio.Event()
    running = asyncio.create_task(Sweeper(deadlines, clock).run(stop))
    clock.advance(DEADLINE)
    async with asyncio.timeout(20):
        while (await execution(store)).messages.unknown == 0:  # noqa: ASYNC110 - the database wakes nobody
            await asyncio.sleep(0.05)
    stop.set()
    async with asyncio.timeout(30):
        await running


async def test_loops_wait_out_a_database_that_is_away() -> None:
    async with await Database.open(
        "postgresql://nobody@127.0.0.1:1/none", "status", application_name="test", min_size=0
    ) as nowhere:
        stop = asyncio.Event()
        sweeper = Sweeper(ReceiptDeadlines(nowhere, deadline=DEADLINE), ManualClock(START))
        gauge = Gauge(Projection(nowhere, receipt_deadline=DEADLINE), ManualClock(START))
        running = [asyncio.create_task(loop.run(stop)) for loop in (sweeper, gauge)]
        await asyncio.sleep(0.1)
        assert not any(task.done() for task in running)
        stop.set()
        async with asyncio.timeout(20):
            await asyncio.gather(*running)
