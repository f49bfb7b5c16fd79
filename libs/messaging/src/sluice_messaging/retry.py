"""How long to wait before the next attempt."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_MOST_DOUBLINGS: Final = 32


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff with full jitter, so that those who failed together do not come back together.

    `base` is the longest first pause and `cap` the longest of all, in seconds; `uniform` draws from [low, high].
    """

    base: float = 0.1
    cap: float = 10.0
    uniform: Callable[[float, float], float] = random.uniform

    def delay(self, failures: int) -> float:
        """Return the seconds to wait after `failures` (≥ 1) failures in a row: anything up to min(cap, base·2ⁿ⁻¹)."""
        return self.uniform(0.0, min(self.cap, self.base * 2.0 ** min(failures - 1, _MOST_DOUBLINGS)))
