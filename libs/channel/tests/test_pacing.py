"""A rate limit holds over all copies together, and nobody sleeps on a message."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import pytest

from sluice_channel.pacing import LONGEST_WAIT_SECONDS, Pacing
from sluice_channel.provider import Limits
from sluice_channel.reports import to_milliseconds
from sluice_contracts.vocabulary import Category, HoldCode, JobState

pytestmark = pytest.mark.integration


async def test_two_copies_together_keep_the_limit(bench) -> None:
    rate = 50.0
    one, other = Pacing(bench.database), Pacing(bench.database)
    started = time.monotonic()
    slots: list[float] = []
    for _ in range(10):
        for pacing in (one, other):
            reservation = await pacing.reserve(bench.account, 5, rate, queues=False)
            now = time.monotonic()
            slots += [
                now - started + reservation.wait + place * reservation.interval for place in range(reservation.granted)
            ]
    slots.sort()
    assert len(slots) >= rate * LONGEST_WAIT_SECONDS * 0.9
    # An answer that is late makes its slots look late: the first of all is counted from before it was asked for.
    assert len(slots) <= slots[-1] * rate * 1.05 + 1, "more messages than slots"


async def test_copies_that_reserve_at_the_same_moment_get_different_slots(bench) -> None:
    pacing = Pacing(bench.database)
    await pacing.reserve(bench.account, 1, 1000.0, queues=False)
    (before,) = await bench.fetch("SELECT next_at FROM pace")
    reservations = await asyncio.gather(
        *(Pacing(bench.database).reserve(bench.account, 3, 10.0, queues=False) for _ in range(8))
    )
    granted = sum(reservation.granted for reservation in reservations)
    assert granted > 2 * 3
    (after,) = await bench.fetch("SELECT next_at FROM pace")
    assert after["next_at"] - before["next_at"] >= timedelta(seconds=granted / 10.0, milliseconds=-1)


async def test_what_finds_no_slot_is_held_one_behind_the_other(bench) -> None:
    await bench.execute("UPDATE catalog.provider_accounts SET rate_per_second = 2 WHERE id = $1", bench.account)
    bench.provider.limits = Limits(batch=50, concurrency=1)
    reports = await bench.carry_out(bench.command(30))
    sent = [report for report in reports if report.state is JobState.SENT]
    held = [report for report in reports if report.state is JobState.HELD]
    assert len(sent) in {4, 5}
    assert {(report.code, report.attempt) for report in held} == {(HoldCode.RATE, 0)}
    untils = [report.until or 0 for report in held]
    assert untils == sorted(untils)
    assert untils[-1] - untils[0] == pytest.approx((len(held) - 1) / 2 * 1000, abs=1000)
    assert untils[0] > to_milliseconds(bench.clock.now())


async def test_newcomers_queue_behind_those_who_were_told_to_come_back(bench) -> None:
    pacing = Pacing(bench.database)
    first = await pacing.reserve(bench.account, 100, 10.0, queues=True)
    assert 0 < first.granted < 100
    newcomer = await pacing.reserve(bench.account, 10, 10.0, queues=True)
    assert newcomer.granted == 0
    assert 5 < newcomer.tail <= 10.1, "as long as the queue is, and less as time goes by"


async def test_a_code_does_not_queue_behind_a_campaign(bench) -> None:
    await bench.execute("UPDATE catalog.provider_accounts SET rate_per_second = 5 WHERE id = $1", bench.account)
    worker = await bench.worker()
    await worker.tools.pacing.reserve(bench.account, 1, 5.0, queues=True)
    await bench.execute("UPDATE pace SET horizon = clock_timestamp() + interval '1 hour'")
    (marketing,) = await bench.carry_out(bench.command(1), worker)
    (code,) = await bench.carry_out(bench.command(1, category=Category.AUTHENTICATION), worker)
    assert (marketing.state, code.state) == (JobState.HELD, JobState.SENT)


async def test_a_pause_holds_back_every_copy(bench) -> None:
    one, other = Pacing(bench.database), Pacing(bench.database)
    await one.reserve(bench.account, 1, 100.0, queues=False)
    await one.pause(bench.account, timedelta(seconds=60))
    reservation = await other.reserve(bench.account, 1, 100.0, queues=False)
    assert reservation.granted == 0


async def test_an_account_without_a_limit_never_touches_the_bucket(bench) -> None:
    await bench.carry_out(bench.command(100))
    assert not await bench.fetch("SELECT 1 FROM pace")


async def test_a_bucket_that_vanished_is_opened_again(bench) -> None:
    pacing = Pacing(bench.database)
    await pacing.reserve(bench.account, 1, 10.0, queues=False)
    await bench.execute("DELETE FROM pace")
    assert (await pacing.reserve(bench.account, 1, 10.0, queues=False)).granted == 1
