"""Cursors, pages of failed jobs, and waiting for the projection."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from status_api.domain.paging import BadCursorError, pagination, read_cursor, write_cursor
from status_api.domain.retrying import whole_pages
from status_api.handlers.arrivals import Arrivals

NUMBER = TypeAdapter(int)


@given(st.integers(-(2**40), 2**40))
def test_a_cursor_reads_back(number: int) -> None:
    assert read_cursor(write_cursor(number), NUMBER) == number


@given(st.text(max_size=40))
def test_whatever_a_caller_makes_up_is_refused_as_a_cursor_or_read(text: str) -> None:
    with suppress(BadCursorError):
        assert isinstance(read_cursor(text, NUMBER), int)


def test_the_last_page_has_no_cursor() -> None:
    assert pagination(50, None) == {"limit": 50, "has_more": False, "next_cursor": None}
    assert pagination(50, 0)["has_more"] is True


@given(st.sets(st.integers(0, 3_000), max_size=200).map(sorted), st.integers(1, 50))
def test_every_failed_position_is_asked_for_once_and_every_page_whole(positions: list[int], portion: int) -> None:
    asked: list[tuple[int, list[int]]] = []
    waiting: list[int] = []
    portions = [positions[start : start + portion] for start in range(0, len(positions), portion)]
    for place, part in enumerate(portions):
        pages, waiting = whole_pages([*waiting, *part], last=place == len(portions) - 1)
        asked += pages
    assert [page for page, _ in asked] == sorted({position // 200 for position in positions})
    assert list(chain.from_iterable(seqs for _, seqs in asked)) == positions
    assert waiting == []


async def test_a_reader_is_woken_by_what_arrives() -> None:
    arrivals = Arrivals(patience=30, look=30)
    there: list[int] = []

    async def find() -> int | None:
        return there[0] if there else None

    waiting = asyncio.create_task(arrivals.wait_for("id", find))
    await asyncio.sleep(0)
    there.append(7)
    arrivals.announce()
    async with asyncio.timeout(5):
        assert await waiting == 7


async def test_a_reader_looks_again_by_itself_for_what_another_copy_folds() -> None:
    arrivals = Arrivals(patience=30, look=0.001)
    answers = iter([None, None, 7])

    async def find() -> int | None:
        return next(answers)

    async with asyncio.timeout(5):
        assert await arrivals.wait_for("id", find) == 7


async def test_patience_ends() -> None:
    async def find() -> int | None:
        return None

    async with asyncio.timeout(5):
        assert await Arrivals(patience=0.02, look=0.005).wait_for("id", find) is None


async def test_a_flood_of_made_up_ids_is_not_waited_for() -> None:
    looks = 0

    async def find() -> int | None:
        nonlocal looks
        looks += 1
        return None

    arrivals = Arrivals(patience=0.05, look=0.01, most_waiting=1)
    await asyncio.gather(*(arrivals.wait_for(number, find) for number in range(20)))
    assert looks <= 19 + 7


async def test_what_was_waited_for_in_vain_is_not_waited_for_again_at_once() -> None:
    looks = 0

    async def find() -> int | None:
        nonlocal looks
        looks += 1
        return None if looks < 100 else 7

    arrivals = Arrivals(patience=0.02, look=0.005)
    assert await arrivals.wait_for("id", find) is None
    before = looks
    assert await arrivals.wait_for("id", find) is None
    assert looks == before + 1
    looks = 99
    assert await arrivals.wait_for("id", find) == 7, "it is found as soon as it is there"


@pytest.mark.parametrize("positions", [[], [0]])
def test_nothing_is_left_over_at_the_end(positions: list[int]) -> None:
    assert whole_pages(positions, last=True)[1] == []
