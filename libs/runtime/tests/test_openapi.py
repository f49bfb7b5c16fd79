from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from typing import Any

import pytest
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from sluice_runtime.http.doors import Door
from sluice_runtime.http.openapi import openapi_document
from sluice_runtime.http.operations import Call, Operation


class Colour(StrEnum):
    RED = "red"


class Item(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str


class Basket(BaseModel):
    items: list[Item]
    parent: Basket | None = None


class Filter(BaseModel):
    limit: int = Field(default=50, ge=1, le=200, description="Entries on a page.")
    colour: Colour | None = None
    since: datetime


async def nothing(call: Call) -> web.StreamResponse:
    return web.Response()


PUT = Operation(
    method="PUT",
    path="/baskets/{basket_id}",
    name="putBasket",
    summary="Put",
    tag="Baskets",
    handler=nothing,
    scope="write",
    body=Basket,
    answers={200: Basket, 204: None},
)
FIND = Operation(
    method="GET",
    path="/baskets",
    name="findBaskets",
    summary="Find",
    tag="Baskets",
    handler=nothing,
    scope=None,
    query=Filter,
    aliases=(r"/b/{x:\d+}",),
)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi_document([PUT, FIND], title="Sluice", version="1.2.3")


def test_each_operation_stands_under_its_path_and_aliases(document: dict[str, Any]) -> None:
    assert set(document["paths"]) == {"/baskets/{basket_id}", "/baskets", "/b/{x}"}
    names = [entry["operationId"] for path in document["paths"].values() for entry in path.values()]
    assert len(names) == len(set(names))


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    def references(value: Any) -> list[str]:
        if isinstance(value, list):
            return [found for entry in value for found in references(entry)]
        if isinstance(value, dict):
            own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            return own + [found for entry in value.values() for found in references(entry)]
        return []

    found = references(document)
    assert found
    for reference in found:
        here: Any = document
        for step in reference.removeprefix("#/").split("/"):
            here = here[step]


def test_bodies_answers_and_problems_are_described(document: dict[str, Any]) -> None:
    put = document["paths"]["/baskets/{basket_id}"]["put"]
    assert put["requestBody"]["content"]["application/json"]["schema"]["$ref"].startswith("#/components/schemas/Basket")
    assert set(put["responses"]) == {"200", "204", "default"}
    assert "content" not in put["responses"]["204"]
    assert put["parameters"] == [{"name": "basket_id", "in": "path", "required": True, "schema": {"type": "string"}}]


def test_query_parameters_carry_their_limits_and_stand_alone(document: dict[str, Any]) -> None:
    parameters = {entry["name"]: entry for entry in document["paths"]["/baskets"]["get"]["parameters"]}
    assert parameters["limit"]["schema"]["maximum"] == 200
    assert parameters["since"]["required"]
    assert not parameters["colour"]["required"]
    assert "red" in json.dumps(parameters["colour"]["schema"])
    assert "$ref" not in json.dumps(list(parameters.values()))


def test_public_operations_need_no_credential_and_others_name_their_scope(document: dict[str, Any]) -> None:
    assert document["paths"]["/baskets"]["get"]["security"] == []
    put = document["paths"]["/baskets/{basket_id}"]["put"]
    assert put["security"] == [{"apiKey": []}, {"bearer": []}, {"basic": []}]
    assert "`write`" in put["description"]


def test_the_document_is_plain_json(document: dict[str, Any]) -> None:
    assert json.loads(json.dumps(document)) == document
    assert document["openapi"].startswith("3.1")
    assert document["info"] == {"title": "Sluice", "version": "1.2.3"}


class Refusal(BaseModel):
    message: str


def test_a_door_shows_what_its_errors_look_like() -> None:
    door = Door("other", lambda problem, request: problem.response(), error=Refusal)
    document = openapi_document([replace(PUT, door=door)], title="Sluice", version="1")
    default = document["paths"]["/baskets/{basket_id}"]["put"]["responses"]["default"]
    assert default["content"] == {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}}}
