"""The gates are asked in the order of their codes, and the first that fails decides."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_channel.domain.gates import (
    GATE_ORDER,
    SUPPRESSION_GATES,
    Hold,
    JobFacts,
    Verdict,
    before_content,
    decide,
    verdict,
)
from sluice_channel.domain.windows import OPEN, WindowStanding
from sluice_contracts.vocabulary import Category, FilterCode, SuppressionReason

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
CLEAR = JobFacts(category=Category.MARKETING, address="+14155550123")
CLOSED = WindowStanding(is_open=False, opens_at=NOW + timedelta(hours=3))

FAILING: dict[FilterCode, dict[str, Any]] = {
    FilterCode.CANCELLED: {"cancelled": True},
    FilterCode.EXCLUDED: {"known": verdict(FilterCode.EXCLUDED)},
    FilterCode.CONTACT_NOT_FOUND: {"known": verdict(FilterCode.CONTACT_NOT_FOUND)},
    FilterCode.CONTACT_INACTIVE: {"known": verdict(FilterCode.CONTACT_INACTIVE)},
    FilterCode.CONDITION_FALSE: {"known": verdict(FilterCode.CONDITION_FALSE)},
    FilterCode.NO_ADDRESS_FOR_CHANNEL: {"address": None},
    FilterCode.INVALID_ADDRESS: {"address_is_valid": False},
    FilterCode.SUPPRESSED_HARD_BOUNCE: {"suppression": SuppressionReason.HARD_BOUNCE},
    FilterCode.SUPPRESSED_COMPLAINT: {"suppression": SuppressionReason.COMPLAINT},
    FilterCode.SUPPRESSED_STOP: {"suppression": SuppressionReason.STOP},
    FilterCode.SUPPRESSED_MANUAL: {"suppression": SuppressionReason.MANUAL},
    FilterCode.UNSUBSCRIBED_CHANNEL: {"opt_outs": ["*"]},
    FilterCode.PREFERENCE_CATEGORY_OFF: {"opt_outs": ["marketing"]},
    FilterCode.TEMPLATE_MISSING: {"content": verdict(FilterCode.TEMPLATE_MISSING)},
    FilterCode.NO_TEMPLATE_FOR_COUNTRY: {"content": verdict(FilterCode.NO_TEMPLATE_FOR_COUNTRY)},
    FilterCode.TEMPLATE_NOT_APPROVED: {"content": verdict(FilterCode.TEMPLATE_NOT_APPROVED)},
    FilterCode.TEMPLATE_MISSING_VARIABLE: {"content": verdict(FilterCode.TEMPLATE_MISSING_VARIABLE)},
    FilterCode.OUTSIDE_WINDOW: {"window": CLOSED, "drops_outside_window": True},
    FilterCode.FREQUENCY_CAPPED: {"frequency_capped": True},
    FilterCode.EXPIRED_BEFORE_SEND: {"expires_at": NOW},
    FilterCode.BUDGET_EXCEEDED: {"budget_exceeded": True},
    FilterCode.PROVIDER_NOT_CONFIGURED: {"provider_configured": False},
    FilterCode.DRY_RUN: {"dry_run": True},
}


def code_of(facts: JobFacts) -> FilterCode | None:
    decided = decide(facts, NOW)
    return decided.code if isinstance(decided, Verdict) else None


def test_every_code_has_a_way_to_fail() -> None:
    assert list(FAILING) == list(FilterCode)


def test_a_job_with_nothing_against_it_passes() -> None:
    assert decide(CLEAR, NOW) is None
    assert before_content(CLEAR) is None


@pytest.mark.parametrize("code", list(FilterCode))
def test_each_gate_fails_by_itself(code: FilterCode) -> None:
    decided = decide(replace(CLEAR, **FAILING[code]), NOW)
    assert isinstance(decided, Verdict)
    assert decided.code is code
    assert decided.detail


@given(st.sets(st.sampled_from(list(FilterCode)), min_size=1))
def test_of_several_gates_the_first_in_order_decides(codes: set[FilterCode]) -> None:
    changes: dict[str, Any] = {}
    for code in sorted(codes, key=GATE_ORDER.__getitem__, reverse=True):
        changes.update(FAILING[code])
    facts = replace(CLEAR, **changes)
    shown = {code for code in codes if all(changes[name] == value for name, value in FAILING[code].items())}
    assert code_of(facts) is min(shown, key=GATE_ORDER.__getitem__)


@given(st.sets(st.sampled_from(list(FilterCode)), min_size=1))
def test_what_needs_no_content_is_known_before_it_is_rendered(codes: set[FilterCode]) -> None:
    changes: dict[str, Any] = {}
    for code in codes:
        changes.update(FAILING[code])
    facts = replace(CLEAR, **changes)
    early, whole = before_content(facts), code_of(facts)
    if early is not None:
        assert early.code is whole
    else:
        assert whole is not None
        assert GATE_ORDER[whole] > GATE_ORDER[FilterCode.PREFERENCE_CATEGORY_OFF]


@pytest.mark.parametrize("category", [Category.AUTHENTICATION, Category.TRANSACTIONAL])
@pytest.mark.parametrize(
    "changes",
    [
        {"opt_outs": ["*", "authentication", "transactional"]},
        {"suppression": SuppressionReason.UNSUBSCRIBED},
        {"window": CLOSED},
        {"window": CLOSED, "drops_outside_window": True},
        {"frequency_capped": True},
    ],
)
def test_essential_messages_pass_preferences_windows_and_caps(category: Category, changes: dict[str, Any]) -> None:
    assert decide(replace(CLEAR, category=category, **changes), NOW) is None


@pytest.mark.parametrize("reason", [r for r in SuppressionReason if r is not SuppressionReason.UNSUBSCRIBED])
def test_a_suppressed_address_gets_nothing_not_even_a_code(reason: SuppressionReason) -> None:
    assert code_of(replace(CLEAR, category=Category.AUTHENTICATION, suppression=reason)) is SUPPRESSION_GATES[reason]


def test_a_closed_window_holds_until_it_opens() -> None:
    assert decide(replace(CLEAR, window=CLOSED), NOW) == Hold(NOW + timedelta(hours=3))
    assert decide(replace(CLEAR, window=OPEN), NOW) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"window": CLOSED, "expires_at": NOW + timedelta(hours=3)},
        {"window": CLOSED, "expires_at": NOW},
        {"window": WindowStanding(is_open=False)},
    ],
)
def test_what_would_come_too_late_is_dropped(changes: dict[str, Any]) -> None:
    assert code_of(replace(CLEAR, **changes)) is FilterCode.OUTSIDE_WINDOW


def test_what_the_orchestrator_knows_keeps_its_own_sentence() -> None:
    known = Verdict(FilterCode.INVALID_ADDRESS, "Not a number in Germany")
    assert decide(replace(CLEAR, known=known, address_is_valid=False), NOW) == known


def test_no_fact_is_forgotten() -> None:
    used = {name for changes in FAILING.values() for name in changes}
    assert used == {field.name for field in fields(JobFacts)} - {"category"}
