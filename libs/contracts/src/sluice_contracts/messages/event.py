"""Topic `events`: facts about contacts, before any workflow is chosen. Key: workspace_id:external_id."""

from __future__ import annotations

from typing import ClassVar, Final, Literal
from uuid import UUID

from pydantic import Field

from sluice_contracts.base import Instant, JsonObject, Message
from sluice_contracts.messages.profile import ContactProfile

LONGEST_CHAIN: Final = 10
"""Events that may follow from one another before Sluice stops making more: a rule may feed itself."""


class EventOccurred(Message):
    """Something happened, told by a caller or noticed by Sluice itself (`source` is then "sluice").

    `external_id` names the contact that it is about, where it is about one; `profile` is what the caller says of them.
    `correlation_key` names what it belongs to (an order, say), for those who wait for it. `chain` counts the
    events that led to this one.
    """

    TYPE: ClassVar[str] = "event.occurred.v1"
    type: Literal["event.occurred.v1"] = "event.occurred.v1"
    event_id: UUID
    workspace_id: UUID
    name: str
    external_id: str | None = None
    profile: ContactProfile | None = None
    data: JsonObject = Field(default_factory=dict)
    occurred_at: Instant
    accepted_at: Instant
    correlation_key: str | None = None
    source: str = "api"
    chain: int = 0

    @property
    def key(self) -> bytes:
        """One contact's events stay in order; one about nobody stands alone."""
        return f"{self.workspace_id}:{self.event_id if self.external_id is None else self.external_id}".encode()
