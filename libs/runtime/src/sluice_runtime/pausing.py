"""How a loop rests: until it is time again, until there is something to do, or until it is to end."""

from __future__ import annotations

import asyncio


async def pause(seconds: float, ended: asyncio.Event) -> bool:
    """Wait for `seconds`, or until `ended` is set; return whether it is."""
    try:
        async with asyncio.timeout(seconds):
            await ended.wait()
    except TimeoutError:
        return ended.is_set()
    return True


async def pause_until_any(*events: asyncio.Event, seconds: float | None = None) -> None:
    """Wait until one of `events` is set, or for `seconds`; others get the loop, even where one is set already."""
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
