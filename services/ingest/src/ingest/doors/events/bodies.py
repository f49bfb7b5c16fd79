"""The bodies of events and of the answers to them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from ingest.domain.bodies import RequestBody
from ingest.domain.values import MAX_ITEMS, Moment, Name, Values
from ingest.doors.streams.bodies import EventContact
from sluice_catalog.definitions.words import EventName, fault
from sluice_contracts.vocabulary import BuiltInEvent

_OWN: frozenset[str] = frozenset(BuiltInEvent)


def is_a_callers(name: str) -> str:
    """Return an event's name. Raises ValueError where it is one of our own events', which nobody else can tell of."""
    if name in _OWN:
        raise ValueError("is the name of an event that only Sluice itself notices")
    return name


class Person(EventContact):
    """Whom the event is about; what is said is written into the contact, who is made where there is none."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Event(RequestBody):
    """`POST /api/v1/events`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "event": "order.paid",
                    "contact_external_id": "user_123",
                    "data": {"order": {"id": "o-77", "total": 49.9}},
                },
                {
                    "event": "cart.left",
                    "contact": {"external_id": "user_123", "email": "ada@example.com", "attributes": {"plan": "pro"}},
                    "data": {"cart": {"id": "c-5"}},
                    "correlation_key": "c-5",
                    "occurred_at": "2026-03-02T09:00:00Z",
                },
            ]
        }
    )

    event: Annotated[EventName, AfterValidator(is_a_callers)]
    contact_external_id: Name | None = Field(default=None, description="A contact who is there already.")
    contact: Person | None = Field(default=None, description="Instead: a contact with what is known of them.")
    data: Values = Field(default_factory=dict, description="What rules filter by and take variables from.")
    occurred_at: Moment | None = Field(default=None, description="Now where it is left out.")
    correlation_key: Name | None = Field(default=None, description="What the event belongs to: an order, a cart.")

    @model_validator(mode="after")
    def _names_one_contact(self) -> Self:
        if (self.contact is None) is (self.contact_external_id is None):
            raise fault(("contact_external_id",), "either contact_external_id or contact is needed")
        return self


class Events(RequestBody):
    """`POST /api/v1/events/bulk`: each event is checked by itself."""

    events: Annotated[list[Any], Field(min_length=1, max_length=MAX_ITEMS)]


class EventAccepted(BaseModel):
    """The broker has the event; `GET /api/v1/events/{event_id}` says what became of it."""

    success: Literal[True]
    event_id: UUID


class EventResult(BaseModel):
    """What became of one event of a bulk call; `problem` is an RFC 9457 document, and its `errors` name the fields."""

    index: int
    success: bool
    event_id: UUID | None = None
    problem: dict[str, Any] | None = None
    errors: list[dict[str, str]] = Field(default_factory=list)


class EventResults(BaseModel):
    """One result an event, in their order. `success` says that every one was accepted."""

    success: bool
    accepted: int
    failed: int
    results: list[EventResult]
