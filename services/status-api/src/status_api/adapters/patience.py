"""Sums over very much: worked out once for all who ask, and behind their backs where they cannot wait."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, Generic, TypeVar

SECONDS: Final = 3.0
"""How long somebody who asks is kept waiting."""

_AT_ONCE: Final = 3
_MOST_REMEMBERED: Final = 1000

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class StillCountingError(Exception):
    """It is being worked out and takes longer than anybody waits: a repeat a few seconds later finds it done."""


class Patience(Generic[K, V]):
    """Answers by key, as `work` works them out: each key once at a time, and few keys at once.

    Where that takes long, who asks gets the answer that was found last, some seconds old.
    """

    def __init__(self, work: Callable[[K], Awaitable[V]], seconds: float = SECONDS) -> None:
        self._work = work
        self._seconds = seconds
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._running: dict[K, asyncio.Task[V]] = {}
        self._found: OrderedDict[K, V] = OrderedDict()

    async def ask(self, key: K) -> V:
        """Return the answer for `key`.

        Raises StillCountingError where there is none yet; whatever `work` raises.
        """
        task = self._running.get(key)
        if task is None:
            task = self._running[key] = asyncio.create_task(self._worked_out(key))
            task.add_done_callback(lambda done: self._running.pop(key))
        done, _ = await asyncio.wait({task}, timeout=self._seconds)
        if done:
            return task.result()
        task.add_done_callback(lambda done: self._remember(key, done))
        if key in self._found:
            return self._found[key]
        raise StillCountingError

    async def _worked_out(self, key: K) -> V:
        async with self._places:
            return await self._work(key)

    def _remember(self, key: K, task: asyncio.Task[V]) -> None:
        """Keep what nobody waited for any more. That it failed is told to whoever asks next and meets it again."""
        if task.cancelled() or task.exception() is not None:
            return
        self._found[key] = task.result()
        self._found.move_to_end(key)
        if len(self._found) > _MOST_REMEMBERED:
            self._found.popitem(last=False)
