"""Status-api's own settings."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from sluice_runtime.http.guard.settings import GuardSettings


class StatusSettings(GuardSettings):
    """What status-api can be told beside what every guarded service is told.

    `receipt_deadline_hours` after its hand-over a message without a receipt is `unknown`. `folders` consumers share the
    deliveries of one copy: while one waits for the database, another decodes. `batch_records` are folded at once. What
    became of an event is shown for `event_retention_days`. A trigger is shown until `status_retention_days` after its
    end, for ever where none are given: longer than the orchestrator and the ledgers remember it, or a retry or a late
    receipt would make half of it anew. `silence_seconds` after the last news of an execution that is not at its end,
    whoever may know more is asked. `trigger_retention_days` is the orchestrator's: what it has forgotten, nobody can
    try again.
    """

    receipt_deadline_hours: float = Field(default=72.0, gt=0)
    folders: int = Field(default=2, ge=1, le=6)
    batch_records: int = Field(default=200, ge=1, le=1000)
    silence_seconds: float = Field(default=300.0, gt=0)
    event_retention_days: float = Field(default=30.0, gt=0)
    trigger_retention_days: int = Field(default=30, ge=8)
    status_retention_days: float | None = Field(default=None, ge=31)

    @property
    def receipt_deadline(self) -> timedelta:
        """How long a message waits for its receipt."""
        return timedelta(hours=self.receipt_deadline_hours)
