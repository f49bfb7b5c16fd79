"""What the reads of this door have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from aiohttp import web
from pydantic import BaseModel

from sluice_catalog.repository import Catalog
from sluice_contracts.novu import CHANNELS, place_behind
from sluice_contracts.vocabulary import Channel
from sluice_runtime.http.bodies import json_response
from sluice_runtime.http.novu import NOVU, NovuAnswer
from sluice_runtime.http.operations import Call, Operation
from status_api.doors.novu.presentation import Reader
from status_api.doors.novu.runs import Run
from status_api.doors.novu.store import NovuStore
from status_api.doors.novu.walking import Walk
from status_api.handlers.answers import sees_addresses

TAG: Final = "Novu"
MOST_DEEP: Final = 10_000
"""No list is paged further than this many entries."""


def operation(
    method: str, path: str, name: str, summary: str, handler: Any, scope: str, *, status: int = 200, **more: Any
) -> Operation:
    """Return an operation of this door."""
    answers: dict[int, type[BaseModel] | None] = {status: None if status == 204 else NovuAnswer}
    return Operation(
        method, path, f"novu_{name}", summary, TAG, handler, scope, answers=answers, door=NOVU, **more
    )  # fmt: skip


def numbered(data: Sequence[dict[str, Any]], page: int, limit: int, *, has_more: bool) -> web.Response:
    """Answer one page of a list."""
    return json_response({"page": page, "pageSize": limit, "hasMore": has_more, "data": list(data)})


def channels_of(kinds: Iterable[str] | None) -> frozenset[Channel] | None:
    """Return the channels that Novu's words name, None for all; what we have no channel for is left out."""
    return None if kinds is None else frozenset(CHANNELS[kind] for kind in kinds if kind in CHANNELS)


async def reader_of(call: Call, catalog: Catalog, external_ids: Sequence[str]) -> Reader:
    """Return who reads, with what the catalog knows of the people on the page."""
    found = await catalog.contacts_by_external_id(call.principal.workspace_id, external_ids)
    return Reader({contact.external_id: contact for contact in found}, unmasked=sees_addresses(call))


async def found_at(call: Call, walk: Walk, store: NovuStore, text: str) -> tuple[Run, Any, int] | None:
    """Return the run, the execution and the position that an id leads to, None where it leads nowhere."""
    place = place_behind(text)
    if place is None:
        return None
    workspace_id = call.principal.workspace_id
    found = await store.execution_at(workspace_id, place)
    if found is None:
        return None
    run = await walk.of_trigger(workspace_id, found[1])
    if run is None:
        return None
    execution = next((one for one in run.executions if one.execution_id == found[0]), None)
    return None if execution is None else (run, execution, place.seq)
