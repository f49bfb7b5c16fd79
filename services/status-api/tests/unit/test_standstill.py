"""What is told of what is known, in portions."""

from __future__ import annotations

from status_api.domain.standstill import PAGES_A_REQUEST, Known, known


def test_nothing_is_known_of_anything() -> None:
    assert known({}) == [Known(0, [], is_last=True)]


def test_pages_between_are_zero() -> None:
    assert known({0: 200, 3: 7}) == [Known(0, [200, 0, 0, 7], is_last=True)]


def test_many_pages_go_in_portions_of_which_the_last_is_open() -> None:
    first, second = known(dict.fromkeys(range(PAGES_A_REQUEST + 2), 200))
    assert (first.first_page, len(first.ended), first.is_last) == (0, PAGES_A_REQUEST, False)
    assert (second.first_page, second.ended, second.is_last) == (PAGES_A_REQUEST, [200, 200], True)


def test_exactly_one_portion_is_the_last() -> None:
    (only,) = known(dict.fromkeys(range(PAGES_A_REQUEST), 200))
    assert only.is_last
