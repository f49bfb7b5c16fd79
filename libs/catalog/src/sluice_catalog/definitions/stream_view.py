"""Streams as callers see them, whichever service answers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from sluice_catalog.definitions.shelf import Stored
from sluice_catalog.definitions.streams import Limits, StoredToken, StreamDefinition
from sluice_catalog.streams import StreamType
from sluice_contracts.vocabulary import Category

ShownStatus = Literal["draft", "ready", "sending", "disabled"]


class TokenView(BaseModel):
    """A token without its secret; `hint` is how that begins and ends. It works until `expires_at`."""

    hint: str
    created_at: datetime
    expires_at: datetime | None


class StreamView(BaseModel):
    """A stream. A ready one is `sending` while something of it is on its way."""

    id: UUID
    key: str
    name: str
    type: StreamType
    status: ShownStatus
    tags: list[str]
    workflow_id: UUID | None
    template_key: str | None
    category: Category
    provider_account_id: UUID | None
    sender: str | None
    sandbox: bool
    allowed_ips: list[str]
    limits: Limits
    expires_after_seconds: int | None
    last_activity: datetime | None = Field(description="When it last took an event in, as of about a second ago.")
    tokens: list[TokenView]
    revision: int
    created_at: datetime
    updated_at: datetime


class NewStreamView(StreamView):
    """A new stream with the secret of its token, which is shown this once."""

    token: str


def shown(stored: Stored[StreamDefinition], *, sending: bool = False) -> dict[str, Any]:
    """Return a stream, whose tokens are among its facts, as JSON values."""
    content = stored.content
    status: ShownStatus = "sending" if sending and content.status == "ready" else content.status
    tokens: Sequence[StoredToken] = stored.facts["tokens"]
    return {
        "id": stored.id,
        **content.model_dump(mode="json"),
        "status": status,
        "category": content.category or content.type.category,
        "last_activity": stored.facts["last_activity"],
        "tokens": [
            {"hint": token.hint, "created_at": token.created_at, "expires_at": token.expires_at} for token in tokens
        ],
        "revision": stored.revision,
        "created_at": stored.created_at,
        "updated_at": stored.updated_at,
    }
