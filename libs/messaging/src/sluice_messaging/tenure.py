"""The time from being given partitions to losing them. Work belongs to the tenure in which it was taken."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sluice_messaging.progress import Progress
from sluice_messaging.records import Record


class Tenure:
    """One assignment: how far it has got, what is being worked on in it, and whether it is over.

    Work that outlives its tenure finishes into progress that nobody commits any more, so it needs no care: the records
    come again, to whoever owns the partition by then.
    """

    def __init__(self) -> None:
        self.progress = Progress()
        self.over = asyncio.Event()
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._relieved = asyncio.Event()

    @property
    def is_working(self) -> bool:
        """Whether a handler runs."""
        return self._running > 0

    def end(self) -> None:
        """Let nothing new begin, and wake whoever pauses between attempts."""
        self.over.set()
        self._relieved.set()

    @contextmanager
    def working(self) -> Iterator[None]:
        """Hold the tenure's idleness off while a handler runs."""
        self._running += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()

    async def idle(self, seconds: float) -> bool:
        """Wait until no handler runs, for at most `seconds`; return whether that was enough."""
        if self._idle.is_set():
            return True
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        return self._idle.is_set()

    def finish(self, record: Record) -> None:
        """Note that `record` needs nothing more."""
        self.progress.finish(record)
        self._relieved.set()

    async def relieved(self) -> None:
        """Return when something has been finished since the last call, or the tenure is over."""
        await self._relieved.wait()
        self._relieved.clear()
