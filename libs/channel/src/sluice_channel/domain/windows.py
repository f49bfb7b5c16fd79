"""Send windows: whether a contact's own clock allows a message now, and when it next will.

A window is open exactly when the wall clock in the contact's zone stands inside it; daylight saving is thereby decided
by what the person reads on the wall. An opening that the clock jumps over opens at the jump.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sluice_contracts.messages.content import SendWindow

_HORIZON_DAYS: Final = 9
"""A week and a day on either side: a window that opens on one weekday only is found whatever the zone does."""


@dataclass(frozen=True, slots=True)
class WindowStanding:
    """Whether the window is open, and otherwise when it opens next; None where it never does."""

    is_open: bool
    opens_at: datetime | None = None


OPEN: Final = WindowStanding(is_open=True)


@lru_cache(maxsize=1024)
def zone_of(name: str | None, default: str) -> ZoneInfo:
    """Return the zone called `name`; where there is no such zone the default's, and UTC where that is none either."""
    for candidate in (name, default):
        if not candidate:
            continue
        try:
            return ZoneInfo(candidate)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            continue
    return ZoneInfo("UTC")


def standing(window: SendWindow, zone_name: str | None, now: datetime) -> WindowStanding:
    """Return how `window` stands at `now` for a contact in `zone_name` (None or unknown: the window's default).

    Raises ValueError when the window's times are not "HH:MM".
    """
    zone = zone_of(zone_name, window.default_timezone)
    hours = _Hours(frozenset(window.days), _wall_time(window.opens), _wall_time(window.closes))
    if hours.contain(now.astimezone(zone)):
        return OPEN
    return WindowStanding(is_open=False, opens_at=_next_opening(hours, zone, now))


@dataclass(frozen=True, slots=True)
class _Hours:
    days: frozenset[int]
    opens: time
    closes: time

    def contain(self, local: datetime) -> bool:
        """Whether the wall clock stands inside: a window over midnight belongs to the day on which it opens."""
        clock = local.time()
        today = local.isoweekday() in self.days
        if self.closes > self.opens:
            return today and self.opens <= clock < self.closes
        yesterday = (local.isoweekday() - 2) % 7 + 1 in self.days
        return (today and clock >= self.opens) or (yesterday and clock < self.closes)


def _next_opening(hours: _Hours, zone: ZoneInfo, now: datetime) -> datetime | None:
    today = now.astimezone(zone).date()
    candidates: set[datetime] = set()
    for offset in range(_HORIZON_DAYS):
        day = today + timedelta(days=offset)
        candidates.update(_instants(day, hours.opens, zone))
        jump = _clock_change(day, zone)
        if jump is not None:
            candidates.add(jump)
    return min(
        (instant for instant in candidates if instant > now and hours.contain(instant.astimezone(zone))), default=None
    )


def _instants(day: date, clock: time, zone: ZoneInfo) -> set[datetime]:
    """Both moments at which a wall clock may show `clock` on `day`: it shows it twice where clocks go back."""
    local = datetime.combine(day, clock, tzinfo=zone)
    return {local.replace(fold=fold).astimezone(UTC) for fold in (0, 1)}


def _clock_change(day: date, zone: ZoneInfo) -> datetime | None:
    """The moment on `day` at which the zone's offset changes, to the second; None on most days."""
    early = datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)
    late = early + timedelta(days=1)
    before = early.astimezone(zone).utcoffset()
    if late.astimezone(zone).utcoffset() == before:
        return None
    while late - early > timedelta(seconds=1):
        middle = early + (late - early) // 2
        middle = middle.replace(microsecond=0)
        if middle <= early:
            break
        if middle.astimezone(zone).utcoffset() == before:
            early = middle
        else:
            late = middle
    return late


def _wall_time(text: str) -> time:
    hours, separator, minutes = text.partition(":")
    if not separator:
        raise ValueError(f"{text!r} is not HH:MM")
    return time(int(hours) % 24, int(minutes))
