"""How a loop rests: until it is time again, or until it is to end."""

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
