"""Waiting for the projection: a read right after the accepting answer finds its trigger."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, TypeVar

PATIENCE_SECONDS: Final = 2.0
LOOK_SECONDS: Final = 0.05
MOST_WAITING: Final = 200
MISSED_SECONDS: Final = 60.0
MOST_MISSED: Final = 10_000

T = TypeVar("T")


class Arrivals:
    """Wakes readers when this process has folded something, and has them look by themselves for what others fold."""

    def __init__(
        self, *, patience: float = PATIENCE_SECONDS, look: float = LOOK_SECONDS, most_waiting: int = MOST_WAITING
    ) -> None:
        self._patience = patience
        self._look = look
        self._most_waiting = most_waiting
        self._waiting = 0
        self._missed: OrderedDict[Hashable, float] = OrderedDict()
        self._arrived = asyncio.Event()

    def announce(self) -> None:
        """Say that something new is in the tables."""
        arrived, self._arrived = self._arrived, asyncio.Event()
        arrived.set()

    async def wait_for(self, key: Hashable, find: Callable[[], Awaitable[T | None]]) -> T | None:
        """Return what `find` finds for `key`, looking again until it does or two seconds are over; None then.

        It looks only once for what was waited for in vain within the last minute, and where very many wait
        already: a flood of made-up ids must not become a flood of queries.
        """
        arrived = self._arrived
        found = await find()
        if found is not None or self._waiting >= self._most_waiting or self._was_missed(key):
            return found
        self._waiting += 1
        try:
            found = await self._look_again(find, arrived)
        finally:
            self._waiting -= 1
        if found is None:
            self._note_missed(key)
        return found

    def _was_missed(self, key: Hashable) -> bool:
        missed_at = self._missed.get(key)
        return missed_at is not None and asyncio.get_running_loop().time() - missed_at < MISSED_SECONDS

    def _note_missed(self, key: Hashable) -> None:
        self._missed[key] = asyncio.get_running_loop().time()
        self._missed.move_to_end(key)
        if len(self._missed) > MOST_MISSED:
            self._missed.popitem(last=False)

    async def _look_again(self, find: Callable[[], Awaitable[T | None]], arrived: asyncio.Event) -> T | None:
        clock = asyncio.get_running_loop().time
        deadline = clock() + self._patience
        while (left := deadline - clock()) > 0:
            try:
                async with asyncio.timeout(min(self._look, left)):
                    await arrived.wait()
            except TimeoutError:
                pass
            arrived = self._arrived
            found = await find()
            if found is not None:
                return found
        return None
