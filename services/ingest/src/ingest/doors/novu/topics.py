"""Topics, as both versions of Novu's API have them: our lists, by the caller's own key."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final
from uuid import UUID

from aiohttp import web

from ingest.definitions.resource import renew
from ingest.doors.novu.answering import cursor_page, numbered_page, operation, span_of
from ingest.doors.novu.bodies import (
    LegacySubscribersBody,
    NumberedQuery,
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
from sluice_runtime.api import Call, Operation
from sluice_runtime.http import json_response
from sluice_runtime.novu import empty, enveloped, refused
from sluice_runtime.problems import Problem, invalid

_UNKNOWN: Final = "SUBSCRIBER_NOT_FOUND"
_MOST_MEMBERS: Final = 1000


class Topics:
    """The handlers."""

    def __init__(self, lists: Lists, contacts: Contacts, directory: Directory, snapshot: CatalogSnapshot) -> None:
        self._lists = lists
        self._contacts = contacts
        self._directory = directory
        self._snapshot = snapshot

    def operations(self) -> list[Operation]:
        """Return the operations for `add_operations`."""
        first, second = "/v1/topics", "/v2/topics"
        item, current = f"{first}/{{topicKey}}", f"{second}/{{topicKey}}"
        return [
            operation("POST", second, "upsert_topic", "Create a topic, or rename the one that is there", self._upsert,
                      statuses=(201, 200), body=TopicBody),
            operation("GET", second, "list_topics", "List topics", self._list, query=TopicQuery),
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
            operation("POST", first, "create_topic_v1", "Create a topic", self._create_legacy, statuses=(201,),
                      body=TopicBody),
            operation("GET", first, "list_topics_v1", "List topics by page", self._list_legacy, query=NumberedQuery),
            operation("GET", item, "get_topic_v1", "Get a topic with its subscribers", self._get_legacy),
            operation("PATCH", item, "rename_topic_v1", "Rename a topic", self._rename_legacy, body=TopicNameBody),
            operation("DELETE", item, "delete_topic_v1", "Delete a topic without subscribers", self._delete_legacy,
                      statuses=(204,)),
            operation("POST", f"{item}/subscribers", "subscribe_v1", "Put subscribers on a topic",
                      self._subscribe_legacy, body=LegacySubscribersBody),
            operation("POST", f"{item}/subscribers/removal", "unsubscribe_v1", "Take subscribers off a topic",
                      self._unsubscribe_legacy, statuses=(204,), body=LegacySubscribersBody),
            operation("GET", f"{item}/subscribers/{{subscriberId}}", "get_topic_subscriber",
                      "Say whether a subscriber is on a topic", self._member),
        ]  # fmt: skip

    async def _upsert(self, call: Call) -> web.Response:
        body: TopicBody = call.body
        stored, created = await self._put(call.principal.workspace_id, body.key, body.name)
        return enveloped(shown(_record(stored)), 201 if created else 200)

    async def _list(self, call: Call) -> web.Response:
        query: TopicQuery = call.query
        workspace_id = call.principal.workspace_id
        found = await self._directory.lists(workspace_id, query.key, query.name, span_of(query))
        total = await self._directory.count_lists(workspace_id, query.key, query.name)
        return cursor_page(found, query, total, shown, lambda record: record.id)

    async def _get(self, call: Call) -> web.Response:
        return enveloped(shown(_record(await self._found(call))))

    async def _rename(self, call: Call) -> web.Response:
        stored = await self._found(call)
        content = _content(stored.content.key or stored.content.name, call.body.name)
        changed = await self._lists.change(call.principal.workspace_id, str(stored.id), None, lambda _: content)
        return enveloped(shown(_record(changed)))

    async def _delete(self, call: Call) -> web.Response:
        await self._lists.delete(call.principal.workspace_id, str((await self._found(call)).id))
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
        stored = await self._found(call)
        wanted = None if query.subscriber_id is None else [query.subscriber_id]
        found = await self._directory.members(
            call.principal.workspace_id, stored.id, wanted, _after(query), query.limit + 1
        )
        total = await self._directory.count_members(stored.id)
        return _subscription_page(found, query, total, lambda member: member.contact_id)

    async def _unsubscribe(self, call: Call) -> web.Response:
        wanted = _wanted(call.body)
        workspace_id = call.principal.workspace_id
        stored = await self._found(call)
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

    async def _create_legacy(self, call: Call) -> web.Response:
        body: TopicBody = call.body
        workspace_id = call.principal.workspace_id
        stored = await self._lists.create(workspace_id, _content(body.key, body.name or body.key))
        await self._seen()
        return enveloped({"_id": object_id(stored.id), "key": body.key}, 201)

    async def _list_legacy(self, call: Call) -> web.Response:
        query: NumberedQuery = call.query
        workspace_id = call.principal.workspace_id
        found = await self._directory.lists_from(workspace_id, query.key, query.page * query.size, query.size + 1)
        total = await self._directory.count_lists(workspace_id, query.key, None)
        return numbered_page(found, query, lambda record: _legacy(workspace_id, record, []), total)

    async def _get_legacy(self, call: Call) -> web.Response:
        workspace_id = call.principal.workspace_id
        record = _record(await self._found(call))
        members = await self._directory.members(workspace_id, record.id, None, None, _MOST_MEMBERS)
        return enveloped(_legacy(workspace_id, record, [member.external_id for member in members]))

    async def _rename_legacy(self, call: Call) -> web.Response:
        await self._rename(call)
        return await self._get_legacy(call)

    async def _delete_legacy(self, call: Call) -> web.Response:
        stored = await self._found(call)
        if await self._directory.count_members(stored.id):
            message = f"Topic with key {stored.content.key} cannot be deleted because it has subscribers"
            raise refused(message, 409)
        await self._delete(call)
        return empty()

    async def _subscribe_legacy(self, call: Call) -> web.Response:
        wanted = list(dict.fromkeys(call.body.subscribers))
        stored = await self._found(call)
        change = await self._lists.add(call.principal.workspace_id, str(stored.id), wanted)
        answer: dict[str, Any] = {"succeeded": [one for one in wanted if one not in change.unknown]}
        if change.unknown:
            answer["failed"] = {"notFound": list(change.unknown)}
        return enveloped(answer)

    async def _unsubscribe_legacy(self, call: Call) -> web.Response:
        stored = await self._found(call)
        await self._lists.remove(call.principal.workspace_id, str(stored.id), call.body.subscribers)
        return empty()

    async def _member(self, call: Call) -> web.Response:
        workspace_id = call.principal.workspace_id
        external_id = call.request.match_info["subscriberId"]
        stored = await self._found(call)
        members = await self._directory.members(workspace_id, stored.id, [external_id], None, 1)
        if not members:
            message = f"Subscriber {external_id} not found for topic {stored.content.key}"
            raise refused(message, 404)
        workspace = object_id(workspace_id)
        return enveloped(
            {
                "_organizationId": workspace,
                "_environmentId": workspace,
                "_topicId": object_id(stored.id),
                "_subscriberId": object_id(members[0].contact_id),
                "topicKey": stored.content.key,
                "externalSubscriberId": external_id,
            }
        )

    async def _found(self, call: Call) -> Stored[ContactList]:
        key = call.request.match_info["topicKey"]
        try:
            return await self._lists.get(call.principal.workspace_id, key)
        except NotThere as problem:
            raise _unknown_topic(key) from problem

    async def _put(self, workspace_id: UUID, key: str, name: str | None) -> tuple[Stored[ContactList], bool]:
        if name is None:
            try:
                return await self._lists.get(workspace_id, key), False
            except NotThere:
                name = key
        stored, created = await self._lists.put(workspace_id, key, _content(key, name))
        await self._seen()
        return stored, created

    async def _seen(self) -> None:
        await renew(self._snapshot, self._lists.table)


def _content(key: str, name: str) -> ContactList:
    """A topic's key may look like anything, also like one of our ids."""
    return ContactList.model_construct(key=key, name=name)


def _record(stored: Stored[ContactList]) -> ListRecord:
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


def _legacy(workspace_id: UUID, record: ListRecord, subscribers: Sequence[str]) -> dict[str, Any]:
    workspace = object_id(workspace_id)
    return {
        "_id": object_id(record.id),
        "_organizationId": workspace,
        "_environmentId": workspace,
        "key": record.key,
        "name": record.name,
        "subscribers": list(subscribers),
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


def _unknown_topic(key: str) -> Problem:
    return refused(f"Topic with key {key} not found", 404)
