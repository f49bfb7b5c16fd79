"""The bodies of streams' calls: a contact, and whatever else stands beside it."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from ingest.domain.values import Address, Line, Name, Names, Values, plain_json
from sluice_catalog.definitions.words import fault


def _nothing_if_blank(value: object) -> object:
    return None if isinstance(value, str) and not value.strip() else value


class EventContact(BaseModel):
    """Whom an event concerns. Without an `external_id` the contact is known by phone number, or else by email."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    phone_number: Annotated[Address | None, BeforeValidator(_nothing_if_blank)] = None
    name: Annotated[Line | None, BeforeValidator(_nothing_if_blank)] = None
    email: Annotated[Address | None, BeforeValidator(_nothing_if_blank)] = None
    external_id: Annotated[Name | None, BeforeValidator(_nothing_if_blank)] = None
    first_name: Annotated[Line | None, BeforeValidator(_nothing_if_blank)] = None
    last_name: Annotated[Line | None, BeforeValidator(_nothing_if_blank)] = None
    locale: Annotated[Name | None, BeforeValidator(_nothing_if_blank)] = Field(  # type: ignore[pydantic-alias]
        default=None, validation_alias=AliasChoices("locale", "language"), description="Also `language`."
    )
    timezone: Annotated[Name | None, BeforeValidator(_nothing_if_blank)] = None
    tags: Names | None = Field(default=None, description="Added to those that the contact has.")
    attributes: Values | None = Field(  # type: ignore[pydantic-alias]
        default=None,
        validation_alias=AliasChoices("attributes", "metadata"),
        description="Merged into those that the contact has. Also `metadata`.",
    )


def _check(name: str, value: object) -> None:
    try:
        plain_json({name: value})
    except ValueError as error:
        raise fault((name,), str(error)) from error


class Properties(BaseModel):
    """A body every top-level property of which, but for those named, becomes a `{{variable}}`."""

    model_config = ConfigDict(extra="allow", frozen=True)

    @model_validator(mode="after")
    def _are_plain(self) -> Self:
        try:
            plain_json(self.properties)
        except ValueError:
            for name, value in self.properties.items():
                _check(name, value)
        return self

    @property
    def properties(self) -> dict[str, Any]:
        """The variables, by name."""
        return self.__pydantic_extra__ or {}


class EventBody(Properties):
    """`POST /api/v1/streams/{stream_id}/events`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "contact": {"phone_number": "+14155550123", "name": "Ada L", "email": "ada@example.com"},
                    "property1": "string",
                    "property2": "string",
                }
            ]
        }
    )

    contact: EventContact


class TestBody(Properties):
    """`POST /api/v1/streams/{stream_id}/test`: without a contact, the sandbox's own recipient gets the message."""

    __test__ = False

    contact: EventContact | None = None


class TestQuery(BaseModel):
    """How a test is sent: for which event key, and whether through the sandbox (without a contact it always is)."""

    __test__ = False

    model_config = ConfigDict(extra="forbid")

    event: Name | None = None
    sandbox: bool = False


class Taken(BaseModel):
    """Stored by the broker and going to be carried out; `job_id` is there where it is a single message."""

    status: str = Field(examples=["success"])
    trigger_id: str
    job_id: str | None = None


class LeftOut(BaseModel):
    """A field that could not be used, and why."""

    field: str
    message: str


class EventAccepted(Taken):
    """The event is taken in. `warnings` are there where an address of the contact is none and was left out."""

    warnings: list[LeftOut] | None = None


class TestAccepted(Taken):
    """The test is taken in. `sandbox` says that nothing leaves the installation."""

    __test__ = False

    test: bool
    sandbox: bool
