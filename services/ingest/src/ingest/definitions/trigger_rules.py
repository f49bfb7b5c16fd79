"""Trigger rules, and the library of what conditions may use."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel

from ingest.definitions.answers import BASE
from ingest.definitions.resource import Resource, merge_plainly, record_of
from sluice_catalog.api_keys import DEFINITIONS_WRITE
from sluice_catalog.conditions import MAX_SOURCE_LENGTH
from sluice_catalog.definitions.shelf import Stored
from sluice_catalog.definitions.trigger_rules import TriggerRule, TriggerRules
from sluice_catalog.expressions import LIBRARY, SAMPLE, Kind
from sluice_catalog.snapshot import CatalogSnapshot
from sluice_runtime.http.bodies import json_response
from sluice_runtime.http.operations import Call, Operation

_TAG: Final = "Trigger rules"


class ExpressionAnswer(BaseModel):
    """One thing that a condition may use; its example is true of the sample."""

    name: str
    kind: Kind
    type: str
    description: str
    example: str


class ExpressionLibrary(BaseModel):
    """What conditions may use: in filters of trigger rules and segments, and in steps of workflows."""

    language: str
    max_length: int
    sample: dict[str, Any]
    data: list[ExpressionAnswer]


def trigger_rule_operations(shelf: TriggerRules, snapshot: CatalogSnapshot) -> list[Operation]:
    """Return the operations on trigger rules and the one that shows the library."""
    rules = Resource(
        "/trigger-rules", shelf, TriggerRule, _TAG, {"workflow_id": UUID | None}, _show, merge_plainly, snapshot
    )
    return [
        *rules.operations(),
        Operation(
            "GET",
            f"{BASE}/expressions",
            "list_expressions",
            "What conditions may use, each with an example",
            _TAG,
            _library,
            DEFINITIONS_WRITE,
            answers={200: ExpressionLibrary},
        ),
    ]


async def _library(_: Call) -> web.Response:
    return json_response(
        {
            "language": "CEL",
            "max_length": MAX_SOURCE_LENGTH,
            "sample": SAMPLE,
            "data": [asdict(expression) for expression in LIBRARY],
        }
    )


def _show(stored: Stored[TriggerRule]) -> dict[str, Any]:
    content = stored.content.model_dump(mode="json")
    return {"id": stored.id} | content | stored.facts | record_of(stored)
