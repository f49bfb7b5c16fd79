"""Topics, as Novu's current API has them: our lists, by the caller's own key."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final
from uuid import UUID

from aiohttp import web

from ingest.definitions.resource import renew
from ingest.doors.novu.answering import cursor_page, operation, span_of
from ingest.doors.novu.bodies import (
    SubscriptionQuery,
    SubscriptionsBody,
    TopicBody,
    TopicNameBody,
    TopicQuery,
)
from ingest.doors.novu.recipients import is_subscriber_id
from sluice_catalog.definitions.contacts import Contacts
from sluice_catalog.definitions.lists import ContactList, Lists
from sluice_catalog.definitions.problems import NotThere
from sluice_catalog.definitions.shelf import Stored
from sluice_catalog.directory import Directory, ListRecord, Membership
from sluice_catalog.snapshot import CatalogSnapshot
from sluice_contracts.novu import behind, named_object_id, object_id
from sluice_runtime.http.bodies import json_response
from sluice_runtime.http.novu import enveloped, refused
from sluice_runtime.http.operations import Call, Operation
from sluice_runtime.http.problems import invalid

_UNKNOWN: Final = "SUBSCRIBER_NOT_FOUND"


class Topics:
    """The handlers."""

    def __init__(self, lists: Lists, contacts: Contacts, directory: Directory, snapshot: CatalogSnapshot) -> None:
        self._lists = lists
        self._contacts = contacts
        self._directory = directory
        self._snapshot = snapshot

    def operations(self) -> list[Operation]:
        """Return the operations for `add_operations`."""
        path = "/v2/topics"
        current = f"{path}/{{topicKey}}"
        return [
            operation("POST", path, "upsert_topic", "Create a topic, or rename the one that is there", self._upsert,
                      statuses=(201, 200), body=TopicBody),
            operation("GET", path, "list_topics", "List topics", self._list, query=TopicQuery),
            operation("GET", current, "get_topic", "Get a topic", self._get),
            operation("PATCH", current, "rename_topic", "Rename a topic", self._rename, body=TopicNameBody),
            operation("DELETE", current, "delete_topic", "Delete a topic", self._delete),
            operation("POST", f"{current}/subscriptions", "subscribe", "Put subscribers on a topic", self._subscribe,
                      statuses=(201,), body=SubscriptionsBody),
            operation("GET", f"{current}/subscriptions", "list_subscriptions", "List a topic's subscriptions",
                      self._subscriptions, query=SubscriptionQuery),
            operation("DELETE", f"{current}/subscriptions", "unsubscribe", "Take subscribers off a topic",
                      self._unsubscribe, body=SubscriptionsBody),
            operation("GET", "/v2/subscribers/{subscriberId}/subscriptions", "list_subscriber_topics",
                      "List a subscriber's topics", self._of_subscriber, query=SubscriptionQuery),
        ]  # fmt: skip

    async def _upsert(self, call: Call) -> web.Response:
        body: TopicBody = call.body
        stored, created = await self._put(call.principal.workspace_id, body.key, body.name)
        return enveloped(shown(record_of(stored)), 201 if created else 200)

    async def _list(self, call: Call) -> web.Response:
        query: TopicQuery = call.query
        workspace_id = call.principal.workspace_id
        found = await self._directory.lists(workspace_id, query.key, query.name, span_of(query))
        total = await self._directory.count_lists(workspace_id, query.key, query.name)
        return cursor_page(found, query, total, shown, lambda record: record.id)

    async def _get(self, call: Call) -> web.Response:
        return enveloped(shown(record_of(await found_topic(self._lists, call))))

    async def _rename(self, call: Call) -> web.Response:
        stored = await found_topic(self._lists, call)
        content = content_of(stored.content.key or stored.content.name, call.body.name)
        changed = await self._lists.change(call.principal.workspace_id, str(stored.id), None, lambda _: content)
        return enveloped(shown(record_of(changed)))

    async def _delete(self, call: Call) -> web.Response:
        await self._lists.delete(call.principal.workspace_id, str((await found_topic(self._lists, call)).id))
        await self._seen()
        return enveloped({"acknowledged": True})

    async def _subscribe(self, call: Call) -> web.Response:
        """A topic that is not there is made, as Novu makes it."""
        wanted = _wanted(call.body)
        workspace_id, key = call.principal.workspace_id, call.request.match_info["topicKey"]
        try:
            stored = await self._lists.get(workspace_id, key)
        except NotThere:
            stored, _ = await self._put(workspace_id, key, None)
        change = await self._lists.add(workspace_id, str(stored.id), wanted)
        members = await self._directory.members(workspace_id, stored.id, wanted, None, len(wanted))
        return _changed(members, change.unknown, len(wanted), 201)

    async def _subscriptions(self, call: Call) -> web.Response:
        query: SubscriptionQuery = call.query
        stored = await found_topic(self._lists, call)
        wanted = None if query.subscriber_id is None else [query.subscriber_id]
        found = await self._directory.members(
            call.principal.workspace_id, stored.id, wanted, _after(query), query.limit + 1
        )
        total = await self._directory.count_members(stored.id)
        return _subscription_page(found, query, total, lambda member: member.contact_id)

    async def _unsubscribe(self, call: Call) -> web.Response:
        wanted = _wanted(call.body)
        workspace_id = call.principal.workspace_id
        stored = await found_topic(self._lists, call)
        members = await self._directory.members(workspace_id, stored.id, wanted, None, len(wanted))
        change = await self._lists.remove(workspace_id, str(stored.id), wanted)
        return _changed(members, change.unknown, len(wanted), 200)

    async def _of_subscriber(self, call: Call) -> web.Response:
        query: SubscriptionQuery = call.query
        external_id = call.request.match_info["subscriberId"]
        workspace_id = call.principal.workspace_id
        try:
            contact = (await self._contacts.get(workspace_id, external_id, external=True)).contact
        except NotThere as problem:
            raise refused(f"Subscriber: {external_id} was not found", 404) from problem
        found = await self._directory.memberships(workspace_id, contact.id, query.key, _after(query), query.limit + 1)
        return _subscription_page(found, query, len(found), lambda member: member.topic.id)

    async def _put(self, workspace_id: UUID, key: str, name: str | None) -> tuple[Stored[ContactList], bool]:
        if name is None:
            try:
                return await self._lists.get(workspace_id, key), False
            except NotThere:
                name = key
        stored, created = await self._lists.put(workspace_id, key, content_of(key, name))
        await self._seen()
        return stored, created

    async def _seen(self) -> None:
        await renew(self._snapshot, self._lists.table)


async def found_topic(lists: Lists, call: Call) -> Stored[ContactList]:
    """Return the topic that a path names. Raises Problem 404."""
    key = call.request.match_info["topicKey"]
    try:
        return await lists.get(call.principal.workspace_id, key)
    except NotThere as problem:
        raise refused(f"Topic with key {key} not found", 404) from problem


def content_of(key: str, name: str) -> ContactList:
    """Return a list for a topic, whose key may look like anything, also like one of our ids."""
    return ContactList.model_construct(key=key, name=name)


def record_of(stored: Stored[ContactList]) -> ListRecord:
    """Return a list without its members."""
    content = stored.content
    return ListRecord(stored.id, content.key or content.name, content.name, stored.created_at, stored.updated_at)


def shown(record: ListRecord) -> dict[str, Any]:
    """Return a list as Novu shows a topic."""
    return {
        "_id": object_id(record.id),
        "key": record.key,
        "name": record.name,
        "createdAt": record.created_at,
        "updatedAt": record.updated_at,
    }


def _wanted(body: SubscriptionsBody) -> list[str]:
    """Return the ids that a body names, each once. Raises Problem 422 where it names nobody, or not in our words."""
    found = [entry.get("subscriberId") if isinstance(entry, dict) else entry for entry in body.subscriptions or []]
    if not found or not all(is_subscriber_id(external_id) for external_id in found):
        raise invalid([{"field": "subscriptions", "message": "must name at least one subscriber"}])
    return list(dict.fromkeys(map(str, found)))


def _subscription(member: Membership) -> dict[str, Any]:
    topic = member.topic
    return {
        "_id": named_object_id(topic.id, f"subscription:{member.contact_id}"),
        "identifier": f"tk={topic.key}:si={member.external_id}",
        "topic": {"_id": object_id(topic.id), "key": topic.key, "name": topic.name},
        "subscriber": {
            "_id": object_id(member.contact_id),
            "subscriberId": member.external_id,
            "firstName": member.first_name,
            "lastName": member.last_name,
            "email": member.email,
            "avatar": member.avatar,
        },
        "createdAt": member.added_at,
        "updatedAt": member.added_at,
    }


def _changed(members: Iterable[Membership], unknown: Sequence[str], total: int, status: int) -> web.Response:
    shown_members = [_subscription(member) for member in members]
    body: dict[str, Any] = {
        "data": shown_members,
        "meta": {"totalCount": total, "successful": len(shown_members), "failed": total - len(shown_members)},
    }
    if unknown:
        body["errors"] = [
            {
                "subscriberId": external_id,
                "code": _UNKNOWN,
                "message": f"Subscriber with ID '{external_id}' could not be found.",
            }
            for external_id in unknown
        ]
    return json_response(body, status)


def _after(query: SubscriptionQuery) -> UUID | None:
    if query.after is None:
        return None
    found = behind(query.after)
    if found is None:
        raise invalid([{"field": "after", "message": "is not a cursor of this list"}])
    return found[1]


def _subscription_page(
    found: Sequence[Membership], query: SubscriptionQuery, total: int, key: Callable[[Membership], UUID]
) -> web.Response:
    ahead = query.model_copy(update={"before": None})
    return cursor_page(found, ahead, total, _subscription, key)
