from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from status_api.adapters.patience import Patience, StillCountingError
from status_api.app import unavailable

MOMENT = 0.05


class Sums:
    """Sums that are found when the test says so."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.at_once = 0
        self.go_on = asyncio.Event()
        self.value = 1
        self.error: Exception | None = None

    async def find(self, key: str) -> int:
        self.began.append(key)
        self.at_once += 1
        try:
            await self.go_on.wait()
        finally:
            self.at_once -= 1
        if self.error is not None:
            raise self.error
        return self.value


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - a turn of the loop is what is waited for
            await asyncio.sleep(0)


async def test_all_who_ask_meanwhile_get_one_answer_and_the_next_a_new_one() -> None:
    sums = Sums()
    patience = Patience(sums.find, 5)
    asking = asyncio.gather(*(patience.ask("a") for _ in range(10)))
    await until(lambda: bool(sums.began))
    sums.go_on.set()
    assert (await asking, sums.began) == ([1] * 10, ["a"])
    sums.value = 2
    assert (await patience.ask("a"), sums.began) == (2, ["a", "a"])


async def test_who_cannot_wait_is_told_so_and_gets_what_was_found_meanwhile_the_next_time() -> None:
    sums = Sums()
    patience = Patience(sums.find, MOMENT)
    with pytest.raises(StillCountingError):
        await patience.ask("a")
    sums.go_on.set()
    await until(lambda: sums.at_once == 0)
    await asyncio.sleep(0)
    sums.go_on.clear()
    sums.value = 2
    assert await patience.ask("a") == 1
    sums.go_on.set()
    await until(lambda: sums.at_once == 0)
    await asyncio.sleep(0)
    sums.go_on.clear()
    assert await patience.ask("a") == 2
    with pytest.raises(StillCountingError):
        await patience.ask("b")
    sums.go_on.set()


async def test_few_are_worked_out_at_once() -> None:
    sums = Sums()
    patience = Patience(sums.find, 5)
    asking = asyncio.gather(*(patience.ask(str(number)) for number in range(10)))
    await until(lambda: sums.at_once == 3)
    await asyncio.sleep(MOMENT)
    assert sums.at_once == 3
    sums.go_on.set()
    assert await asking == [1] * 10


async def test_what_goes_wrong_is_told_to_who_waits_and_remembered_for_nobody() -> None:
    sums = Sums()
    sums.error = ConnectionResetError("away")
    patience = Patience(sums.find, MOMENT)
    with pytest.raises(StillCountingError):
        await patience.ask("a")
    sums.go_on.set()
    await until(lambda: sums.at_once == 0)
    await asyncio.sleep(0)
    with pytest.raises(ConnectionResetError):
        await patience.ask("a")
    sums.error = None
    assert await patience.ask("a") == 1


def test_who_cannot_wait_is_asked_to_try_again() -> None:
    problem = unavailable(StillCountingError())
    assert problem is not None
    assert (problem.status, problem.headers) == (503, {"Retry-After": "5"})
