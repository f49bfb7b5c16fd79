"""Wakes the loops of this process when a handler has made work for them, so that nothing waits for the next look."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from typing import Final, Literal

from sluice_contracts.vocabulary import Lane
from sluice_runtime.pausing import pause_until_any


@dataclass(frozen=True, slots=True)
class Feeding:
    """The loop that feeds the stages of one lane: those that walk an audience, or those that do not."""

    lane: Lane
    walks: bool


TIMERS: Final = "timers"
"""The loop that publishes commands that are due."""

WAITS: Final = "waits"
"""The loop that lets people into waits, and go on when those are over."""

Loop = Feeding | Literal["timers", "waits"]

EVERYONE: Final[tuple[Loop, ...]] = (TIMERS, WAITS, *(Feeding(lane, walks) for lane in Lane for walks in (True, False)))


class Wake:
    """Signals for loops, each of which waits on its own turn of them."""

    def __init__(self) -> None:
        self._events: defaultdict[Loop, list[asyncio.Event]] = defaultdict(list)

    def signal(self, *loops: Loop) -> None:
        """Let these loops look for work now, in the order in which they subscribed, however they are named.

        To look costs a statement each: name no others.
        """
        for loop, events in self._events.items():
            if loop in loops:
                for event in events:
                    event.set()

    def subscribe(self, loop: Loop) -> Sleeper:
        """Return a sleeper for one loop."""
        event = asyncio.Event()
        self._events[loop].append(event)
        return Sleeper(event)


class Sleeper:
    """The sleep of one loop. A signal that comes while the loop works ends its next sleep at once."""

    def __init__(self, event: asyncio.Event) -> None:
        self._event = event

    async def sleep(self, seconds: float, stop: asyncio.Event) -> None:
        """Return after `seconds`, on a signal, or when `stop` is set."""
        if stop.is_set():
            return
        try:
            await pause_until_any(self._event, stop, seconds=seconds)
        finally:
            self._event.clear()
