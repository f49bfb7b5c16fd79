"""The bodies of our answers to sends, as the OpenAPI document shows them."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field


class Accepted(BaseModel):
    """The trigger is stored by the broker and will be carried out."""

    success: Literal[True]
    trigger_id: UUID


class SendAccepted(Accepted):
    """As above; `job_id` is there only with a single recipient."""

    job_id: str | None = None


class BulkResult(BaseModel):
    """What became of one item of a bulk call; `problem` is an RFC 9457 document, and its `errors` name the fields."""

    index: int
    success: bool
    trigger_id: UUID | None = None
    job_id: str | None = None
    problem: dict[str, Any] | None = None
    errors: list[dict[str, str]] = Field(default_factory=list)


class BulkAnswer(BaseModel):
    """One result an item, in the order of the items. `success` says that every item was accepted."""

    success: bool
    accepted: int
    failed: int
    results: list[BulkResult]
