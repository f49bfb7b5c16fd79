"""Topics, as the first version of Novu's API has them: by page, with their subscribers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from aiohttp import web

from ingest.definitions.resource import renew
from ingest.doors.novu.answering import numbered_page, operation
from ingest.doors.novu.bodies import LegacySubscribersBody, NumberedQuery, TopicBody, TopicNameBody
from ingest.doors.novu.topics import content_of, found_topic, record_of
from sluice_catalog.definitions.lists import Lists
from sluice_catalog.directory import Directory, ListRecord
from sluice_catalog.snapshot import CatalogSnapshot
from sluice_contracts.novu import object_id
from sluice_runtime.http.novu import empty, enveloped, refused
from sluice_runtime.http.operations import Call, Operation

_MOST_MEMBERS: Final = 1000


class LegacyTopics:
    """The handlers."""

    def __init__(self, lists: Lists, directory: Directory, snapshot: CatalogSnapshot) -> None:
        self._lists = lists
        self._directory = directory
        self._snapshot = snapshot

    def operations(self) -> list[Operation]:
        """Return the operations for `add_operations`."""
        path = "/v1/topics"
        item = f"{path}/{{topicKey}}"
        return [
            operation("POST", path, "create_topic_v1", "Create a topic", self._create, statuses=(201,),
                      body=TopicBody),
            operation("GET", path, "list_topics_v1", "List topics by page", self._list, query=NumberedQuery),
            operation("GET", item, "get_topic_v1", "Get a topic with its subscribers", self._get),
            operation("PATCH", item, "rename_topic_v1", "Rename a topic", self._rename, body=TopicNameBody),
            operation("DELETE", item, "delete_topic_v1", "Delete a topic without subscribers", self._delete,
                      statuses=(204,)),
            operation("POST", f"{item}/subscribers", "subscribe_v1", "Put subscribers on a topic",
                      self._subscribe, body=LegacySubscribersBody),
            operation("POST", f"{item}/subscribers/removal", "unsubscribe_v1", "Take subscribers off a topic",
                      self._unsubscribe, statuses=(204,), body=LegacySubscribersBody),
            operation("GET", f"{item}/subscribers/{{subscriberId}}", "get_topic_subscriber",
                      "Say whether a subscriber is on a topic", self._member),
        ]  # fmt: skip

    async def _create(self, call: Call) -> web.Response:
        body: TopicBody = call.body
        workspace_id = call.principal.workspace_id
        stored = await self._lists.create(workspace_id, content_of(body.key, body.name or body.key))
        await renew(self._snapshot, self._lists.table)
        return enveloped({"_id": object_id(stored.id), "key": body.key}, 201)

    async def _list(self, call: Call) -> web.Response:
        query: NumberedQuery = call.query
        workspace_id = call.principal.workspace_id
        found = await self._directory.lists_from(workspace_id, query.key, query.page * query.size, query.size + 1)
        total = await self._directory.count_lists(workspace_id, query.key, None)
        return numbered_page(found, query, lambda record: _shown(workspace_id, record, []), total)

    async def _get(self, call: Call) -> web.Response:
        workspace_id = call.principal.workspace_id
        record = record_of(await found_topic(self._lists, call))
        members = await self._directory.members(workspace_id, record.id, None, None, _MOST_MEMBERS)
        return enveloped(_shown(workspace_id, record, [member.external_id for member in members]))

    async def _rename(self, call: Call) -> web.Response:
        stored = await found_topic(self._lists, call)
        content = content_of(stored.content.key or stored.content.name, call.body.name)
        await self._lists.change(call.principal.workspace_id, str(stored.id), None, lambda _: content)
        return await self._get(call)

    async def _delete(self, call: Call) -> web.Response:
        stored = await found_topic(self._lists, call)
        if await self._directory.count_members(stored.id):
            message = f"Topic with key {stored.content.key} cannot be deleted because it has subscribers"
            raise refused(message, 409)
        await self._lists.delete(call.principal.workspace_id, str(stored.id))
        await renew(self._snapshot, self._lists.table)
        return empty()

    async def _subscribe(self, call: Call) -> web.Response:
        wanted = list(dict.fromkeys(call.body.subscribers))
        stored = await found_topic(self._lists, call)
        change = await self._lists.add(call.principal.workspace_id, str(stored.id), wanted)
        answer: dict[str, Any] = {"succeeded": [one for one in wanted if one not in change.unknown]}
        if change.unknown:
            answer["failed"] = {"notFound": list(change.unknown)}
        return enveloped(answer)

    async def _unsubscribe(self, call: Call) -> web.Response:
        stored = await found_topic(self._lists, call)
        await self._lists.remove(call.principal.workspace_id, str(stored.id), call.body.subscribers)
        return empty()

    async def _member(self, call: Call) -> web.Response:
        workspace_id = call.principal.workspace_id
        external_id = call.request.match_info["subscriberId"]
        stored = await found_topic(self._lists, call)
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


def _shown(workspace_id: UUID, record: ListRecord, subscribers: Sequence[str]) -> dict[str, Any]:
    workspace = object_id(workspace_id)
    return {
        "_id": object_id(record.id),
        "_organizationId": workspace,
        "_environmentId": workspace,
        "key": record.key,
        "name": record.name,
        "subscribers": list(subscribers),
    }
