"""The gates: whether a job may be sent at all, asked in the order of `FilterCode`. Pure; facts and `now` come in.

A job that fails a gate is filtered with that gate's code; the first gate that it fails decides, so that the same job
with the same facts always shows the same reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sluice_channel.domain.windows import WindowStanding
from sluice_contracts.sentences import FILTER_SENTENCES
from sluice_contracts.vocabulary import Category, FilterCode, SuppressionReason

GATE_ORDER: Final[dict[FilterCode, int]] = {code: place for place, code in enumerate(FilterCode)}

SUPPRESSION_GATES: Final[dict[SuppressionReason, FilterCode]] = {
    SuppressionReason.HARD_BOUNCE: FilterCode.SUPPRESSED_HARD_BOUNCE,
    SuppressionReason.COMPLAINT: FilterCode.SUPPRESSED_COMPLAINT,
    SuppressionReason.STOP: FilterCode.SUPPRESSED_STOP,
    SuppressionReason.MANUAL: FilterCode.SUPPRESSED_MANUAL,
    SuppressionReason.UNSUBSCRIBED: FilterCode.UNSUBSCRIBED_CHANNEL,
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """The first gate that a job fails, with its sentence."""

    code: FilterCode
    detail: str


@dataclass(frozen=True, slots=True)
class JobFacts:
    """What the gates look at in one job.

    `known` is what the orchestrator found. `content` is what choosing and rendering the content found: one of the four
    template gates, or None. `window` is None where no window applies.
    """

    category: Category
    address: str | None
    address_is_valid: bool = True
    cancelled: bool = False
    known: Verdict | None = None
    suppression: SuppressionReason | None = None
    opt_outs: Sequence[str] | None = None
    content: Verdict | None = None
    window: WindowStanding | None = None
    drops_outside_window: bool = False
    frequency_capped: bool = False
    expires_at: datetime | None = None
    budget_exceeded: bool = False
    provider_configured: bool = True
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Hold:
    """The job waits for its send window, which opens at `until`."""

    until: datetime


def before_content(facts: JobFacts) -> Verdict | None:
    """Return the first gate up to the preferences that a job fails: those that can be asked without its content."""
    first = _earlier(facts.known, _own_early_verdict(facts))
    if isinstance(first, Verdict) and GATE_ORDER[first.code] <= GATE_ORDER[FilterCode.PREFERENCE_CATEGORY_OFF]:
        return first
    return None


def decide(facts: JobFacts, now: datetime) -> Verdict | Hold | None:
    """Return the first gate that a job fails, the wait for its window, or None where it may be sent."""
    return before_content(facts) or _earlier(facts.known, _late_verdict(facts, now))


def verdict(code: FilterCode, detail: str | None = None) -> Verdict:
    """Return the verdict of a gate, with its usual sentence where there is nothing better to say."""
    return Verdict(code, detail or FILTER_SENTENCES[code])


def _own_early_verdict(facts: JobFacts) -> Verdict | None:
    if facts.cancelled:
        return verdict(FilterCode.CANCELLED)
    if not facts.address:
        return verdict(FilterCode.NO_ADDRESS_FOR_CHANNEL)
    if not facts.address_is_valid:
        return verdict(FilterCode.INVALID_ADDRESS)
    suppression = facts.suppression
    if suppression is not None and suppression is not SuppressionReason.UNSUBSCRIBED:
        return verdict(SUPPRESSION_GATES[suppression])
    if facts.category.is_essential:
        return None
    opt_outs = facts.opt_outs or ()
    if suppression is not None or "*" in opt_outs:
        return verdict(FilterCode.UNSUBSCRIBED_CHANNEL)
    if facts.category in opt_outs:
        return verdict(FilterCode.PREFERENCE_CATEGORY_OFF)
    return None


def _late_verdict(facts: JobFacts, now: datetime) -> Verdict | Hold | None:
    if facts.content is not None:
        return facts.content
    outside = None if facts.category.is_essential else _outside_window(facts)
    if outside is not None:
        return outside
    failed: tuple[tuple[bool, FilterCode], ...] = (
        (facts.frequency_capped and not facts.category.is_essential, FilterCode.FREQUENCY_CAPPED),
        (facts.expires_at is not None and now >= facts.expires_at, FilterCode.EXPIRED_BEFORE_SEND),
        (facts.budget_exceeded, FilterCode.BUDGET_EXCEEDED),
        (not facts.provider_configured, FilterCode.PROVIDER_NOT_CONFIGURED),
        (facts.dry_run, FilterCode.DRY_RUN),
    )
    return next((verdict(code) for fails, code in failed if fails), None)


def _outside_window(facts: JobFacts) -> Verdict | Hold | None:
    if facts.window is None or facts.window.is_open:
        return None
    opens_at = facts.window.opens_at
    if (
        facts.drops_outside_window
        or opens_at is None
        or (facts.expires_at is not None and opens_at >= facts.expires_at)
    ):
        return verdict(FilterCode.OUTSIDE_WINDOW)
    return Hold(opens_at)


def _earlier(known: Verdict | None, own: Verdict | Hold | None) -> Verdict | Hold | None:
    """The gate that is asked first; what the orchestrator knows says it better than we do."""
    if known is None or (isinstance(own, Verdict) and GATE_ORDER[own.code] < GATE_ORDER[known.code]):
        return own
    return known
