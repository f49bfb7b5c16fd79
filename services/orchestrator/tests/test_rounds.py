"""Which held jobs come again when, and with which credit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.answers import HeldJob
from orchestrator.domain.deadlines import Deadlines
from orchestrator.domain.rounds import next_rounds
from orchestrator.domain.running import Mode
from sluice_contracts.vocabulary import HoldCode

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
moments = st.none() | st.integers(-100, 100_000).map(lambda seconds: NOW + timedelta(seconds=seconds))


@st.composite
def held_jobs(draw: st.DrawFn) -> list[HeldJob]:
    seqs = draw(st.lists(st.integers(0, 199), unique=True, max_size=40))
    return [
        HeldJob(seq, draw(st.integers(0, 9)), draw(st.sampled_from([None, *HoldCode])), draw(moments)) for seq in seqs
    ]


@given(held_jobs(), st.sampled_from([Mode.RUNNING, Mode.PAUSED, Mode.CANCELLED]), st.booleans())
def test_every_held_job_comes_again_once_and_never_early(held: list[HeldJob], mode: Mode, credit: bool) -> None:
    rounds = next_rounds(held, mode, NOW, credit=credit)
    by_seq = {job.seq: job for job in held}
    assert sorted(seq for item in rounds for seq in item.seqs) == sorted(by_seq)
    for item in rounds:
        assert item.seqs == tuple(sorted(item.seqs))
        assert item.attempts == tuple(by_seq[seq].attempt for seq in item.seqs)
        for seq in item.seqs:
            until = by_seq[seq].until
            if mode is Mode.RUNNING and until is not None:
                assert item.due_at is not None
                assert item.due_at >= until
                wait = max(until - NOW, timedelta(0))
                slack = max(timedelta(seconds=1), wait * 0.1)
                if by_seq[seq].code is HoldCode.OUTSIDE_WINDOW:
                    slack = min(slack, timedelta(minutes=1))
                assert item.due_at - max(until, NOW) <= slack
    if mode is Mode.CANCELLED:
        assert all(item.due_at == NOW for item in rounds)
    if mode is Mode.PAUSED:
        assert all(item.due_at is None for item in rounds)


@given(held_jobs(), st.booleans())
def test_credit_stays_exactly_once_and_only_where_the_channel_waits(held: list[HeldJob], credit: bool) -> None:
    kept = sum(item.credit for item in next_rounds(held, Mode.RUNNING, NOW, credit=credit))
    waits = any(job.code in {HoldCode.RATE, HoldCode.PROVIDER_UNAVAILABLE, HoldCode.PAUSED} for job in held)
    assert kept == int(credit and waits)


def test_a_page_of_jittered_retries_does_not_fall_apart() -> None:
    held = [HeldJob(seq, 1, HoldCode.RETRY, NOW + timedelta(seconds=60 + seq * 0.03)) for seq in range(200)]
    assert len(next_rounds(held, Mode.RUNNING, NOW, credit=True)) == 1


def test_nobody_misses_a_short_window_for_the_sake_of_somebody_whose_window_opens_later() -> None:
    opens = [NOW + timedelta(days=6, hours=hour) for hour in range(12)]
    held = [HeldJob(seq, 0, HoldCode.OUTSIDE_WINDOW, opens[seq % 12]) for seq in range(200)]
    rounds = next_rounds(held, Mode.RUNNING, NOW, credit=True)
    assert [item.due_at for item in rounds] == opens


@given(st.integers(1, 2_000))
def test_deadlines_grow_and_stay_bounded(sends: int) -> None:
    deadlines = Deadlines()
    assert deadlines.first <= deadlines.after(sends, NOW) - NOW <= deadlines.longest
    assert deadlines.after(sends, NOW) <= deadlines.after(sends + 1, NOW)
