"""What an outcome means for a job: sent, failed, or held until when. Pure; chance comes in as a number.

Waits follow the equal-jitter backoff of the AWS architecture blog ("Exponential Backoff And Jitter"): each is drawn
evenly from the upper half of what grows with each attempt, so that jobs that failed together come back apart, and all
attempts together outlast a provider's short outage: with five of them that is 85 seconds at least.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sluice_channel.provider import (
    Accepted,
    Ambiguous,
    Outcome,
    RejectAccount,
    RejectMessage,
    RejectRecipient,
    Retry,
)
from sluice_contracts.sentences import FAILURE_SENTENCES, HOLD_SENTENCES
from sluice_contracts.vocabulary import (
    Category,
    FailureCode,
    HoldCode,
    JobState,
    MessageState,
    SuppressionReason,
)

MAX_ATTEMPTS: Final = 5
"""Hand-overs of one job in all, whatever the reason for each."""

MAX_UNCLEAR_ATTEMPTS: Final = 3
"""Hand-overs after which an essential message whose every hand-over was cut off is given up: one may have arrived."""

MAX_WAITS: Final = 500
"""Rounds after which a job stops waiting for its provider; at five minutes a round that is over a day."""

BACKOFF_BASE_SECONDS: Final = 2.0
BACKOFF_FACTOR: Final = 4.0
BACKOFF_CAP_SECONDS: Final = 900.0
DEFAULT_RATE_WAIT_SECONDS: Final = 2.0
DETAIL_CHARACTERS: Final = 500

Draw = Callable[[], float]
"""Returns an even draw from [0, 1)."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """What becomes of a job. `attempts` counts hand-overs that used one up, this one included where it did."""

    state: JobState
    attempts: int
    code: str | None = None
    detail: str | None = None
    until: datetime | None = None
    message: MessageState | None = None
    provider_id: str | None = None
    segments: int | None = None
    suppress: SuppressionReason | None = None


def backoff(attempt: int, draw: Draw) -> timedelta:
    """Return how long to wait after the `attempt`-th hand-over (from 1) failed: between half the ceiling and all."""
    ceiling = min(BACKOFF_CAP_SECONDS, BACKOFF_BASE_SECONDS * BACKOFF_FACTOR ** (max(attempt, 1) - 1))
    return timedelta(seconds=ceiling * (1 + draw()) / 2)


def settle(
    outcome: Outcome, *, attempts: int, category: Category, now: datetime, draw: Draw, account_due: datetime, waits: int
) -> Settlement:
    """Return what `outcome` makes of a job that had used up `attempts` before.

    `account_due` is when the account may be tried again after a RejectAccount; `waits` is the round of the command.
    """
    match outcome:
        case Accepted(provider_id=provider_id, state=state, segments=segments):
            return Settlement(JobState.SENT, attempts + 1, message=state, provider_id=provider_id, segments=segments)
        case Retry(scope="connection"):
            return _settle_unreachable(outcome, attempts, now, draw, waits)
        case Retry():
            return _settle_retry(outcome, attempts, now, draw)
        case RejectRecipient(code, detail, suppress):
            return _failed(FailureCode.RECIPIENT_REJECTED, attempts + 1, code, detail, suppress)
        case RejectMessage(code, detail):
            return _failed(FailureCode.MESSAGE_REJECTED, attempts + 1, code, detail)
        case RejectAccount(code, detail):
            if waits >= MAX_WAITS:
                return _failed(FailureCode.ACCOUNT_REJECTED, attempts, code, detail)
            return Settlement(
                JobState.HELD, attempts, HoldCode.PROVIDER_UNAVAILABLE, _sentence(code, detail), account_due
            )
        case Ambiguous(detail):
            return settle_uncertain(attempts=attempts + 1, category=category, now=now, draw=draw, detail=detail)


def settle_uncertain(
    *, attempts: int, category: Category, now: datetime, draw: Draw, detail: str | None = None
) -> Settlement:
    """Return what becomes of a job that a provider may or may not have got, after `attempts` hand-overs.

    Essential messages are sent again a little later: a code twice is better than none. The rest are given up: twice is
    worse than not at all.
    """
    if may_resend(category, attempts):
        return Settlement(
            JobState.HELD,
            attempts,
            HoldCode.RETRY,
            detail or HOLD_SENTENCES[HoldCode.RETRY],
            now + backoff(attempts, draw),
        )
    return Settlement(JobState.FAILED, attempts, FailureCode.UNCERTAIN, FAILURE_SENTENCES[FailureCode.UNCERTAIN])


def may_resend(category: Category, attempts: int) -> bool:
    """Say whether an uncertain job of `category` is sent again after `attempts` hand-overs."""
    return category.is_essential and attempts < MAX_UNCLEAR_ATTEMPTS


def _settle_unreachable(outcome: Retry, attempts: int, now: datetime, draw: Draw, waits: int) -> Settlement:
    """Nobody was there to take the message: that uses up no attempt, and it waits for days (RFC 5321 §4.5.4.1)."""
    if waits >= MAX_WAITS:
        return _failed(FailureCode.RETRIES_EXHAUSTED, attempts, outcome.code, outcome.detail)
    until = now + max(timedelta(seconds=max(outcome.after or 0.0, 0.0)), backoff(waits + 1, draw))
    return Settlement(
        JobState.HELD, attempts, HoldCode.PROVIDER_UNAVAILABLE, _sentence(outcome.code, outcome.detail), until
    )


def _settle_retry(outcome: Retry, attempts: int, now: datetime, draw: Draw) -> Settlement:
    after = timedelta(seconds=max(outcome.after or 0.0, 0.0))
    if not outcome.burns_attempt:
        wait = max(after, timedelta(seconds=DEFAULT_RATE_WAIT_SECONDS) if outcome.after is None else after)
        spread = timedelta(seconds=draw())
        return Settlement(
            JobState.HELD, attempts, HoldCode.RATE, _sentence(outcome.code, outcome.detail), now + wait + spread
        )
    used = attempts + 1
    if used >= MAX_ATTEMPTS:
        return _failed(FailureCode.RETRIES_EXHAUSTED, used, outcome.code, outcome.detail)
    until = now + max(after, backoff(used, draw))
    return Settlement(JobState.HELD, used, HoldCode.RETRY, _sentence(outcome.code, outcome.detail), until)


def _failed(
    failure: FailureCode, attempts: int, code: str, detail: str, suppress: SuppressionReason | None = None
) -> Settlement:
    return Settlement(JobState.FAILED, attempts, failure, _sentence(code, detail), suppress=suppress)


def _sentence(code: str, detail: str) -> str:
    """What the provider said, with its own code in front, for the person who asks why."""
    text = f"{code}: {detail}" if code and detail else code or detail
    return text[:DETAIL_CHARACTERS]
