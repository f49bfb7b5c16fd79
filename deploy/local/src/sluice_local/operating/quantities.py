"""Numbers with their nouns."""

from __future__ import annotations

from typing import Final

_MEGABYTE: Final = 1024**2


def counted(number: int, noun: str) -> str:
    """Return `number` with `noun`, in the plural where there is not exactly one."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def size(of: int) -> str:
    """Return a number of bytes in the unit that suits it."""
    return f"{of / _MEGABYTE:.0f} MiB" if of < 1024 * _MEGABYTE else f"{of / 1024 / _MEGABYTE:.1f} GiB"
