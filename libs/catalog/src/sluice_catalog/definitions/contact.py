"""What may be said of a contact, and how it is brought into the form in which it is kept."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal
from uuid import UUID

import orjson
from pydantic import Field, StringConstraints, field_validator

from sluice_catalog.addresses import normalise_email, normalise_phone
from sluice_catalog.definitions.problems import Fault, InvalidDefinition
from sluice_catalog.definitions.words import Definition, Locale, Timezone
from sluice_catalog.models import Contact
from sluice_contracts.vocabulary import Category, Channel

MOST_ATTRIBUTE_BYTES: Final = 32 * 1024
MOST_TAGS: Final = 200
EVERYTHING: Final = "*"

ExternalId = Annotated[str, StringConstraints(min_length=1, max_length=255)]
PersonName = Annotated[str, StringConstraints(max_length=200)]
Tag = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
Tags = Annotated[list[Tag], Field(max_length=MOST_TAGS)]
OptOuts = dict[Channel, list[Category | Literal["*"]]]


class ContactFields(Definition):
    """What a contact may have; what is left out stays as it is, null takes it away."""

    email: Annotated[str, Field(max_length=320)] | None = None
    phone_number: (
        Annotated[str, Field(max_length=40, description="E.164, or as written in the default country.")] | None
    ) = None
    name: PersonName | None = None
    first_name: PersonName | None = None
    last_name: PersonName | None = None
    locale: Locale | None = None
    timezone: Timezone | None = None
    status: Literal["active", "inactive"] = "active"
    tags: Tags = Field(default_factory=list)
    attributes: dict[str, Any] = Field(
        default_factory=dict, description="Merged with those there are; an attribute that is null is taken away."
    )

    @field_validator("tags")
    @classmethod
    def _each_once(cls, tags: list[str]) -> list[str]:
        return list(dict.fromkeys(tags))


class NewContact(ContactFields):
    """A contact by the caller's own id. One that is there already is changed."""

    external_id: ExternalId


class ContactChange(ContactFields):
    """What changes of a contact."""

    external_id: ExternalId | None = None


def unborn(contact_id: UUID, workspace_id: UUID, external_id: str) -> Contact:
    """Return a contact of whom nothing is known yet."""
    return Contact(
        id=contact_id,
        workspace_id=workspace_id,
        external_id=external_id,
        status="active",
        email=None,
        phone_number=None,
        country=None,
        locale=None,
        timezone=None,
        name=None,
        first_name=None,
        last_name=None,
        tags=(),
        attributes={},
        opt_outs={},
    )


def normalised(fields: ContactFields, default_country: str | None) -> dict[str, Any]:
    """Return the given fields as they are kept, by name.

    Raises InvalidDefinition for an address that is none, and for attributes that are too much.
    """
    given = {name: getattr(fields, name) for name in fields.model_fields_set}
    faults = []
    if given.get("email") is not None:
        given["email"] = normalise_email(given["email"])
        if given["email"] is None:
            faults.append(Fault("email", "is not a valid email address"))
    if "phone_number" in given:
        text = given["phone_number"]
        phone = normalise_phone(text, default_country) if text is not None else None
        if phone is None and text is not None:
            faults.append(Fault("phone_number", "is not a valid phone number"))
        given |= {"phone_number": phone and phone.e164, "country": phone and phone.country}
    if faults:
        raise InvalidDefinition(faults)
    return given


def merged(contact: Contact, given: dict[str, Any]) -> Contact:
    """Return a contact with normalised fields taken over.

    Raises InvalidDefinition when its attributes become too much.
    """
    values = contact._asdict() | given
    attributes = contact.attributes | given.get("attributes", {})
    values["attributes"] = {name: value for name, value in attributes.items() if value is not None}
    values["tags"] = tuple(values["tags"])
    if len(orjson.dumps(values["attributes"])) > MOST_ATTRIBUTE_BYTES:
        raise InvalidDefinition([Fault("attributes", f"are more than {MOST_ATTRIBUTE_BYTES // 1024} kB")])
    return Contact(**values)
