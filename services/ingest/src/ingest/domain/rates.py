"""How much a workspace may ask for: one bucket of tokens each, filled at a steady rate."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final
from uuid import UUID

_MAX_BUCKETS: Final = 100_000


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left after a call: `limit` and `remaining` in tokens, `reset_seconds` until the bucket is full again.

    `retry_seconds` is None where the call may go ahead, or else how long until it may.
    """

    limit: int
    remaining: int
    reset_seconds: int
    retry_seconds: int | None = None

    def headers(self) -> dict[str, str]:
        """Return the headers that tell the caller."""
        headers = {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset_seconds),
        }
        if self.retry_seconds is not None:
            headers["Retry-After"] = str(self.retry_seconds)
        return headers


class RateLimiter:
    """The buckets of all workspaces, in memory: each copy of the service grants the whole rate.

    `now` is any clock in seconds that never goes back.
    """

    def __init__(self, rate_per_second: float, burst: int) -> None:
        self._rate = rate_per_second
        self._burst = burst
        self._buckets: OrderedDict[UUID, tuple[float, float]] = OrderedDict()

    def take(self, workspace_id: UUID, cost: int, now: float) -> Allowance:
        """Take `cost` tokens, all or none."""
        tokens = self._tokens(workspace_id, now)
        granted = cost <= tokens
        if granted:
            tokens -= cost
        self._buckets[workspace_id] = (tokens, now)
        self._buckets.move_to_end(workspace_id)
        if len(self._buckets) > _MAX_BUCKETS:
            self._buckets.popitem(last=False)
        retry = None if granted else max(1, math.ceil((min(cost, self._burst) - tokens) / self._rate))
        return self._allowance(tokens, retry)

    def look(self, workspace_id: UUID | None, now: float) -> Allowance:
        """Return what is left without taking any; a full bucket for a caller who is not known."""
        return self._allowance(float(self._burst) if workspace_id is None else self._tokens(workspace_id, now))

    def _tokens(self, workspace_id: UUID, now: float) -> float:
        tokens, at = self._buckets.get(workspace_id, (float(self._burst), now))
        return min(self._burst, tokens + max(0.0, now - at) * self._rate)

    def _allowance(self, tokens: float, retry: int | None = None) -> Allowance:
        return Allowance(self._burst, int(tokens), math.ceil((self._burst - tokens) / self._rate), retry)
