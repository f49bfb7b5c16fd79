"""Waiting as long as something moves, so that a slow machine is not taken for one that stands still."""

from __future__ import annotations

import time
from collections.abc import Callable


class Patience:
    """Ends when what is looked at has not changed for so many seconds."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._seen: object = None
        self._since = clock()

    def ends(self, state: object) -> bool:
        """Look at `state`; tell whether it has been the same for too long."""
        if state != self._seen:
            self._seen, self._since = state, self._clock()
        return self._clock() - self._since > self._seconds
