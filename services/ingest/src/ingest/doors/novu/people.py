"""Subscribers and contacts: one person in two vocabularies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from ingest.doors.novu.bodies import SubscriberBody, SubscriberFields
from sluice_catalog.definitions.bulk import StoredContact
from sluice_catalog.definitions.contact import ContactChange, NewContact
from sluice_catalog.models import Contact
from sluice_contracts.messages.profile import ContactProfile
from sluice_contracts.novu import object_id
from sluice_runtime.http.novu import without_nulls
from sluice_runtime.http.problems import FieldError, invalid

AVATAR: Final = "avatar"
CHANNELS: Final = "novu_channels"
MUTED: Final = "novu_muted"
RESERVED: Final = frozenset({AVATAR, CHANNELS, MUTED})
"""Attributes of ours that are not part of a subscriber's `data`."""

_OURS: Final = {
    "first_name": "first_name",
    "last_name": "last_name",
    "email": "email",
    "phone": "phone_number",
    "locale": "locale",
    "timezone": "timezone",
}
_THEIRS: Final = {ours: theirs for theirs, ours in _OURS.items()} | {
    "attributes": "data",
    "external_id": "subscriberId",
}
_PERSON: Final = {
    "first_name": "firstName",
    "last_name": "lastName",
    "email": "email",
    "phone_number": "phone",
    "locale": "locale",
    "timezone": "timezone",
}


def new_contact(body: SubscriberBody) -> NewContact:
    """Return a subscriber as a contact to be made or changed; null leaves a field as it is.

    Raises Problem 422 naming the fields.
    """
    given = {**_fields(body, nulls=False), "external_id": body.subscriber_id}
    try:
        return NewContact.model_validate(given)
    except ValidationError as error:
        raise _invalid(error) from error


def contact_change(body: SubscriberFields) -> ContactChange:
    """Return what changes of a contact; null takes a field away. Raises Problem 422 naming the fields."""
    try:
        return ContactChange.model_validate(_fields(body, nulls=True))
    except ValidationError as error:
        raise _invalid(error) from error


def in_their_words(field: str) -> str:
    """Return what callers of this door call a contact's field."""
    root, dot, rest = field.partition(".")
    return _THEIRS.get(root, root) + dot + rest


def profile(body: SubscriberBody) -> ContactProfile:
    """Return what an event says of a person; null says nothing."""
    return ContactProfile(
        external_id=body.subscriber_id,
        **{ours: value for theirs, ours in _OURS.items() if (value := getattr(body, theirs)) is not None},
        attributes=_attributes(body),
    )


def shown(stored: StoredContact) -> dict[str, Any]:
    """Return a contact as Novu shows a subscriber."""
    contact = stored.contact
    workspace = object_id(contact.workspace_id)
    return {
        "_id": object_id(contact.id),
        "_organizationId": workspace,
        "_environmentId": workspace,
        "subscriberId": contact.external_id,
        **without_nulls({theirs: getattr(contact, ours) for ours, theirs in _PERSON.items()}),
        **without_nulls({"avatar": contact.attributes.get(AVATAR)}),
        "data": data_of(contact),
        "channels": contact.attributes.get(CHANNELS, []),
        "topics": [],
        "deleted": False,
        "createdAt": stored.created_at,
        "updatedAt": stored.updated_at,
        "__v": 0,
    }


def for_templates(contact: Contact) -> dict[str, Any]:
    """Return what a template may see of a contact who is not its reader: an actor."""
    return without_nulls(
        {
            "subscriberId": contact.external_id,
            **{theirs: getattr(contact, ours) for ours, theirs in _PERSON.items()},
            "avatar": contact.attributes.get(AVATAR),
            "data": data_of(contact),
        }
    )


def said_for_templates(body: SubscriberBody) -> dict[str, Any]:
    """Return what a template may see of an actor who is described in the request."""
    return without_nulls(body.model_dump(by_alias=True, exclude={"channels"}))


def data_of(contact: Contact) -> dict[str, Any]:
    """Return a subscriber's own data: the attributes that mean nothing to us."""
    return {name: value for name, value in contact.attributes.items() if name not in RESERVED}


def _fields(body: SubscriberFields, *, nulls: bool) -> dict[str, Any]:
    said = body.model_fields_set
    given = {
        ours: getattr(body, theirs)
        for theirs, ours in _OURS.items()
        if theirs in said and (nulls or getattr(body, theirs) is not None)
    }
    # An empty address is how some callers say that there is none.
    given |= {field: None for field in ("email", "phone_number", "locale", "timezone") if given.get(field) == ""}
    if not nulls:
        given = {name: value for name, value in given.items() if value is not None}
    attributes = _attributes(body)
    if nulls and AVATAR in said and body.avatar is None:
        attributes[AVATAR] = None
    return given | ({"attributes": attributes} if attributes else {})


def _attributes(body: SubscriberFields) -> dict[str, Any]:
    attributes = {name: value for name, value in (body.data or {}).items() if name not in RESERVED}
    if body.avatar is not None:
        attributes[AVATAR] = body.avatar
    if body.channels:
        attributes[CHANNELS] = [channel_settings(channel) for channel in body.channels]
    return attributes


def channel_settings(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return one channel's credentials as they are kept and shown."""
    provider = str(said.get("providerId", ""))
    return without_nulls(
        {
            "providerId": provider,
            "integrationIdentifier": said.get("integrationIdentifier"),
            "credentials": said.get("credentials") or {},
            "_integrationId": said.get("integrationIdentifier") or provider,
        }
    )


def _invalid(error: ValidationError) -> Exception:
    found: list[FieldError] = [
        {
            "field": in_their_words(".".join(map(str, item["loc"]))),
            "message": item["msg"].removeprefix("Value error, "),
        }
        for item in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    return invalid(found)
