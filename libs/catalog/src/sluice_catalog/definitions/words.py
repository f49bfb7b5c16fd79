"""The kinds of text that definitions are made of, each with its check."""

from __future__ import annotations

from datetime import time
from typing import Annotated
from uuid import UUID
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
)
from pydantic_core import PydanticCustomError

from sluice_catalog.addresses import known_country
from sluice_catalog.variants import normalise_locale
from sluice_contracts.messages.content import SendWindow


def fault(location: tuple[str | int, ...], message: str) -> ValidationError:
    """Return the error of one field, for a validator that looks at several to raise."""
    error = PydanticCustomError("definition", "{message}", {"message": message})
    return ValidationError.from_exception_data("definition", [{"type": error, "loc": location, "input": None}])


class Definition(BaseModel):
    """What a caller may say in a body. Unknown fields are refused by name."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _not_an_id(text: str) -> str:
    try:
        UUID(text)
    except ValueError:
        return text
    raise ValueError("must not look like an id")


def _timezone(text: str) -> str:
    if text not in available_timezones():
        raise ValueError("must be an IANA time zone such as Europe/Berlin")
    return text


def _country(text: str) -> str:
    if not known_country(text.upper()):
        raise ValueError("must be an ISO 3166 alpha-2 country code")
    return text.upper()


Key = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,99}$"),
    AfterValidator(_not_an_id),
    Field(description="The caller's own name for it, unique in the workspace."),
]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
NameAsKey = Annotated[
    Name, AfterValidator(_not_an_id), Field(description="Unique in the workspace; defaults to the name.")
]
EventName = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/ -]{0,99}$", description="As it is sent.", examples=["order.paid"]),
]
Country = Annotated[str, AfterValidator(_country), Field(description="ISO 3166 alpha-2.", examples=["US"])]
Timezone = Annotated[str, AfterValidator(_timezone), Field(description="IANA name.", examples=["America/New_York"])]
Locale = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8}){0,4}$"),
    AfterValidator(normalise_locale),
    Field(description="BCP 47.", examples=["en-US"]),
]


class Window(Definition, SendWindow):
    """When messages may go out, in the contact's own time zone; see `SendWindow`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    days: list[Annotated[int, Field(ge=1, le=7)]] = Field(default=[1, 2, 3, 4, 5, 6, 7], min_length=1, max_length=7)
    default_timezone: Timezone = "UTC"

    @field_validator("days")
    @classmethod
    def _days_once_in_order(cls, days: list[int]) -> list[int]:
        return sorted(set(days))

    @field_validator("opens", "closes")
    @classmethod
    def _time_of_day(cls, text: str) -> str:
        try:
            if len(text) == len("HH:MM"):
                time.fromisoformat(text)
                return text
        except ValueError:
            pass
        raise ValueError('must be a time of day, "HH:MM"')
