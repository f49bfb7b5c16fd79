"""The settings of a service that guards its operations."""

from __future__ import annotations

from pydantic import Field

from sluice_runtime.settings import ServiceSettings


class GuardSettings(ServiceSettings):
    """What such a service can be told beside what every service is told.

    `rate_limit_per_second` and `rate_limit_burst` count calls of a workspace, and of a stream that has no rate of its
    own, in one copy of the service; a bulk call costs what it holds. Of the answers to requests with an idempotency key
    `remembered_answers` are kept in memory, in `remembered_answer_bytes` at most.
    """

    rate_limit_per_second: float = Field(default=5000, gt=0)
    rate_limit_burst: int = Field(default=20_000, ge=1000)
    remembered_answers: int = Field(default=100_000, ge=1)
    remembered_answer_bytes: int = Field(default=64 * 1024 * 1024, ge=1024 * 1024)
