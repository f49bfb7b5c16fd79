"""A small cache whose entries live for a few seconds: long enough for a hot path, short enough to forget a change."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from time import monotonic
from typing import Generic, TypeVar

KeyT = TypeVar("KeyT", bound=Hashable)
ValueT = TypeVar("ValueT")


class ExpiringCache(Generic[KeyT, ValueT]):
    """Keeps at most `capacity` values, each for `seconds`; the least recently loaded leaves first."""

    def __init__(self, capacity: int, seconds: float, monotonic_clock: Callable[[], float] = monotonic) -> None:
        self._capacity = capacity
        self._seconds = seconds
        self._clock = monotonic_clock
        self._entries: OrderedDict[KeyT, tuple[float, ValueT]] = OrderedDict()

    async def get(self, key: KeyT, load: Callable[[], Awaitable[ValueT]]) -> ValueT:
        """Return the value under `key`, from `load` (whose exceptions pass) when it is not here or too old."""
        entry = self._entries.get(key)
        if entry is not None and self._clock() < entry[0]:
            return entry[1]
        value = await load()
        self._entries[key] = (self._clock() + self._seconds, value)
        self._entries.move_to_end(key)
        while len(self._entries) > self._capacity:
            self._entries.popitem(last=False)
        return value

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
