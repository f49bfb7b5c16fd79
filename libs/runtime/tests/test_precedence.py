"""Bulk work lets urgent work go first, and is never stopped by it."""

from __future__ import annotations

import asyncio

from sluice_runtime.precedence import LONGEST_SECONDS, Precedence


async def test_bulk_work_waits_for_what_is_urgent() -> None:
    precedence, done = Precedence(), []
    proceed = asyncio.Event()

    async def urgent(name: str) -> None:
        await proceed.wait()
        done.append(name)

    async def bulk() -> None:
        await precedence.give_way()
        done.append("bulk")

    urgently = precedence.urgently(urgent)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(urgently("first"))
        tasks.create_task(urgently("second"))
        await asyncio.sleep(0)
        tasks.create_task(bulk())
        await asyncio.sleep(0)
        proceed.set()
    assert done == ["first", "second", "bulk"]


async def test_work_that_is_urgent_without_end_holds_nobody_up_for_long() -> None:
    precedence = Precedence()
    clock = asyncio.get_running_loop().time
    with precedence.urgent():
        began = clock()
        await precedence.give_way()
        assert clock() - began >= LONGEST_SECONDS * 0.9


async def test_nothing_is_waited_for_once_urgent_work_has_failed() -> None:
    precedence = Precedence()

    async def fail(item: int) -> None:
        raise ValueError(item)

    try:
        await precedence.urgently(fail)(1)
    except ValueError:
        async with asyncio.timeout(LONGEST_SECONDS / 2):
            await precedence.give_way()
    else:
        raise AssertionError("the failure went unheard")
