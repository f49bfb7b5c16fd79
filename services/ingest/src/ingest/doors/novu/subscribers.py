"""Subscribers, as both versions of Novu's API have them: our contacts, by the caller's own id."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web
from pydantic import BaseModel, ValidationError

from ingest.doors.novu.answering import cursor_page, numbered_page, operation, span_of
from ingest.doors.novu.bodies import (
    CredentialsBody,
    NumberedQuery,
    OnlineBody,
    SubscriberBody,
    SubscriberFields,
    SubscriberQuery,
    SubscribersBody,
)
from ingest.doors.novu.people import CHANNELS, channel_settings, contact_change, new_contact, shown
from sluice_catalog.definitions.bulk import StoredContact
from sluice_catalog.definitions.contact import NewContact
from sluice_catalog.definitions.contacts import Contacts
from sluice_catalog.definitions.problems import InvalidDefinition, NotThere
from sluice_catalog.directory import Directory, PeopleFilter
from sluice_catalog.models import Contact
from sluice_runtime.http.novu import empty, enveloped, refused
from sluice_runtime.http.operations import Call, Operation, items_held
from sluice_runtime.http.problems import Problem

_BULK_LIMIT: Final = 16 * 1024 * 1024
DELETED: Final = {"acknowledged": True, "status": "deleted"}


class CreateQuery(BaseModel):
    """Whether a subscriber who is there already is an error."""

    failIfExists: bool = False  # noqa: N815 - it is the name on the wire


class Subscribers:
    """The handlers."""

    def __init__(self, contacts: Contacts, directory: Directory) -> None:
        self._contacts = contacts
        self._directory = directory

    def operations(self) -> list[Operation]:
        """Return the operations for `add_operations`."""
        first, second = "/v1/subscribers", "/v2/subscribers"
        return [
            operation("POST", second, "create_subscriber", "Create a subscriber, or change the one that is there",
                      self._create, statuses=(201,), body=SubscriberBody, query=CreateQuery),
            operation("GET", second, "list_subscribers", "List subscribers", self._list, query=SubscriberQuery),
            operation("GET", f"{second}/{{subscriberId}}", "get_subscriber", "Get a subscriber", self._get,
                      aliases=(f"{first}/{{subscriberId}}",)),
            operation("PATCH", f"{second}/{{subscriberId}}", "change_subscriber", "Change a subscriber", self._change,
                      body=SubscriberFields),
            operation("DELETE", f"{second}/{{subscriberId}}", "delete_subscriber", "Delete a subscriber", self._delete,
                      aliases=(f"{first}/{{subscriberId}}",)),
            operation("POST", first, "create_subscriber_v1", "Create a subscriber, or change the one that is there",
                      self._create, statuses=(201,), body=SubscriberBody, query=CreateQuery),
            operation("GET", first, "list_subscribers_v1", "List subscribers by page", self._list_numbered,
                      query=NumberedQuery),
            operation("PUT", f"{first}/{{subscriberId}}", "update_subscriber_v1", "Change a subscriber", self._update,
                      body=SubscriberFields),
            operation("POST", f"{first}/bulk", "create_subscribers", "Create or change up to 500 subscribers",
                      self._bulk, statuses=(201,), body=SubscribersBody, body_limit=_BULK_LIMIT, cost=items_held),
            operation("PUT", f"{first}/{{subscriberId}}/credentials", "set_credentials",
                      "Set how a subscriber is reached on a provider", self._set_credentials, body=CredentialsBody),
            operation("PATCH", f"{first}/{{subscriberId}}/credentials", "add_credentials",
                      "Add to how a subscriber is reached on a provider", self._add_credentials, body=CredentialsBody),
            operation("DELETE", f"{first}/{{subscriberId}}/credentials/{{providerId}}", "delete_credentials",
                      "Forget how a subscriber is reached on a provider", self._delete_credentials, statuses=(204,)),
            operation("PATCH", f"{first}/{{subscriberId}}/online-status", "set_online", "Note who is online",
                      self._online, body=OnlineBody),
        ]  # fmt: skip

    async def _create(self, call: Call) -> web.Response:
        contact = new_contact(call.body)
        workspace_id = call.principal.workspace_id
        if call.query.failIfExists and await self._is_there(call, contact.external_id):
            raise refused(f"Subscriber with id: {contact.external_id} already exists", 409)
        return enveloped(shown(await self._upserted(workspace_id, contact)), 201)

    async def _list(self, call: Call) -> web.Response:
        query: SubscriberQuery = call.query
        wanted = PeopleFilter(query.subscriber_id, query.email, query.phone, query.name)
        workspace_id = call.principal.workspace_id
        found = await self._directory.people(workspace_id, wanted, span_of(query))
        total = await self._directory.count_people(workspace_id, wanted)
        return cursor_page(found, query, total, shown, lambda stored: stored.contact.id)

    async def _list_numbered(self, call: Call) -> web.Response:
        query: NumberedQuery = call.query
        workspace_id = call.principal.workspace_id
        found = await self._directory.people_from(workspace_id, query.page * query.size, query.size + 1)
        total = await self._directory.count_people(workspace_id, PeopleFilter())
        return numbered_page(found, query, shown, total)

    async def _get(self, call: Call) -> web.Response:
        return enveloped(shown(await self._found(call)))

    async def _change(self, call: Call) -> web.Response:
        return enveloped(shown(await self._changed(call, call.body)))

    async def _update(self, call: Call) -> web.Response:
        """The first version takes null for "leave it"."""
        said = call.body.model_dump(exclude_none=True)
        return enveloped(shown(await self._changed(call, SubscriberFields.model_validate(said))))

    async def _delete(self, call: Call) -> web.Response:
        external_id = call.request.match_info["subscriberId"]
        try:
            await self._contacts.delete(call.principal.workspace_id, external_id, external=True)
        except NotThere as problem:
            raise _unknown(external_id) from problem
        return enveloped(DELETED)

    async def _bulk(self, call: Call) -> web.Response:
        good: list[NewContact] = []
        answer: dict[str, list[dict[str, Any]]] = {"updated": [], "created": [], "failed": []}
        for item in call.body.subscribers:
            contact = _readable(item)
            if isinstance(contact, NewContact):
                good.append(contact)
            else:
                answer["failed"].append(contact)
        for contact, result in zip(good, await self._contacts.upsert(call.principal.workspace_id, good), strict=True):
            if isinstance(result, InvalidDefinition):
                answer["failed"].append({"subscriberId": contact.external_id, "message": str(result)})
            else:
                answer["created" if result.created else "updated"].append({"subscriberId": contact.external_id})
        return enveloped(answer, 201)

    async def _set_credentials(self, call: Call) -> web.Response:
        return await self._with_credentials(call, adds=False)

    async def _add_credentials(self, call: Call) -> web.Response:
        return await self._with_credentials(call, adds=True)

    async def _with_credentials(self, call: Call, *, adds: bool) -> web.Response:
        said = channel_settings(call.body.model_dump(by_alias=True))

        def rework(contact: Contact) -> Contact:
            kept = list(contact.attributes.get(CHANNELS, []))
            same = next((one for one in kept if _names(one) == _names(said)), None)
            settings = said
            if same is not None:
                kept.remove(same)
                if adds:
                    settings = said | {"credentials": _joined(same["credentials"], said["credentials"])}
            return contact._replace(attributes=contact.attributes | {CHANNELS: [*kept, settings]})

        return enveloped(shown(await self._reworked(call, rework)))

    async def _delete_credentials(self, call: Call) -> web.Response:
        provider = call.request.match_info["providerId"]

        def rework(contact: Contact) -> Contact:
            kept = [one for one in contact.attributes.get(CHANNELS, []) if one["providerId"] != provider]
            return contact._replace(attributes=contact.attributes | {CHANNELS: kept})

        await self._reworked(call, rework)
        return empty()

    async def _online(self, call: Call) -> web.Response:
        return enveloped({**shown(await self._found(call)), "isOnline": call.body.is_online})

    async def _is_there(self, call: Call, external_id: str) -> bool:
        try:
            await self._contacts.get(call.principal.workspace_id, external_id, external=True)
        except NotThere:
            return False
        return True

    async def _upserted(self, workspace_id: Any, contact: NewContact) -> StoredContact:
        result = (await self._contacts.upsert(workspace_id, [contact]))[0]
        if isinstance(result, InvalidDefinition):
            raise result
        return result.stored

    async def _found(self, call: Call) -> StoredContact:
        external_id = call.request.match_info["subscriberId"]
        try:
            return await self._contacts.get(call.principal.workspace_id, external_id, external=True)
        except NotThere as problem:
            raise _unknown(external_id) from problem

    async def _changed(self, call: Call, body: SubscriberFields) -> StoredContact:
        external_id = call.request.match_info["subscriberId"]
        try:
            return await self._contacts.change(
                call.principal.workspace_id, external_id, None, contact_change(body), external=True
            )
        except NotThere as problem:
            raise _unknown(external_id) from problem

    async def _reworked(self, call: Call, rework: Any) -> StoredContact:
        external_id = call.request.match_info["subscriberId"]
        try:
            return await self._contacts.rework(call.principal.workspace_id, external_id, None, rework, external=True)
        except NotThere as problem:
            raise _unknown(external_id) from problem


def _unknown(external_id: str) -> Problem:
    return refused(f"Subscriber: {external_id} was not found", 404)


def _readable(item: Any) -> NewContact | dict[str, Any]:
    given = item.get("subscriberId") if isinstance(item, dict) else None
    named = {"subscriberId": given} if isinstance(given, str) else {}
    try:
        return new_contact(SubscriberBody.model_validate(item))
    except ValidationError as error:
        places = ", ".join(".".join(map(str, entry["loc"])) for entry in error.errors(include_input=False))
        return {**named, "message": f"wrong or missing: {places}"}
    except Problem as problem:
        return {**named, "message": "; ".join(f"{error['field']}: {error['message']}" for error in problem.errors)}


def _names(settings: dict[str, Any]) -> tuple[Any, Any]:
    return settings["providerId"], settings.get("integrationIdentifier")


def _joined(before: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    tokens = [*before.get("deviceTokens", []), *said.get("deviceTokens", [])]
    return {**before, **said, **({"deviceTokens": list(dict.fromkeys(tokens))} if tokens else {})}
