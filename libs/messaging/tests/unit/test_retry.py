"""Pauses between attempts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sluice_messaging.retry import Backoff


@given(st.integers(1, 10_000))
def test_a_pause_is_between_nothing_and_the_cap(failures: int) -> None:
    assert 0 <= Backoff(base=0.1, cap=10.0).delay(failures) <= 10.0


def test_the_longest_pause_doubles_with_each_failure_up_to_the_cap() -> None:
    backoff = Backoff(base=0.5, cap=3.0, uniform=lambda _low, high: high)
    assert [backoff.delay(failures) for failures in (1, 2, 3, 4, 5)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_the_pause_is_drawn_from_the_whole_range() -> None:
    assert Backoff(base=0.5, uniform=lambda low, _high: low).delay(4) == 0.0
