"""Topics `commands.<channel>.<lane>`: jobs for a channel worker. Key: execution_id:page."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self
from uuid import UUID

from pydantic import Field, model_validator

from sluice_contracts.base import Instant, JsonObject, Message, Part
from sluice_contracts.messages.content import Content, Sender, SendWindow
from sluice_contracts.vocabulary import Category, Channel, FilterCode, Lane


class CommandedJobs(Part):
    """Jobs as columns, one entry a job, in order of `seq`: five times cheaper to read than one object a job.

    `address` is normalised (E.164, or a lower-cased email address) where it is valid; otherwise it is as it was given
    and `verdict` says `invalid_address`. `verdict` is what the orchestrator already knows: a gate that the job fails,
    with its sentence in `verdict_detail`. `opt_outs` lists categories that the contact does not want on this channel,
    "*" for all. `fields` holds the contact's values that the content refers to, by dotted path below the contact
    (`first_name`, `attributes.plan`); None where the contact has none. `attempts` counts hand-overs that were tried
    before.
    """

    seq: list[int]
    contact_id: list[UUID | None]
    external_id: list[str | None]
    address: list[str | None]
    country: list[str | None]
    locale: list[str | None]
    timezone: list[str | None]
    opt_outs: list[list[str] | None]
    verdict: list[FilterCode | None]
    verdict_detail: list[str | None]
    attempts: list[int]
    fields: dict[str, list[Any]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _columns_have_one_length(self) -> Self:
        length = len(self.seq)
        columns: tuple[list[Any], ...] = (
            self.contact_id,
            self.external_id,
            self.address,
            self.country,
            self.locale,
            self.timezone,
            self.opt_outs,
            self.verdict,
            self.verdict_detail,
            self.attempts,
            *self.fields.values(),
        )
        if any(len(column) != length for column in columns):
            raise ValueError(f"every column of a command needs {length} entries")
        return self

    def __len__(self) -> int:
        return len(self.seq)


class JobsCommanded(Message):
    """Carry out these jobs: all of one page of an execution, or, in a later round, those of it that had to wait.

    (execution_id, page, round) names the command for ever: a repeat carries the same jobs in the same order, and the
    worker answers it from its ledger.
    """

    TYPE: ClassVar[str] = "jobs.commanded.v1"
    KEY: ClassVar[tuple[str, ...]] = ("execution_id", "page")
    type: Literal["jobs.commanded.v1"] = "jobs.commanded.v1"
    workspace_id: UUID
    trigger_id: UUID
    execution_id: UUID
    page: int
    round: int = 0
    epoch: int = 0
    step_order: int = 1
    channel: Channel
    lane: Lane
    category: Category
    accepted_at: Instant
    content: Content
    variables: JsonObject = Field(default_factory=dict)
    metadata: JsonObject = Field(default_factory=dict)
    campaign_name: str | None = None
    sender: Sender = Field(default_factory=Sender)
    window: SendWindow | None = None
    expires_at: Instant | None = None
    dry_run: bool = False
    jobs: CommandedJobs


class ReportsRequested(Message):
    """Say once more what became of the jobs of an execution: whoever asks may have missed reports.

    `ended` is, page by page from `first_page` on, of how many jobs the end is known to who asks; with `and_later`, of
    none on any page after those. A worker reports again what its ledger knows of the pages where it knows of more. What
    it says are facts, so that a repeat changes nothing; it hands nothing over and answers no command.
    """

    TYPE: ClassVar[str] = "jobs.reports_requested.v1"
    KEY: ClassVar[tuple[str, ...]] = ("execution_id", "first_page")
    type: Literal["jobs.reports_requested.v1"] = "jobs.reports_requested.v1"
    workspace_id: UUID
    trigger_id: UUID
    execution_id: UUID
    channel: Channel
    requested_at: Instant
    first_page: int = Field(default=0, ge=0)
    ended: list[int] = Field(default_factory=list)
    and_later: bool = True
