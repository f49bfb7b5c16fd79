"""Urgent work goes before work that is not, within one process: an OTP never waits behind a campaign.

A process has one thread, and whatever is ready takes its turn there. Bulk work that has long turns asks between them
whether something urgent is in hand, and lets it go first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, TypeVar

LONGEST_SECONDS: Final = 0.05
"""How long bulk work gives way at most, each time: urgent work without end slows it down and never stops it."""

T = TypeVar("T")


class Precedence:
    """What is urgent in one process now."""

    def __init__(self) -> None:
        self._urgent = 0
        self._clear = asyncio.Event()
        self._clear.set()

    @contextmanager
    def urgent(self) -> Iterator[None]:
        """Go before bulk work until the context is left."""
        self._urgent += 1
        self._clear.clear()
        try:
            yield
        finally:
            self._urgent -= 1
            if not self._urgent:
                self._clear.set()

    def urgently(self, handle: Callable[[T], Awaitable[None]]) -> Callable[[T], Awaitable[None]]:
        """Return `handle` with all that it does made urgent."""

        async def handle_urgently(item: T) -> None:
            with self.urgent():
                await handle(item)

        return handle_urgently

    async def give_way(self) -> None:
        """Let others have their turn, and wait for what is urgent, for `LONGEST_SECONDS` at most."""
        await asyncio.sleep(0)
        if self._urgent:
            with suppress(TimeoutError):
                async with asyncio.timeout(LONGEST_SECONDS):
                    await self._clear.wait()
