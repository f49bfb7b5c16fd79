"""Ingest's own settings."""

from __future__ import annotations

from pydantic import Field

from sluice_runtime.http.guard.settings import GuardSettings


class IngestSettings(GuardSettings):
    """What ingest can be told beside what every guarded service is told.

    `publish_seconds` is how long a caller waits for the broker. `in_flight_bytes` may wait for it.
    """

    publish_seconds: float = Field(default=4.0, gt=0, le=5)
    in_flight_bytes: int = Field(default=64 * 1024 * 1024, ge=1024 * 1024)
    waiting_engagements: int = Field(default=100_000, ge=1)
