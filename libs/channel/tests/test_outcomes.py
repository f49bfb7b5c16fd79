"""What an outcome makes of a job, for every attempt, category and draw."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_channel.domain.outcomes import (
    BACKOFF_CAP_SECONDS,
    MAX_ATTEMPTS,
    MAX_UNCLEAR_ATTEMPTS,
    MAX_WAITS,
    Settlement,
    backoff,
    settle,
)
from sluice_channel.provider import (
    Accepted,
    Ambiguous,
    Outcome,
    RejectAccount,
    RejectMessage,
    RejectRecipient,
    Retry,
)
from sluice_contracts.vocabulary import Category, FailureCode, HoldCode, JobState, MessageState, SuppressionReason

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
DUE = NOW + timedelta(minutes=1)

draws = st.floats(0, 1, exclude_max=True)
categories = st.sampled_from(list(Category))
outcomes = st.one_of(
    st.builds(Accepted, st.none() | st.text(), st.sampled_from(list(MessageState))),
    st.builds(
        Retry,
        st.text(),
        st.text(),
        st.none() | st.floats(-10, 1e5),
        st.sampled_from(["message", "recipient", "sender", "account", "connection"]),
        st.booleans(),
    ),
    st.builds(RejectRecipient, st.text(), st.text(), st.none() | st.sampled_from(list(SuppressionReason))),
    st.builds(RejectMessage, st.text(), st.text()),
    st.builds(RejectAccount, st.text(), st.text()),
    st.builds(Ambiguous, st.text()),
)


def settled(
    outcome: Outcome, attempts: int = 0, category: Category = Category.MARKETING, draw: float = 0.5, waits: int = 0
) -> Settlement:
    return settle(
        outcome, attempts=attempts, category=category, now=NOW, draw=lambda: draw, account_due=DUE, waits=waits
    )


@given(outcomes, st.integers(0, MAX_ATTEMPTS), categories, draws)
def test_a_job_is_sent_failed_or_held_until_a_moment(
    outcome: Outcome, attempts: int, category: Category, draw: float
) -> None:
    result = settled(outcome, attempts, category, draw)
    assert result.state in {JobState.SENT, JobState.FAILED, JobState.HELD}
    assert (result.state is JobState.HELD) == (result.until is not None)
    assert (result.state is JobState.SENT) == (result.code is None)
    assert result.attempts in {attempts, attempts + 1}
    if result.until is not None:
        assert result.until >= NOW


@given(outcomes, categories, draws)
def test_no_job_is_handed_over_more_often_than_allowed(outcome: Outcome, category: Category, draw: float) -> None:
    attempts, rounds = 0, 0
    while (result := settled(outcome, attempts, category, draw)).state is JobState.HELD and result.attempts > attempts:
        attempts, rounds = result.attempts, rounds + 1
        assert rounds < MAX_ATTEMPTS


@given(st.integers(1, 20), draws)
def test_a_backoff_lies_in_the_upper_half_of_a_ceiling_that_grows(attempt: int, draw: float) -> None:
    shortest, longest = backoff(attempt, lambda: 0.0), backoff(attempt, lambda: 1.0)
    assert shortest == longest / 2
    assert timedelta(0) < shortest <= backoff(attempt, lambda: draw) <= longest
    assert longest <= timedelta(seconds=BACKOFF_CAP_SECONDS)
    assert backoff(attempt, lambda: draw) <= backoff(attempt + 1, lambda: draw)


def test_the_attempts_of_the_unluckiest_job_outlast_an_outage_of_a_minute() -> None:
    waits = [backoff(attempt, lambda: 0.0) for attempt in range(1, MAX_ATTEMPTS)]
    assert sum(waits, timedelta(0)) > timedelta(minutes=1)


@given(st.floats(0, 1e5), st.booleans(), draws)
def test_a_wait_that_the_provider_asks_for_is_kept(after: float, burns: bool, draw: float) -> None:
    result = settled(Retry("c", "d", after, burns_attempt=burns), draw=draw)
    assert result.until is not None
    assert result.until >= NOW + timedelta(seconds=after)


def test_too_many_requests_burn_no_attempt() -> None:
    result = settled(Retry("429", "Slow down", 5, burns_attempt=False), attempts=MAX_ATTEMPTS - 1)
    assert (result.state, result.code, result.attempts) == (JobState.HELD, HoldCode.RATE, MAX_ATTEMPTS - 1)


def test_the_last_attempt_ends_in_failure() -> None:
    result = settled(Retry("503", "Unavailable"), attempts=MAX_ATTEMPTS - 1)
    assert (result.state, result.code, result.detail) == (
        JobState.FAILED,
        FailureCode.RETRIES_EXHAUSTED,
        "503: Unavailable",
    )


@pytest.mark.parametrize("category", [Category.MARKETING, Category.UTILITY])
def test_an_ambiguous_hand_over_is_not_repeated(category: Category) -> None:
    result = settled(Ambiguous("reset"), category=category)
    assert (result.state, result.code) == (JobState.FAILED, FailureCode.UNCERTAIN)


@pytest.mark.parametrize("category", [Category.AUTHENTICATION, Category.TRANSACTIONAL])
def test_an_ambiguous_essential_hand_over_is_repeated_within_bounds(category: Category) -> None:
    result = settled(Ambiguous("reset"), category=category)
    assert (result.state, result.code, result.attempts) == (JobState.HELD, HoldCode.RETRY, 1)
    last = settled(Ambiguous("reset"), MAX_UNCLEAR_ATTEMPTS - 1, category)
    assert (last.state, last.code) == (JobState.FAILED, FailureCode.UNCERTAIN)


def test_a_refused_account_keeps_its_messages_for_a_day_and_no_longer() -> None:
    waiting = settled(RejectAccount("20003", "Authenticate"))
    assert (waiting.state, waiting.code, waiting.until) == (JobState.HELD, HoldCode.PROVIDER_UNAVAILABLE, DUE)
    assert settled(RejectAccount("20003", "Authenticate"), waits=MAX_WAITS).code == FailureCode.ACCOUNT_REJECTED


def test_a_provider_that_nobody_can_reach_uses_up_no_attempt() -> None:
    outcome = Retry("connection_failed", "Connection refused", 5, "connection")
    waiting = settled(outcome, attempts=MAX_ATTEMPTS - 1)
    assert (waiting.state, waiting.code) == (JobState.HELD, HoldCode.PROVIDER_UNAVAILABLE)
    assert waiting.attempts == MAX_ATTEMPTS - 1
    assert waiting.until is not None
    assert waiting.until >= NOW + timedelta(seconds=5)
    assert settled(outcome, waits=MAX_WAITS).code == FailureCode.RETRIES_EXHAUSTED


def test_an_address_to_suppress_is_passed_on() -> None:
    result = settled(RejectRecipient("21610", "Stopped", SuppressionReason.STOP))
    assert (result.code, result.suppress) == (FailureCode.RECIPIENT_REJECTED, SuppressionReason.STOP)
