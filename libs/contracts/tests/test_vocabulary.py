from __future__ import annotations

import pytest

from sluice_contracts.sentences import FAILURE_SENTENCES, FILTER_SENTENCES, HOLD_SENTENCES
from sluice_contracts.vocabulary import (
    ENGAGEMENT_BITS,
    Category,
    Engagement,
    FailureCode,
    FilterCode,
    HoldCode,
    JobState,
    MessageState,
)


def test_every_code_has_a_sentence_for_people() -> None:
    assert set(FILTER_SENTENCES) == set(FilterCode)
    assert set(HOLD_SENTENCES) == set(HoldCode)
    assert set(FAILURE_SENTENCES) == set(FailureCode)


def test_no_two_codes_share_a_name_and_no_two_sentences_are_alike() -> None:
    assert set(FilterCode) & set(FailureCode) == set()
    sentences = [*FILTER_SENTENCES.values(), *HOLD_SENTENCES.values(), *FAILURE_SENTENCES.values()]
    assert len(sentences) == len(set(sentences))


def test_a_receipt_can_move_any_job_to_sent() -> None:
    assert all(state.rank <= JobState.SENT.rank for state in JobState)


def test_exactly_these_states_end_a_job() -> None:
    final = {state for state in JobState if state.is_final}
    assert final == {JobState.CANCELLED, JobState.FILTERED, JobState.FAILED, JobState.SENT}


def test_what_reached_the_person_outranks_what_did_not() -> None:
    negative = [state.rank for state in MessageState if state.is_negative]
    positive = [state.rank for state in MessageState if state.is_positive]
    assert max(negative) < min(positive)
    assert (
        MessageState.READ.rank > MessageState.DELIVERED.rank > MessageState.SENT.rank > MessageState.ACCEPTED.rank > 0
    )


def test_any_word_outranks_the_silence_that_comes_before_it() -> None:
    ends = [state for state in MessageState if state.is_negative or state.is_positive]
    assert all(state.rank > MessageState.UNKNOWN.rank for state in ends)


@pytest.mark.parametrize("ranks", [[state.rank for state in JobState], [state.rank for state in MessageState]])
def test_ranks_are_a_total_order(ranks: list[int]) -> None:
    assert sorted(set(ranks)) == sorted(ranks)


def test_engagements_are_independent_flags_that_fit_a_smallint() -> None:
    bits = [item.bit for item in Engagement]
    assert sum(bits) == 2 ** len(bits) - 1
    assert max(ENGAGEMENT_BITS.values()) < 2**15


def test_codes_and_notices_are_essential_and_advertising_is_not() -> None:
    assert {category for category in Category if category.is_essential} == {
        Category.AUTHENTICATION,
        Category.TRANSACTIONAL,
    }
