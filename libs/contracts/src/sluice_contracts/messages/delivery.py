"""Topic `deliveries`: what became of jobs. Key: execution_id:page, so one consumer at a time writes a row."""

from __future__ import annotations

from typing import ClassVar, Literal, Self
from uuid import UUID

from pydantic import Field, model_validator

from sluice_contracts.base import Instant, Message, Part
from sluice_contracts.vocabulary import Channel, Engagement, JobState, MessageState


class ReportedJobs(Part):
    """Reports as columns, one entry a report. A job may stand in it more than once.

    What a report does not know is None, and leaves what is known untouched. `at` is Unix milliseconds. `cost_micros`
    is in millionths of a US dollar. `until` (Unix milliseconds) is when a held job is due again, None while it waits
    for somebody. `code` is a FilterCode, HoldCode or FailureCode, or the provider's code on a negative receipt;
    `detail` its sentence.
    """

    seq: list[int]
    at: list[int]
    state: list[JobState | None]
    message: list[MessageState | None]
    engagement: list[Engagement | None]
    epoch: list[int]
    attempt: list[int]
    code: list[str | None]
    detail: list[str | None]
    until: list[int | None]
    external_id: list[str | None]
    address: list[str | None]
    provider: list[str | None]
    provider_id: list[str | None]
    segments: list[int | None]
    cost_micros: list[int | None]

    @model_validator(mode="after")
    def _columns_have_one_length(self) -> Self:
        length = len(self.seq)
        if any(len(getattr(self, name)) != length for name in type(self).model_fields):
            raise ValueError(f"every column of a report needs {length} entries")
        return self

    def __len__(self) -> int:
        return len(self.seq)


class JobsReported(Message):
    """Outcomes of a command (`answers_round` is its round; it is then answered in full), or later facts (None).

    Reports are facts: applying them in any order, any number of times, ends in the same rows.
    """

    TYPE: ClassVar[str] = "jobs.reported.v1"
    KEY: ClassVar[tuple[str, ...]] = ("execution_id", "page")
    type: Literal["jobs.reported.v1"] = "jobs.reported.v1"
    workspace_id: UUID
    trigger_id: UUID
    execution_id: UUID
    channel: Channel
    page: int
    answers_round: int | None = None
    reported_at: Instant
    jobs: ReportedJobs = Field()
