"""Cursors, pages of failed jobs, and waiting for the projection."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from status_api.domain.paging import BadCursorError, pagination, read_cursor, write_cursor
from status_api.domain.retrying import FailedJob, tries
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


@given(st.dictionaries(st.integers(0, 3_000), st.integers(0, 3), max_size=200))
def test_every_failed_job_is_asked_for_once_on_its_page_in_the_epoch_after_its_own(epochs: dict[int, int]) -> None:
    asked = tries(FailedJob(seq, epoch) for seq, epoch in epochs.items())
    assert {seq: again.epoch - 1 for again in asked for seq in again.seqs} == epochs
    assert sum(len(again.seqs) for again in asked) == len(epochs)
    assert all(seq // 200 == again.page for again in asked for seq in again.seqs)
    assert len({(again.page, again.epoch) for again in asked}) == len(asked)


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
