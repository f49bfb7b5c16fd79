"""How many parts a text travels in by SMS: GSM-7 with its extension table, or UCS-2 (3GPP TS 23.038, 23.040).

A single message holds 160 septets or 70 UTF-16 units; one that is cut loses six bytes of each part to the header that
puts them together again, which leaves 153 or 67. A pair (escape and character, or two surrogates) is never cut.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

GSM7: Final = "GSM-7"
UCS2: Final = "UCS-2"

BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION: Final = frozenset("\f^{}\\[~]|€")

_GSM7_SINGLE: Final = 160
_GSM7_PART: Final = 153
_UCS2_SINGLE: Final = 70
_UCS2_PART: Final = 67
_BASIC_PLANE_END: Final = 0xFFFF
_ONE_BASIC_PART: Final = re.compile(f"[{re.escape(''.join(BASIC))}]{{0,{_GSM7_SINGLE}}}")


@dataclass(frozen=True, slots=True)
class Segmentation:
    """How a text travels: its `encoding`, and for each part the units (septets or UTF-16 units) that it holds."""

    encoding: str
    units: tuple[int, ...]

    @property
    def segments(self) -> int:
        """How many parts are paid for. An empty text is one."""
        return len(self.units)


def measure(text: str) -> tuple[str, int]:
    """Return the encoding of `text` and in how many parts it travels."""
    if _ONE_BASIC_PART.fullmatch(text):
        return GSM7, 1
    cut = segment(text)
    return cut.encoding, cut.segments


@lru_cache(maxsize=4096)
def segment(text: str) -> Segmentation:
    """Return how `text` is sent: in GSM-7 where every character allows it, or else in UCS-2."""
    if BASIC.issuperset(text):
        if len(text) <= _GSM7_SINGLE:
            return Segmentation(GSM7, (len(text),))
        return Segmentation(GSM7, _parts([1] * len(text), _GSM7_SINGLE, _GSM7_PART))
    if (BASIC | EXTENSION).issuperset(text):
        return Segmentation(
            GSM7, _parts([2 if character in EXTENSION else 1 for character in text], _GSM7_SINGLE, _GSM7_PART)
        )
    widths = [2 if ord(character) > _BASIC_PLANE_END else 1 for character in text]
    return Segmentation(UCS2, _parts(widths, _UCS2_SINGLE, _UCS2_PART))


def _parts(widths: list[int], single: int, part: int) -> tuple[int, ...]:
    total = sum(widths)
    if total <= single:
        return (total,)
    units: list[int] = []
    filled = 0
    for width in widths:
        if filled + width > part:
            units.append(filled)
            filled = 0
        filled += width
    units.append(filled)
    return tuple(units)
