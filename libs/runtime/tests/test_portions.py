from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sluice_runtime.portions import portions

WEIGHTS = st.lists(st.integers(min_value=0, max_value=12))


@given(WEIGHTS)
def test_nothing_is_lost_or_reordered_and_no_portion_is_empty(weights: list[int]) -> None:
    cut = list(portions(weights, int, 10))
    assert [weight for portion in cut for weight in portion] == weights
    assert all(cut)


@given(WEIGHTS)
def test_a_portion_weighs_too_much_only_by_itself(weights: list[int]) -> None:
    assert all(sum(portion) <= 10 or len(portion) == 1 for portion in portions(weights, int, 10))


@given(WEIGHTS)
def test_a_portion_ends_only_where_the_next_item_has_no_room(weights: list[int]) -> None:
    cut = list(portions(weights, int, 10))
    assert all(sum(portion) + following[0] > 10 for portion, following in pairwise(cut))
