"""How much may be asked for: one bucket of tokens for each workspace and each stream, filled at a steady rate."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import MutableMapping
from typing import Final, NamedTuple
from uuid import UUID

_MAX_BUCKETS: Final = 100_000


class Rate(NamedTuple):
    """A bucket of `burst` tokens, at least 1, that fills at `per_second`, more than 0."""

    per_second: float
    burst: int


class Allowance(NamedTuple):
    """What is left after a call: `limit` and `remaining` in tokens, `reset_seconds` until the bucket is full again.

    `retry_seconds` is None where the call may go ahead, or else how long until it may.
    """

    limit: int
    remaining: int
    reset_seconds: int
    retry_seconds: int | None = None

    def write(self, headers: MutableMapping[str, str]) -> None:
        """Put what tells the caller into the headers of an answer."""
        headers["RateLimit-Limit"] = str(self.limit)
        headers["RateLimit-Remaining"] = str(self.remaining)
        headers["RateLimit-Reset"] = str(self.reset_seconds)


def tighter(one: Allowance, other: Allowance | None) -> Allowance:
    """Return the allowance that refuses, or else the one with less left."""
    if other is None or one.retry_seconds is not None:
        return one
    return one if one.remaining <= other.remaining else other


class RateLimiter:
    """All buckets, in memory: each copy of a service grants the whole rate.

    `now` is any clock in seconds that never goes back.
    """

    def __init__(self, rate_per_second: float, burst: int) -> None:
        self._rate = Rate(rate_per_second, burst)
        self._buckets: OrderedDict[int, tuple[float, float]] = OrderedDict()

    def take(self, owner: UUID, cost: int, now: float, rate: Rate | None = None, *, returned: int = 0) -> Allowance:
        """Take `cost` tokens of `owner`, all or none, after giving back `returned`; `rate` where the owner has its own.

        A full bucket grants also what costs more than it can ever hold, and is in debt then.
        """
        per_second, burst = rate or self._rate
        place = owner.int  # To hash and compare UUIDs takes Python's own time.
        tokens, at = self._buckets.get(place, (float(burst), now))
        tokens = min(burst, tokens + returned + max(0.0, now - at) * per_second)
        lacking = min(cost, burst) - tokens
        if lacking <= 0:
            tokens -= cost
        self._buckets[place] = (tokens, now)
        self._buckets.move_to_end(place)
        if len(self._buckets) > _MAX_BUCKETS:
            self._buckets.popitem(last=False)
        retry = max(1, math.ceil(lacking / per_second)) if lacking > 0 else None
        return Allowance(burst, max(0, int(tokens)), math.ceil((burst - tokens) / per_second), retry)

    def full(self) -> Allowance:
        """Return what a caller who is not known yet has."""
        return Allowance(self._rate.burst, self._rate.burst, 0)
