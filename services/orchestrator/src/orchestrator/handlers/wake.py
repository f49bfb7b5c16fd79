"""Wakes the loops of this process when a handler has made work for them, so that nothing waits for the next look."""

from __future__ import annotations

import asyncio


class Wake:
    """One signal for many loops, each of which waits on its own turn of it."""

    def __init__(self) -> None:
        self._events: list[asyncio.Event] = []

    def signal(self) -> None:
        """Let every loop look for work now."""
        for event in self._events:
            event.set()

    def subscribe(self) -> Sleeper:
        """Return a sleeper for one loop."""
        event = asyncio.Event()
        self._events.append(event)
        return Sleeper(event)


class Sleeper:
    """The sleep of one loop. A signal that comes while the loop works ends its next sleep at once."""

    def __init__(self, event: asyncio.Event) -> None:
        self._event = event

    async def sleep(self, seconds: float, stop: asyncio.Event) -> None:
        """Return after `seconds`, on a signal, or when `stop` is set."""
        if stop.is_set():
            return
        waits = [asyncio.ensure_future(self._event.wait()), asyncio.ensure_future(stop.wait())]
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            self._event.clear()
