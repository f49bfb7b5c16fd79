"""The five operations that every kind of definition has, from one declaration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

import orjson
import structlog
from aiohttp import web
from pydantic import BaseModel, ConfigDict, RootModel, create_model

from ingest.definitions.answers import (
    BASE,
    PageQuery,
    Pagination,
    entity_tag,
    expected_revision,
    page_response,
    plainly,
    validated,
)
from sluice_catalog.api_keys import DEFINITIONS_WRITE
from sluice_catalog.definitions.shelf import Shelf, Stored
from sluice_catalog.definitions.words import Definition
from sluice_catalog.snapshot import CatalogSnapshot
from sluice_runtime.http.bodies import json_response
from sluice_runtime.http.operations import Call, Operation

ContentT = TypeVar("ContentT", bound=Definition)
_BODY_LIMIT: Final = 4 * 1024 * 1024
_log = structlog.get_logger()


class Record(BaseModel):
    """What every stored definition has beside what its author said."""

    id: UUID
    revision: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Resource(Generic[ContentT]):
    """One kind of definition as callers see it.

    `body` validates a whole definition; where that is one of several models, it is a RootModel of them. `facts` names
    those of our own facts that are shown. `merge` makes the whole of what there is and what changes.
    """

    path: str
    shelf: Shelf[ContentT]
    body: type[BaseModel]
    tag: str
    facts: Mapping[str, Any]
    show: Callable[[Stored[ContentT]], dict[str, Any]]
    merge: Callable[[ContentT, Mapping[str, Any]], dict[str, Any]]
    snapshot: CatalogSnapshot

    def operations(self) -> list[Operation]:
        """Return create, list, get, change and delete."""
        name = "".join(word.capitalize() for word in self.shelf.noun.split())
        one = _answer_model(name, self.body, self.facts)
        page = create_model(f"{name}Page", data=(list[one], ...), pagination=(Pagination, ...))  # type: ignore[valid-type]
        path, item = f"{BASE}{self.path}", f"{BASE}{self.path}/{{reference}}"
        noun, tag, scope = self.shelf.noun, self.tag, DEFINITIONS_WRITE
        named = noun.replace(" ", "_")
        change = _change_model(name, self.body)
        return [
            Operation(
                "POST", path, f"create_{named}", f"Create a {noun}", tag, plainly(self._create), scope,
                body=self.body, answers={201: one}, body_limit=_BODY_LIMIT,
            ),
            Operation(
                "GET", path, f"list_{named}s", f"List {noun}s", tag, plainly(self._list), scope,
                query=PageQuery, answers={200: page},
            ),
            Operation("GET", item, f"get_{named}", f"Get a {noun}", tag, plainly(self._get), scope, answers={200: one}),
            Operation(
                "PATCH", item, f"change_{named}", f"Change a {noun}", tag, plainly(self._change), scope,
                body=change, answers={200: one}, body_limit=_BODY_LIMIT,
            ),
            Operation(
                "DELETE", item, f"delete_{named}", f"Delete a {noun}", tag, plainly(self._delete), scope,
                answers={204: None},
            ),
        ]  # fmt: skip

    def answer(self, stored: Stored[ContentT], status: int = 200) -> web.Response:
        """Answer one definition with its entity tag."""
        return json_response(self.show(stored), status, entity_tag(stored.revision))

    async def seen(self) -> None:
        """Have this process see its own write at once; other processes are notified."""
        await renew(self.snapshot, self.shelf.table, *self.shelf.affects)

    async def _create(self, call: Call) -> web.Response:
        content = call.body.root if isinstance(call.body, RootModel) else call.body
        stored = await self.shelf.create(call.principal.workspace_id, content)
        await self.seen()
        return self.answer(stored, 201)

    async def _list(self, call: Call) -> web.Response:
        limit = call.query.limit
        found = await self.shelf.page(call.principal.workspace_id, call.query.cursor, limit + 1)
        return page_response(found, limit, self.show, lambda stored: stored.id)

    async def _get(self, call: Call) -> web.Response:
        reference = call.request.match_info["reference"]
        return self.answer(await self.shelf.get(call.principal.workspace_id, reference))

    async def _change(self, call: Call) -> web.Response:
        given = orjson.loads(call.raw or b"{}")

        def change(content: ContentT) -> ContentT:
            whole = validated(self.body, self.merge(content, given))
            changed: ContentT = whole.root if isinstance(whole, RootModel) else whole  # type: ignore[assignment]
            return changed

        reference, revision = call.request.match_info["reference"], expected_revision(call.request)
        stored = await self.shelf.change(call.principal.workspace_id, reference, revision, change)
        await self.seen()
        return self.answer(stored)

    async def _delete(self, call: Call) -> web.Response:
        reference, revision = call.request.match_info["reference"], expected_revision(call.request)
        await self.shelf.delete(call.principal.workspace_id, reference, revision)
        await self.seen()
        return web.Response(status=204)


async def renew(snapshot: CatalogSnapshot, *tables: str) -> None:
    """Load tables of the snapshot again; what was written is written, whether that works or not."""
    try:
        await snapshot.refresh(*tables)
    except Exception as error:  # noqa: BLE001 - the notification of the write brings it in a moment later
        _log.warning("catalog.refresh_failed", error=type(error).__name__, tables=tables)


def show_plainly(stored: Stored[Any]) -> dict[str, Any]:
    """Return a definition as its author said it, between our id and its revision."""
    content: dict[str, Any] = stored.content.model_dump(mode="json", by_alias=True)
    return {"id": stored.id} | content | record_of(stored)


def record_of(stored: Stored[Any]) -> dict[str, Any]:
    """Return what ends every answer."""
    return {"revision": stored.revision, "created_at": stored.created_at, "updated_at": stored.updated_at}


def merge_plainly(content: Definition, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the definition with the given fields in the place of its own."""
    return {**content.model_dump(mode="json", by_alias=True), **given}


def _members(body: type[BaseModel]) -> list[type[BaseModel]]:
    if not issubclass(body, RootModel):
        return [body]
    return list(body.model_fields["root"].annotation.__args__)  # type: ignore[union-attr]


def _change_model(name: str, body: type[BaseModel]) -> type[BaseModel]:
    """Return a model with every field of `body`, none required: it finds unknown fields, the merge is checked whole."""
    fields: dict[str, Any] = {}
    for member in _members(body):
        for field, info in member.model_fields.items():
            fields[field] = (Any, None) if len(_members(body)) > 1 else (info.annotation, None)
    return create_model(f"{name}Change", __config__=ConfigDict(extra="forbid"), **fields)


def _answer_model(name: str, body: type[BaseModel], facts: Mapping[str, Any]) -> type[BaseModel]:
    members = _members(body)
    fields: dict[str, Any] = {
        field: (info.annotation if len(members) == 1 else Any, ... if _in_all(field, members) else None)
        for member in members
        for field, info in member.model_fields.items()
    }
    fields |= {fact: (kind, ...) for fact, kind in facts.items()}
    return create_model(name, __base__=Record, **fields)


def _in_all(field: str, members: list[type[BaseModel]]) -> bool:
    return all(field in member.model_fields for member in members)
