"""Ingest's own settings."""

from __future__ import annotations

from pydantic import Field

from sluice_runtime.settings import ServiceSettings


class IngestSettings(ServiceSettings):
    """What ingest can be told beside what every service is told.

    `rate_limit_per_second` and `rate_limit_burst` count triggers of a workspace in one copy of the service; a bulk call
    costs what it holds. `publish_seconds` is how long a caller waits for the broker. `in_flight_bytes` may wait for it.
    """

    rate_limit_per_second: float = Field(default=5000, gt=0)
    rate_limit_burst: int = Field(default=20_000, ge=1000)
    publish_seconds: float = Field(default=4.0, gt=0, le=5)
    in_flight_bytes: int = Field(default=64 * 1024 * 1024, ge=1024 * 1024)
    remembered_answers: int = Field(default=100_000, ge=1)
    remembered_answer_bytes: int = Field(default=64 * 1024 * 1024, ge=1024 * 1024)
    waiting_engagements: int = Field(default=100_000, ge=1)
