"""What a checker says of broken promises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a finding breaks; the last line of a run counts them under these names."""

    LOST = "lost"
    DUPLICATED = "duplicated"
    UNACCOUNTED = "unaccounted"
    STUCK = "stuck"


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One broken promise, in words that name the trigger and the job."""

    kind: Kind
    what: str


def some(addresses: Sequence[str]) -> str:
    """Return the first few of many addresses, masked."""
    shown = ", ".join(masked(address) for address in addresses[:3])
    return shown if len(addresses) <= 3 else f"{shown} and {len(addresses) - 3} more"


def masked(address: str) -> str:
    """Return enough of an address to find it again in the load's file."""
    local, at, domain = address.partition("@")
    return f"{local[:2]}…{local[-4:]}{at}{domain}"
