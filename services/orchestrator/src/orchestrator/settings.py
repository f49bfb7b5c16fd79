"""What the environment tells the orchestrator beside what it tells every service."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from orchestrator.domain.deadlines import Deadlines
from orchestrator.domain.pace import Pace
from sluice_contracts.vocabulary import Category
from sluice_runtime.settings import ServiceSettings


class OrchestratorSettings(ServiceSettings):
    """Each field is `SLUICE_` and its name in capitals.

    `credit`: unanswered commands (of up to 200 jobs) that one step of one trigger may have under way; more makes a
    campaign faster and its cancellation slower. `longest_age_minutes`: after how long a message of a category is not
    worth sending any more where the caller did not say (`{"authentication": 15}`). `trigger_retention_days` is longer
    than the topics keep a trigger (7 days): one that is forgotten and delivered again would be a new one.
    """

    credit: int = Field(default=64, ge=1)
    pages_per_turn: int = Field(default=6, ge=1, le=50)
    stage_lease_seconds: float = Field(default=30, gt=1)
    command_deadline_seconds: float = Field(default=60, gt=0)
    longest_command_deadline_seconds: float = Field(default=900, gt=0)
    poll_seconds: float = Field(default=0.5, gt=0, le=5)
    longest_age_minutes: dict[Category, float] = Field(default_factory=dict)
    trigger_retention_days: int = Field(default=30, ge=8)
    priority_batch: int = Field(default=200, ge=1)
    bulk_batch: int = Field(default=100, ge=1)
    events_batch: int = Field(default=200, ge=1)
    deliveries_batch: int = Field(default=200, ge=1)
    database_connections: int = Field(default=12, ge=2)

    @property
    def pace(self) -> Pace:
        """How much one turn of a stage does."""
        return Pace(credit=self.credit, pages=self.pages_per_turn, lease=timedelta(seconds=self.stage_lease_seconds))

    @property
    def deadlines(self) -> Deadlines:
        """When an unanswered command is sent again."""
        return Deadlines(
            timedelta(seconds=self.command_deadline_seconds), timedelta(seconds=self.longest_command_deadline_seconds)
        )

    @property
    def longest_ages(self) -> dict[Category, timedelta]:
        """How old a message of each category may become."""
        return {category: timedelta(minutes=minutes) for category, minutes in self.longest_age_minutes.items()}
