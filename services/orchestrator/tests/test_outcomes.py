"""What conditions see of earlier steps does not depend on the order or the repetition of reports."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.answers import JobFact, standing
from orchestrator.domain.outcomes import PageOutcomes
from sluice_contracts.vocabulary import Engagement, JobState, MessageState

facts = st.lists(
    st.builds(
        JobFact,
        seq=st.integers(400, 403),
        standing=st.just(-1) | st.builds(standing, st.integers(0, 3), st.sampled_from(JobState)),
        message_rank=st.sampled_from([0, *(state.rank for state in MessageState)]),
        engagement_bits=st.sampled_from([0, *(item.bit for item in Engagement)]),
    ),
    max_size=12,
)


@given(facts, st.randoms())
def test_any_order_and_repetition_ends_in_the_same(given_facts: list[JobFact], random: object) -> None:
    straight, shuffled = PageOutcomes(), PageOutcomes()
    straight.fold(given_facts)
    again = [*given_facts, *given_facts]
    random.shuffle(again)  # type: ignore[attr-defined]
    shuffled.fold(again)
    assert straight == shuffled
    assert not straight.fold(given_facts)


def test_a_condition_sees_words() -> None:
    page = PageOutcomes()
    assert page.seen_by_conditions(7) == {"state": "pending", "message": "", "engagements": []}
    page.fold(
        [
            JobFact(7, standing(0, JobState.FAILED), 0, 0),
            JobFact(7, standing(1, JobState.SENT), MessageState.READ.rank, Engagement.CLICKED.bit),
        ]
    )
    assert page.seen_by_conditions(7) == {"state": "sent", "message": "read", "engagements": ["clicked"]}
