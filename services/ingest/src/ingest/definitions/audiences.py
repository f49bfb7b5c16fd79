"""Segments and lists: the audiences that have a name."""

from __future__ import annotations

from typing import Annotated, Any, Final
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, Field

from ingest.definitions.answers import BASE, PageQuery, Pagination, page_response, plainly
from ingest.definitions.resource import Resource, merge_plainly, show_plainly
from sluice_catalog.api_keys import DEFINITIONS_WRITE
from sluice_catalog.definitions.contact import ExternalId
from sluice_catalog.definitions.lists import ContactList, Lists, Member
from sluice_catalog.definitions.segments import Segment, Segments
from sluice_catalog.definitions.words import Definition
from sluice_catalog.snapshot import CatalogSnapshot
from sluice_runtime.http.bodies import json_response
from sluice_runtime.http.operations import Call, Operation, items_held

_TAG: Final = "Audiences"
_MOST_MEMBERS: Final = 1000


class MembersBody(Definition):
    """Contacts by the caller's own ids."""

    contacts: Annotated[list[ExternalId], Field(min_length=1, max_length=_MOST_MEMBERS)]


class MembersChanged(BaseModel):
    """How many contacts were put on or taken off, and which ids belong to no contact."""

    changed: int
    unknown: list[str]


class MemberAnswer(BaseModel):
    """One contact on a list."""

    id: UUID
    external_id: str


class MemberPage(BaseModel):
    """Some of a list's contacts."""

    data: list[MemberAnswer]
    pagination: Pagination


def segment_operations(shelf: Segments, snapshot: CatalogSnapshot) -> list[Operation]:
    """Return the operations on segments."""
    return Resource("/segments", shelf, Segment, _TAG, {}, show_plainly, merge_plainly, snapshot).operations()


def list_operations(shelf: Lists, snapshot: CatalogSnapshot) -> list[Operation]:
    """Return the operations on lists and their members."""
    doors = _Members(shelf)
    path = f"{BASE}/lists/{{reference}}/members"
    return [
        *Resource("/lists", shelf, ContactList, _TAG, {}, show_plainly, merge_plainly, snapshot).operations(),
        Operation(
            "GET", path, "list_members", "List the members of a list", _TAG, plainly(doors.show), DEFINITIONS_WRITE,
            query=PageQuery, answers={200: MemberPage},
        ),
        Operation(
            "POST", path, "add_members", "Put contacts on a list", _TAG, plainly(doors.add), DEFINITIONS_WRITE,
            body=MembersBody, answers={200: MembersChanged}, aliases=(f"{path}/bulk",),
            cost=items_held,
        ),
        Operation(
            "POST", f"{path}/remove", "remove_members", "Take contacts off a list", _TAG, plainly(doors.remove),
            DEFINITIONS_WRITE, body=MembersBody, answers={200: MembersChanged}, cost=items_held,
        ),
    ]  # fmt: skip


class _Members:
    """The doors to the members of lists."""

    def __init__(self, shelf: Lists) -> None:
        self._shelf = shelf

    async def show(self, call: Call) -> web.Response:
        limit = call.query.limit
        found = await self._shelf.members(
            call.principal.workspace_id, call.request.match_info["reference"], call.query.cursor, limit + 1
        )
        return page_response(found, limit, _show_member, lambda member: member.id)

    async def add(self, call: Call) -> web.Response:
        return await self._change(call, self._shelf.add)

    async def remove(self, call: Call) -> web.Response:
        return await self._change(call, self._shelf.remove)

    async def _change(self, call: Call, change: Any) -> web.Response:
        done = await change(call.principal.workspace_id, call.request.match_info["reference"], call.body.contacts)
        return json_response({"changed": done.changed, "unknown": done.unknown})


def _show_member(member: Member) -> dict[str, Any]:
    return {"id": member.id, "external_id": member.external_id}
