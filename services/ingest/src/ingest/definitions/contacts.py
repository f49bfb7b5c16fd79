"""Contacts, by our id or by the caller's own (`external/…`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, Field, ValidationError

from ingest.definitions.answers import (
    BASE,
    PageQuery,
    Pagination,
    entity_tag,
    expected_revision,
    page_response,
    plainly,
)
from ingest.definitions.resource import Record
from sluice_catalog.addresses import normalise_email, normalise_phone
from sluice_catalog.api_keys import DEFINITIONS_WRITE
from sluice_catalog.definitions.bulk import StoredContact
from sluice_catalog.definitions.contact import EVERYTHING, MOST_TAGS, ContactChange, NewContact, OptOuts, Tags
from sluice_catalog.definitions.contacts import Contacts
from sluice_catalog.definitions.problems import Fault, InvalidDefinition
from sluice_catalog.definitions.words import Definition
from sluice_catalog.models import Contact
from sluice_contracts.vocabulary import Category, Channel
from sluice_runtime.http.bodies import json_response
from sluice_runtime.http.operations import Call, Operation, items_held
from sluice_runtime.http.validation import field_errors

MOST_IN_BULK: Final = 1000
_TAG: Final = "Contacts"
_BULK_LIMIT: Final = 16 * 1024 * 1024


class ContactQuery(PageQuery):
    """Which contacts are wanted; at most one of the three."""

    tag: str | None = None
    email: str | None = None
    phone_number: str | None = None


class BulkBody(Definition):
    """Contacts as for one; each is checked by itself."""

    contacts: Annotated[list[Any], Field(min_length=1, max_length=MOST_IN_BULK)]


class TagsBody(Definition):
    """Tags to put on, and tags to take off."""

    add: Tags = Field(default_factory=list)
    remove: Tags = Field(default_factory=list)


class PreferencesBody(Definition):
    """What a contact does not want, by channel: categories, or "*" for anything. Replaces what was there."""

    opt_outs: OptOuts


class PreferenceChange(Definition):
    """One choice of a contact."""

    channel: Channel
    category: Category | Literal["*"] = EVERYTHING
    subscribed: bool


class ContactAnswer(Record):
    """A contact."""

    external_id: str
    status: Literal["active", "inactive"]
    email: str | None
    phone_number: str | None
    country: str | None
    locale: str | None
    timezone: str | None
    name: str | None
    first_name: str | None
    last_name: str | None
    tags: list[str]
    attributes: dict[str, Any]
    opt_outs: OptOuts


class ContactPage(BaseModel):
    """Some contacts."""

    data: list[ContactAnswer]
    pagination: Pagination


class BulkResult(BaseModel):
    """What became of one contact of a bulk."""

    index: int
    status: Literal["created", "updated", "failed"]
    id: UUID | None
    errors: list[dict[str, str]]


class BulkAnswer(BaseModel):
    """One result a contact, in order."""

    results: list[BulkResult]


class ErasedAnswer(BaseModel):
    """A contact that is gone for good."""

    id: UUID
    erased: Literal[True]


def contact_operations(contacts: Contacts) -> list[Operation]:
    """Return the operations on contacts."""
    doors = _Doors(contacts)
    path = f"{BASE}/contacts"
    external, item = f"{path}/external/{{external_id}}", f"{path}/{{reference}}"
    one: dict[int, type[BaseModel] | None] = {200: ContactAnswer}

    def below(method: str, below: str, name: str, summary: str, handler: Any, **more: Any) -> Operation:
        return Operation(
            method, f"{external}{below}", name, summary, _TAG, plainly(handler), DEFINITIONS_WRITE,
            aliases=(f"{item}{below}",), **more,
        )  # fmt: skip

    return [
        Operation(
            "POST", path, "upsert_contact", "Create a contact, or change the one that is there", _TAG,
            plainly(doors.upsert), DEFINITIONS_WRITE, body=NewContact, answers={201: ContactAnswer, 200: ContactAnswer},
        ),
        Operation(
            "POST", f"{path}/bulk", "upsert_contacts", "Create or change up to 1000", _TAG, plainly(doors.bulk),
            DEFINITIONS_WRITE, body=BulkBody, answers={200: BulkAnswer}, body_limit=_BULK_LIMIT, cost=items_held,
        ),
        Operation(
            "GET", path, "list_contacts", "List contacts", _TAG, plainly(doors.list), DEFINITIONS_WRITE,
            query=ContactQuery, answers={200: ContactPage},
        ),
        below("GET", "", "get_contact", "Get a contact", doors.get, answers=one),
        below("PATCH", "", "change_contact", "Change a contact", doors.change, body=ContactChange, answers=one),
        below("DELETE", "", "delete_contact", "Delete a contact", doors.delete, answers={204: None}),
        below("POST", "/tags", "change_tags", "Put tags on a contact and take tags off", doors.change_tags,
              body=TagsBody, answers=one),
        below("GET", "/preferences", "get_preferences", "Get what a contact does not want", doors.preferences,
              answers={200: PreferencesBody}),
        below("PUT", "/preferences", "replace_preferences", "Replace what a contact does not want",
              doors.replace_preferences, body=PreferencesBody, answers={200: PreferencesBody}),
        below("PATCH", "/preferences", "change_preference", "Note one choice of a contact", doors.change_preference,
              body=PreferenceChange, answers={200: PreferencesBody}),
        below("POST", "/erase", "erase_contact", "Delete a contact and everything personal about it", doors.erase,
              answers={200: ErasedAnswer}),
    ]  # fmt: skip


class _Doors:
    """The handlers."""

    def __init__(self, contacts: Contacts) -> None:
        self._contacts = contacts

    async def upsert(self, call: Call) -> web.Response:
        result = (await self._contacts.upsert(call.principal.workspace_id, [call.body]))[0]
        if isinstance(result, InvalidDefinition):
            raise result
        return _answer(result.stored, 201 if result.created else 200)

    async def bulk(self, call: Call) -> web.Response:
        results: list[BulkResult] = []
        given: list[NewContact] = []
        places: list[int] = []
        for index, item in enumerate(call.body.contacts):
            contact = _readable(item)
            results.append(BulkResult(index=index, status="failed", id=None, errors=[]))
            if isinstance(contact, NewContact):
                given.append(contact)
                places.append(index)
            else:
                results[index].errors = contact
        written = await self._contacts.upsert(call.principal.workspace_id, given)
        for index, result in zip(places, written, strict=True):
            if isinstance(result, InvalidDefinition):
                results[index].errors = [{"field": fault.field, "message": fault.message} for fault in result.faults]
            else:
                results[index].status = "created" if result.created else "updated"
                results[index].id = result.stored.contact.id
        return json_response(BulkAnswer(results=results))

    async def list(self, call: Call) -> web.Response:
        query = call.query
        found = await self._contacts.page(
            call.principal.workspace_id, query.cursor, query.limit + 1, having=_having(query)
        )
        return page_response(found, query.limit, _show, lambda stored: stored.contact.id)

    async def get(self, call: Call) -> web.Response:
        reference, external = _reference(call)
        return _answer(await self._contacts.get(call.principal.workspace_id, reference, external=external))

    async def change(self, call: Call) -> web.Response:
        reference, external = _reference(call)
        revision = expected_revision(call.request)
        return _answer(
            await self._contacts.change(call.principal.workspace_id, reference, revision, call.body, external=external)
        )

    async def delete(self, call: Call) -> web.Response:
        await self._delete(call, erase=False)
        return web.Response(status=204)

    async def erase(self, call: Call) -> web.Response:
        return json_response({"id": await self._delete(call, erase=True), "erased": True})

    async def change_tags(self, call: Call) -> web.Response:
        added, removed = call.body.add, frozenset(call.body.remove)

        def retag(contact: Contact) -> Contact:
            tags = tuple(dict.fromkeys([*(tag for tag in contact.tags if tag not in removed), *added]))
            if len(tags) > MOST_TAGS:
                raise InvalidDefinition([Fault("add", f"would make more than {MOST_TAGS} tags")])
            return contact._replace(tags=tags)

        return _answer(await self._rework(call, retag))

    async def preferences(self, call: Call) -> web.Response:
        reference, external = _reference(call)
        return _preferences(await self._contacts.get(call.principal.workspace_id, reference, external=external))

    async def replace_preferences(self, call: Call) -> web.Response:
        wanted = {
            str(channel): sorted({str(category) for category in categories})
            for channel, categories in call.body.opt_outs.items()
            if categories
        }
        return _preferences(await self._rework(call, lambda contact: contact._replace(opt_outs=wanted)))

    async def change_preference(self, call: Call) -> web.Response:
        channel, category = str(call.body.channel), str(call.body.category)

        def choose(contact: Contact) -> Contact:
            unwanted = set(contact.opt_outs.get(channel, ()))
            if not call.body.subscribed:
                unwanted.add(category)
            elif category == EVERYTHING:
                unwanted.clear()
            else:
                unwanted.discard(category)
            opt_outs = {name: list(unwanted) for name, unwanted in contact.opt_outs.items() if name != channel}
            return contact._replace(opt_outs=opt_outs | ({channel: sorted(unwanted)} if unwanted else {}))

        return _preferences(await self._rework(call, choose))

    async def _rework(self, call: Call, rework: Callable[[Contact], Contact]) -> StoredContact:
        reference, external = _reference(call)
        revision = expected_revision(call.request)
        return await self._contacts.rework(call.principal.workspace_id, reference, revision, rework, external=external)

    async def _delete(self, call: Call, *, erase: bool) -> UUID:
        reference, external = _reference(call)
        revision = expected_revision(call.request)
        return await self._contacts.delete(
            call.principal.workspace_id, reference, revision, external=external, erase=erase
        )


def _reference(call: Call) -> tuple[str, bool]:
    """Return what names the contact in the path, and whether it can only be the caller's own id."""
    match = call.request.match_info
    return (match["external_id"], True) if "external_id" in match else (match["reference"], False)


def _readable(item: Any) -> NewContact | list[dict[str, str]]:
    try:
        return NewContact.model_validate(item)
    except ValidationError as error:
        found = field_errors(error, item if isinstance(item, dict) else {})
        return [{"field": entry["field"], "message": entry["message"]} for entry in found]


def _having(query: ContactQuery) -> tuple[Literal["tag", "email", "phone_number"], str] | None:
    if query.tag is not None:
        return "tag", query.tag
    if query.email is not None:
        return "email", normalise_email(query.email) or query.email
    if query.phone_number is not None:
        phone = normalise_phone(query.phone_number)
        return "phone_number", phone.e164 if phone else query.phone_number
    return None


def _show(stored: StoredContact) -> dict[str, Any]:
    return (
        {"id": stored.contact.id}
        | stored.contact.values()
        | {"revision": stored.revision, "created_at": stored.created_at, "updated_at": stored.updated_at}
    )


def _answer(stored: StoredContact, status: int = 200) -> web.Response:
    return json_response(_show(stored), status, entity_tag(stored.revision))


def _preferences(stored: StoredContact) -> web.Response:
    return json_response({"opt_outs": stored.contact.opt_outs}, headers=entity_tag(stored.revision))
