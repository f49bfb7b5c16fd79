"""One command at a time passes, for each account, and hands on what is not written down; essential ones do not wait."""

from __future__ import annotations

import asyncio
from typing import cast
from uuid import UUID

import pytest

from sluice_channel.recording import UnrecordedWave
from sluice_channel.turnstile import Turnstile
from sluice_contracts.vocabulary import Category

ONE, OTHER = UUID(int=1), UUID(int=2)


class Unrecorded:
    """Stands for a wave that was handed over."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.told: list[str] = []

    def hand_on(self) -> None:
        self.told.append("handed on")

    def put_down(self) -> None:
        self.told.append("put down")

    async def record(self) -> None:
        self.told.append("recorded")


async def pass_through(
    turnstile: Turnstile, leaves: Unrecorded | None = None, category: Category = Category.MARKETING
) -> Unrecorded | None:
    """Pass, writing down what was handed on; return that."""
    async with turnstile.passage(ONE, category) as passage:
        found = cast("Unrecorded | None", passage.unrecorded)
        await passage.record()
        await asyncio.sleep(0)
        passage.unrecorded = cast("UnrecordedWave | None", leaves)
    return found


async def most_inside(turnstile: Turnstile, accounts: list[UUID | None], category: Category) -> int:
    """Have one command for each entry of `accounts` try to pass; return how many were inside at once."""
    inside = most = 0

    async def pass_through(account_id: UUID | None) -> None:
        nonlocal inside, most
        async with turnstile.passage(account_id, category):
            inside += 1
            most = max(most, inside)
            for _ in range(3):
                await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*map(pass_through, accounts))
    return most


async def test_commands_of_one_account_pass_one_after_another() -> None:
    assert await most_inside(Turnstile(), [ONE] * 8, Category.MARKETING) == 1
    assert await most_inside(Turnstile(3), [ONE] * 8, Category.MARKETING) == 3


async def test_accounts_do_not_wait_for_each_other() -> None:
    assert await most_inside(Turnstile(), [ONE, OTHER] * 4, Category.MARKETING) == 2


async def test_what_may_be_sent_again_waits_for_nobody() -> None:
    assert await most_inside(Turnstile(), [ONE] * 8, Category.AUTHENTICATION) == 8
    assert await most_inside(Turnstile(), [None] * 8, Category.MARKETING) == 8


async def test_what_is_unrecorded_is_handed_on_to_whoever_waits_and_written_down_where_nobody_does() -> None:
    turnstile, waves = Turnstile(), [Unrecorded("first"), Unrecorded("second")]
    found = await asyncio.gather(*(pass_through(turnstile, wave) for wave in waves))
    assert found == [None, waves[0]]
    assert waves[0].told == ["handed on", "recorded"]
    assert waves[1].told == ["recorded"]


async def test_what_may_be_sent_again_is_written_down_by_its_own_command() -> None:
    turnstile, waves = Turnstile(), [Unrecorded("first"), Unrecorded("second")]
    found = await asyncio.gather(*(pass_through(turnstile, wave, Category.TRANSACTIONAL) for wave in waves))
    assert found == [None, None]
    assert [wave.told for wave in waves] == [["recorded"], ["recorded"]]


async def test_whoever_is_cancelled_with_what_was_handed_on_hands_it_on_or_puts_it_down() -> None:
    turnstile, wave = Turnstile(), Unrecorded("first")
    stuck = asyncio.Event()

    async def get_stuck() -> None:
        async with turnstile.passage(ONE, Category.MARKETING):
            await stuck.wait()

    async with turnstile.passage(ONE, Category.MARKETING) as passage:
        followers = [asyncio.create_task(get_stuck()) for _ in range(2)]
        await asyncio.sleep(0)
        passage.unrecorded = cast("UnrecordedWave", wave)
    # The first is cancelled when its turn has come and before it has noticed, the second in the middle of its own.
    for follower in followers:
        follower.cancel()
        await asyncio.wait([follower])
    assert wave.told == ["handed on", "handed on", "put down"]
    assert not turnstile._gates


async def test_whoever_fails_or_gives_up_makes_room_and_leaves_nothing_behind() -> None:
    turnstile, wave = Turnstile(), Unrecorded("first")
    async with turnstile.passage(ONE, Category.MARKETING):
        waiting = asyncio.ensure_future(most_inside(turnstile, [ONE], Category.MARKETING))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    async def fail() -> None:
        async with turnstile.passage(ONE, Category.MARKETING) as passage:
            passage.unrecorded = cast("UnrecordedWave", wave)
            1 // 0  # noqa: B018 - fails

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert wave.told == ["recorded"]
    async with asyncio.timeout(30), turnstile.passage(ONE, Category.MARKETING) as passage:
        assert passage.unrecorded is None
    assert not turnstile._gates
