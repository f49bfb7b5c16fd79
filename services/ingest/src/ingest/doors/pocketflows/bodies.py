"""What callers of Pocketflows track: an event, and a customer in its data."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from ingest.domain.values import Name, plain_json
from ingest.doors.events.bodies import is_a_callers


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


CustomerId = Annotated[Name, BeforeValidator(_as_text)]


class Customer(BaseModel):
    """A customer as the caller knows them. What has no field of ours becomes an attribute."""

    model_config = ConfigDict(extra="allow")

    id: CustomerId
    email: Annotated[str, Field(max_length=320)] | None = None
    phone_number: Annotated[str, Field(max_length=64)] | None = None
    name: Annotated[str, Field(max_length=255)] | None = None
    first_name: Annotated[str, Field(max_length=255)] | None = None
    last_name: Annotated[str, Field(max_length=255)] | None = None


class TrackedData(BaseModel):
    """What the event says; `customer` is their id, or an object with it."""

    model_config = ConfigDict(extra="allow")

    customer: CustomerId | Customer

    @model_validator(mode="before")
    @classmethod
    def _is_plain(cls, value: Any) -> Any:
        return plain_json(value) if isinstance(value, dict) else value


class Tracked(BaseModel):
    """The body of `POST /businesses/{id}/track`. `event` is a name, or the id that the caller gave the event."""

    model_config = ConfigDict(extra="ignore")

    event: Annotated[Name, AfterValidator(is_a_callers)]
    data: Annotated[TrackedData, Field(description="`customer`, and whatever else happened.")]


class Nothing(BaseModel):
    """The answer: an empty object."""
