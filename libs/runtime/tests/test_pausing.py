"""How loops rest."""

from __future__ import annotations

import asyncio

import pytest

from sluice_runtime.pausing import pause, pause_until_any

FOR_EVER = 3600.0


async def test_a_pause_ends_with_its_time_or_with_what_it_serves() -> None:
    ended = asyncio.Event()
    assert not await pause(0.001, ended)
    ended.set()
    assert await pause(FOR_EVER, ended)


@pytest.mark.parametrize("which", [0, 1])
async def test_any_of_several_events_ends_a_pause(which: int) -> None:
    events = asyncio.Event(), asyncio.Event()
    pausing = asyncio.create_task(pause_until_any(*events, seconds=FOR_EVER))
    await asyncio.sleep(0)
    assert not pausing.done()
    events[which].set()
    async with asyncio.timeout(5):
        await pausing


async def test_a_pause_until_any_ends_with_its_time_and_leaves_no_task_behind() -> None:
    before = asyncio.all_tasks()
    await pause_until_any(asyncio.Event(), asyncio.Event(), seconds=0.001)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


async def test_others_have_the_loop_where_an_event_is_set_already() -> None:
    event, others = asyncio.Event(), asyncio.Event()
    event.set()
    asyncio.get_running_loop().call_soon(others.set)
    await pause_until_any(event)
    assert others.is_set()
