"""Templates, their approval and their preview; and template groups."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

from aiohttp import web
from pydantic import BaseModel, Field, RootModel

from ingest.definitions.answers import BASE, entity_tag, expected_revision, kind_of, plainly
from ingest.definitions.preview import Preview, PreviewBody, preview
from ingest.definitions.resource import Resource, merge_plainly, record_of, show_plainly
from sluice_catalog.api_keys import DEFINITIONS_WRITE
from sluice_catalog.definitions.shelf import Stored
from sluice_catalog.definitions.template_groups import TemplateGroup, TemplateGroups
from sluice_catalog.definitions.templates import AnyTemplate, Template, Templates, as_version
from sluice_catalog.models import ApprovalStatus
from sluice_catalog.repository import Catalog
from sluice_catalog.snapshot import CatalogSnapshot
from sluice_contracts.vocabulary import Channel
from sluice_runtime.http.bodies import json_response
from sluice_runtime.http.operations import Call, Operation

_TAG: Final = "Templates"
_MOVES: Final[dict[str, tuple[frozenset[ApprovalStatus], ApprovalStatus, str]]] = {
    "submit": (frozenset({"draft", "rejected"}), "submitted", "Submit a template's variants for approval"),
    "approve": (frozenset({"submitted", "paused"}), "approved", "Note that submitted variants are approved"),
    "reject": (frozenset({"submitted"}), "rejected", "Note that submitted variants are rejected"),
}


class TemplateBody(RootModel[Annotated[AnyTemplate, Field(discriminator="channel")]]):
    """A template of any channel."""

    _known = kind_of("channel", tuple(Channel))


def template_operations(shelf: Templates, catalog: Catalog, snapshot: CatalogSnapshot) -> list[Operation]:
    """Return the operations on templates."""
    facts = {"version": int, "variables": list[str]}
    resource: Resource[Template] = Resource(
        "/templates", shelf, TemplateBody, _TAG, facts, _show, merge_plainly, snapshot
    )
    operations = resource.operations()
    one = next(operation.answers[201] for operation in operations if operation.method == "POST")
    path = f"{BASE}/templates/{{reference}}"
    for verb, (among, to, summary) in _MOVES.items():
        operations.append(
            Operation(
                "POST", f"{path}/{verb}", f"{verb}_template", summary, _TAG,
                plainly(_mover(resource, shelf, among, to)),
                DEFINITIONS_WRITE, answers={200: one},
            )
        )  # fmt: skip
    operations.append(
        Operation(
            "POST", f"{path}/preview", "preview_template", "Render a template without sending it", _TAG,
            plainly(_previewer(shelf, catalog)), DEFINITIONS_WRITE, body=PreviewBody, answers={200: Preview},
        )
    )  # fmt: skip
    return operations


def template_group_operations(shelf: TemplateGroups, snapshot: CatalogSnapshot) -> list[Operation]:
    """Return the operations on template groups."""
    return Resource(
        "/template-groups", shelf, TemplateGroup, _TAG, {}, show_plainly, merge_plainly, snapshot
    ).operations()


def _show(stored: Stored[Template]) -> dict[str, Any]:
    facts = {"version": stored.revision, "variables": stored.facts["variables"]}
    return {"id": stored.id} | stored.content.model_dump(mode="json") | facts | record_of(stored)


def _mover(
    resource: Resource[Template], shelf: Templates, among: frozenset[ApprovalStatus], to: ApprovalStatus
) -> Callable[[Call], Awaitable[web.Response]]:
    async def move(call: Call) -> web.Response:
        stored = await shelf.decide(
            call.principal.workspace_id,
            call.request.match_info["reference"],
            expected_revision(call.request),
            among=among,
            to=to,
        )
        await resource.seen()
        return resource.answer(stored)

    return move


def _previewer(shelf: Templates, catalog: Catalog) -> Callable[[Call], Awaitable[web.Response]]:
    async def show(call: Call) -> web.Response:
        workspace_id, wanted = call.principal.workspace_id, call.body
        stored = await shelf.get(workspace_id, call.request.match_info["reference"])
        contact = None
        if wanted.contact_external_id is not None:
            found = await catalog.contacts_by_external_id(workspace_id, [wanted.contact_external_id])
            contact = found[0] if found else None
        rendered: BaseModel = preview(as_version(stored), wanted, contact)
        return json_response(rendered, headers=entity_tag(stored.revision))

    return show
