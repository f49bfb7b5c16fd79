"""The pure parts of the guard: buckets of tokens, and the answers of the last day."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from sluice_runtime.http.guard.answers import KEPT_FOR, Answer, AnswerBook, Verdict
from sluice_runtime.http.guard.rates import Rate, RateLimiter, tighter
from sluice_runtime.http.guard.settings import GuardSettings

WORKSPACE = UUID(int=1)
STREAM = UUID(int=2)
NOW = datetime(2026, 11, 23, 2, 25, 28, 90_000, tzinfo=UTC)


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 30)), max_size=50))
@example([(0.0, 21), (0.1, 1)])
def test_a_bucket_grants_no_more_than_its_burst_and_its_rate(calls: list[tuple[float, int]]) -> None:
    limiter = RateLimiter(rate_per_second=10, burst=20)
    now, granted = 0.0, 0
    for pause, cost in calls:
        now += pause
        allowance = limiter.take(WORKSPACE, cost, now)
        if allowance.retry_seconds is None:
            granted += cost
        else:
            assert allowance.retry_seconds >= 1
        assert 0 <= allowance.remaining <= 20
    # Only a full bucket grants more than it holds, and what it lends is paid back before anything else is granted.
    assert granted <= 20 + 10 + 10 * now + 1e-6


def test_whoever_waits_as_told_is_granted() -> None:
    limiter = RateLimiter(rate_per_second=2, burst=1000)
    assert limiter.take(WORKSPACE, 1000, 0.0).retry_seconds is None
    refused = limiter.take(WORKSPACE, 5, 0.0)
    assert refused.retry_seconds == 3
    assert limiter.take(WORKSPACE, 5, 3.0).retry_seconds is None
    assert limiter.full().remaining == 1000


def answer(fingerprint: bytes = b"a", body: bytes = b"{}", at: datetime = NOW) -> Answer:
    return Answer(fingerprint, 200, {}, body, at)


def test_an_answer_is_kept_for_a_day() -> None:
    book = AnswerBook(10, 1000)
    assert book.begin((WORKSPACE, "k"), b"a", NOW) is Verdict.GO_AHEAD
    assert book.begin((WORKSPACE, "k"), b"a", NOW) is Verdict.IN_PROGRESS
    assert book.begin((WORKSPACE, "k"), b"b", NOW) is Verdict.ANOTHER_REQUEST
    book.finish((WORKSPACE, "k"), answer())
    assert book.begin((WORKSPACE, "k"), b"a", NOW) == answer()
    assert book.begin((WORKSPACE, "k"), b"b", NOW) is Verdict.ANOTHER_REQUEST
    assert book.begin((WORKSPACE, "k"), b"b", NOW + KEPT_FOR) is Verdict.GO_AHEAD


def test_a_request_that_was_not_answered_leaves_nothing() -> None:
    book = AnswerBook(10, 1000)
    book.begin((WORKSPACE, "k"), b"a", NOW)
    book.abandon((WORKSPACE, "k"))
    assert book.begin((WORKSPACE, "k"), b"b", NOW) is Verdict.GO_AHEAD


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 60)), max_size=60))
def test_memory_is_bounded_and_the_newest_answer_is_always_there(keeps: list[tuple[int, int]]) -> None:
    book = AnswerBook(max_answers=5, max_bytes=100)
    for key, size in keeps:
        book.keep((WORKSPACE, str(key)), answer(body=b"x" * size))
        kept = [found for number in range(21) if (found := book.find((WORKSPACE, str(number)), NOW))]
        assert len(kept) <= 5
        assert sum(len(found.body) for found in kept) <= 100
        assert book.find((WORKSPACE, str(key)), NOW) is not None


def test_a_bucket_may_have_a_rate_of_its_own() -> None:
    limiter = RateLimiter(rate_per_second=10, burst=20)
    slow = Rate(1, 2)
    assert [limiter.take(STREAM, 1, 0.0, slow).retry_seconds for _ in range(3)] == [None, None, 1]
    assert limiter.take(WORKSPACE, 3, 0.0).remaining == 17


def test_a_full_bucket_grants_what_it_could_never_hold_and_pays_for_it_later() -> None:
    limiter = RateLimiter(rate_per_second=1, burst=10)
    assert limiter.take(WORKSPACE, 1, 0.0).remaining == 9
    granted = limiter.take(WORKSPACE, 30, 0.0, returned=1)
    assert (granted.remaining, granted.reset_seconds, granted.retry_seconds) == (0, 30, None)
    assert limiter.take(WORKSPACE, 1, 0.0).retry_seconds == 21
    assert limiter.take(WORKSPACE, 1, 21.0).retry_seconds is None


def test_of_two_buckets_the_caller_hears_of_the_one_that_refuses_or_has_less() -> None:
    limiter = RateLimiter(rate_per_second=1, burst=10)
    roomy = limiter.take(WORKSPACE, 1, 0.0)
    small = limiter.take(STREAM, 1, 0.0, Rate(1, 5))
    assert tighter(roomy, small) is tighter(small, roomy) is small
    assert tighter(roomy, None) is roomy


def test_gateways_are_given_as_addresses_and_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_SECRET_KEY", "A" * 43 + "=")
    assert GuardSettings().trusted_proxies == ()
    monkeypatch.setenv("SLUICE_TRUSTED_PROXIES", "10.0.0.2, 2001:db8::/64")
    assert GuardSettings().trusted_proxies == ("10.0.0.2/32", "2001:db8::/64")
    monkeypatch.setenv("SLUICE_TRUSTED_PROXIES", "gateway")
    with pytest.raises(ValidationError, match="gateway"):
        GuardSettings()
