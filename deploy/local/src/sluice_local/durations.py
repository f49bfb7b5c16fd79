"""Durations as people write them: `90s`, `15m`, `2h`, `3d`, and sums such as `1d12h`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")


def parse_duration(text: str) -> timedelta:
    """Return what `text` says. Raises ValueError."""
    compact = text.replace(" ", "").lower()
    if not re.fullmatch(rf"(?:{_PART.pattern})+", compact):
        raise ValueError(f"{text!r} is not a duration such as 90s, 15m, 2h, 3d or 1d12h")
    return sum((timedelta(**{_UNITS[unit]: float(number)}) for number, unit in _PART.findall(compact)), timedelta(0))


def describe(duration: timedelta) -> str:
    """Return `duration` in its largest unit and the next smaller one, as `3d 4h`; under ten seconds as `0.13s`."""
    if duration < timedelta(seconds=10):
        return f"{duration.total_seconds():.3g}s"
    seconds = round(duration.total_seconds())
    numbers: list[tuple[int, str]] = []
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")):
        number, seconds = divmod(seconds, size)
        if number or numbers:
            numbers.append((number, unit))
    return " ".join(f"{number}{unit}" for number, unit in numbers[:2] if number)
