"""One command at a time passes, for each account; essential ones do not wait."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from sluice_channel.turnstile import Turnstile
from sluice_contracts.vocabulary import Category

ONE, OTHER = UUID(int=1), UUID(int=2)


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


async def test_whoever_fails_or_gives_up_makes_room_and_leaves_nothing_behind() -> None:
    turnstile = Turnstile()
    async with turnstile.passage(ONE, Category.MARKETING):
        waiting = asyncio.ensure_future(most_inside(turnstile, [ONE], Category.MARKETING))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    with pytest.raises(ZeroDivisionError):
        async with turnstile.passage(ONE, Category.MARKETING):
            1 // 0  # noqa: B018 - fails
    async with asyncio.timeout(1), turnstile.passage(ONE, Category.MARKETING):
        assert True
    assert not turnstile._turns
