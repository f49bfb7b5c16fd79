"""Time as a dependency. Whoever decides takes `now`; whoever does asks a clock that tests can move."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Final, Protocol

_REREAD_SECONDS: Final = 0.1


class Clock(Protocol):
    """Where a service gets the time from."""

    def now(self) -> datetime:
        """Return the present moment, in UTC."""
        ...


class SystemClock:
    """The machine's own time."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class ManualClock:
    """A clock that stands still until it is moved."""

    def __init__(self, start: datetime) -> None:
        self._now = start.astimezone(UTC)

    def now(self) -> datetime:
        return self._now

    def advance(self, by: timedelta) -> None:
        """Move forward; a clock never goes back, so a negative `by` raises ValueError."""
        if by < timedelta(0):
            raise ValueError("a clock cannot go back")
        self._now += by


class ShiftedClock:
    """The machine's time plus the seconds written in a file, which every service of a stack reads.

    Moving a whole stack three days ahead is writing `259200` there. A file that is missing or empty is no shift. It is
    read again at most ten times a second.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._shift = timedelta(0)
        self._read_at = float("-inf")

    def now(self) -> datetime:
        at = monotonic()
        if at - self._read_at >= _REREAD_SECONDS:
            self._read_at = at
            self._shift = self._read()
        return datetime.now(UTC) + self._shift

    def _read(self) -> timedelta:
        try:
            return timedelta(seconds=float(self._path.read_text() or 0))
        except (FileNotFoundError, ValueError):
            return self._shift
