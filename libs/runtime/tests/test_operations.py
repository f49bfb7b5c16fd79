from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, field_validator

from sluice_runtime.http.application import application
from sluice_runtime.http.bodies import json_response
from sluice_runtime.http.operations import Call, Operation, add_operations
from sluice_runtime.http.principal import NOBODY, Principal, require_scope
from sluice_runtime.http.problems import Problem

Client = TestClient[web.Request, web.Application]

WORKSPACE = UUID(int=7)
KEYS = {
    "sk_writer": frozenset({"events:write"}),
    "sk_reader": frozenset({"status:read"}),
    "sk_admin": frozenset({"admin"}),
}


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class One(Model):
    kind: Literal["one"]
    external_id: str


class Many(Model):
    kind: Literal["many"]
    external_ids: list[str] = Field(max_length=3)


class Send(Model):
    recipients: Annotated[One | Many, Field(discriminator="kind")]
    variables: dict[str, Any] = Field(default_factory=dict)
    count: int = Field(default=1, ge=1, le=10)

    @field_validator("variables")
    @classmethod
    def _few(cls, value: dict[str, Any]) -> dict[str, Any]:
        if len(value) > 20:
            raise ValueError("at most 20 variables")
        return value


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Page(Model):
    limit: int = Field(default=50, ge=1, le=200)
    colour: list[Colour] | None = None
    since: datetime | None = None


async def send(call: Call) -> web.StreamResponse:
    return json_response({"workspace": str(call.principal.workspace_id), "send": call.body, "raw": len(call.raw)})


async def find(call: Call) -> web.StreamResponse:
    return json_response({"id": call.request.match_info["thing_id"], "query": call.query})


async def greet(call: Call) -> web.StreamResponse:
    assert call.principal is NOBODY
    return json_response({"at": datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)})


OPERATIONS = (
    Operation(
        "POST", "/sends", "send", "Send", "Sends", send, "events:write", Send, aliases=("/v1/sends",), body_limit=2000
    ),
    Operation("GET", "/things/{thing_id}", "findThing", "Find", "Things", find, "status:read", query=Page),
    Operation("GET", "/hello", "greet", "Greet", "Things", greet, None),
)


async def authenticate(request: web.Request) -> Principal:
    scopes = KEYS.get(request.headers.get("X-API-Key", ""))
    if scopes is None:
        raise Problem(401, detail="Send a key.")
    return Principal(WORKSPACE, UUID(int=1), scopes)


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    app = application()
    add_operations(app, OPERATIONS, authenticate)
    async with TestClient(TestServer(app)) as client:
        yield client


async def post(client: Client, body: Any, key: str = "sk_writer", **headers: str) -> tuple[int, Any]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = await client.post(
        "/sends", data=raw, headers={"X-API-Key": key, "Content-Type": "application/json", **headers}
    )
    assert answer.headers["X-Request-Id"]
    document = json.loads(await answer.read())
    if answer.status >= 400:
        assert answer.content_type == "application/problem+json"
        assert document["status"] == answer.status
    return answer.status, document


ONE = {"kind": "one", "external_id": "user_1"}


async def test_a_valid_request_reaches_its_handler_as_a_model(client: Client) -> None:
    status, document = await post(client, {"recipients": ONE, "variables": {"code": 1}})
    assert status == 200
    assert document["workspace"] == str(WORKSPACE)
    assert document["send"]["recipients"] == ONE


async def test_an_alias_serves_the_same_operation(client: Client) -> None:
    answer = await client.post("/v1/sends", json={"recipients": ONE}, headers={"X-API-Key": "sk_writer"})
    assert answer.status == 200


async def test_without_a_credential_the_answer_is_401_with_a_challenge(client: Client) -> None:
    answer = await client.post("/sends", json={"recipients": ONE})
    assert answer.status == 401
    assert "Bearer" in answer.headers["WWW-Authenticate"]
    assert (await answer.json(content_type=None))["detail"] == "Send a key."


async def test_a_credential_without_the_scope_is_told_which_one_it_needs(client: Client) -> None:
    status, document = await post(client, {"recipients": ONE}, key="sk_reader")
    assert status == 403
    assert "events:write" in document["detail"]


async def test_the_scope_is_asked_before_the_body_is_read(client: Client) -> None:
    status, _ = await post(client, b"{", key="sk_reader")
    assert status == 403


async def test_admin_has_every_scope(client: Client) -> None:
    status, _ = await post(client, {"recipients": ONE}, key="sk_admin")
    assert status == 200
    with pytest.raises(Problem):
        require_scope(NOBODY, "status:read")


async def test_a_public_operation_asks_nobody(client: Client) -> None:
    answer = await client.get("/hello")
    assert await answer.json() == {"at": "2026-01-02T03:04:05.678Z"}


async def test_an_unknown_path_is_404_and_a_wrong_method_405(client: Client) -> None:
    missing = await client.get("/nowhere")
    assert (missing.status, missing.content_type) == (404, "application/problem+json")
    wrong = await client.delete("/sends")
    assert (wrong.status, wrong.headers["Allow"]) == (405, "POST")


async def test_head_answers_where_get_does(client: Client) -> None:
    answer = await client.head("/hello")
    assert (answer.status, await answer.read()) == (200, b"")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "recipients"),
        (b"", "recipients"),
        ({"recipients": ONE, "colour": 1}, "colour"),
        ({"recipients": ONE, "count": "many"}, "count"),
        ({"recipients": ONE, "count": 10**30}, "count"),
        ({"recipients": {"kind": "one"}}, "recipients.external_id"),
        ({"recipients": {"kind": "one", "external_id": 5}}, "recipients.external_id"),
        ({"recipients": {"kind": "many", "external_ids": ["a", None]}}, "recipients.external_ids.1"),
        ({"recipients": {"kind": "many", "external_ids": ["a"] * 4}}, "recipients.external_ids"),
        ({"recipients": {"kind": "none"}}, "recipients"),
        ({"recipients": ONE, "variables": {"a": {"b": ["\x00"]}}}, "variables.a.b.0"),
        ({"recipients": ONE, "variables": {"a": {"\x00": 1}}}, "variables.a"),
        ([], ""),
        (b"null", ""),
        (b'{"recipients": ', ""),
        (b"\xff\xfe", ""),
        (b'{"recipients": "\\ud800"}', ""),
        (b'{"recipients": "a\x00b"}', ""),
        (b"[" * 1500, ""),
        (b'{"variables": ' + b'{"a":' * 220 + b"1" + b"}" * 221, ""),
    ],
)
async def test_an_invalid_body_is_422_and_names_the_field(client: Client, body: Any, field: str) -> None:
    status, document = await post(client, body)
    assert status == 422
    assert field in [error["field"] for error in document["errors"]]
    assert all(error["message"] for error in document["errors"])


async def test_a_validators_own_words_come_without_a_prefix(client: Client) -> None:
    _, document = await post(client, {"recipients": ONE, "variables": {str(place): 1 for place in range(21)}})
    assert document["errors"] == [{"field": "variables", "message": "at most 20 variables"}]


async def test_an_escaped_backslash_before_u0000_is_no_nul(client: Client) -> None:
    status, _ = await post(client, {"recipients": ONE, "variables": {"a": "\\u0000"}})
    assert status == 200


async def test_numbers_beyond_64_bits_pass_where_any_value_may(client: Client) -> None:
    status, document = await post(client, {"recipients": ONE, "variables": {"a": 2**70}})
    assert (status, document["send"]["variables"]["a"]) == (200, 2**70)


async def test_a_body_over_the_limit_is_413(client: Client) -> None:
    status, _ = await post(client, {"recipients": ONE, "variables": {"a": "x" * 2000}})
    assert status == 413


async def test_a_body_over_the_limit_is_413_without_a_length_too(client: Client) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield b" " * 100

    answer = await client.post("/sends", data=chunks(), headers={"X-API-Key": "sk_writer"})
    assert answer.status == 413


async def test_a_compressed_body_is_measured_unpacked(client: Client) -> None:
    small = gzip.compress(json.dumps({"recipients": ONE}).encode())
    assert (await post(client, small, **{"Content-Encoding": "gzip"}))[0] == 200
    bomb = gzip.compress(b" " * 1_000_000)
    assert len(bomb) < 2000
    assert (await post(client, bomb, **{"Content-Encoding": "gzip"}))[0] == 413


async def test_a_body_that_is_not_what_its_encoding_says_is_400(client: Client) -> None:
    assert (await post(client, b"not gzip at all", **{"Content-Encoding": "gzip"}))[0] == 400


async def test_a_form_is_415_and_json_under_another_name_is_read(client: Client) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await post(client, b"a=b", **form))[0] == 415
    assert (await post(client, {"recipients": ONE}, **form))[0] == 200
    assert (await post(client, b"<a/>", **{"Content-Type": "text/xml"}))[0] == 415
    assert (await post(client, b"what", **{"Content-Type": "text/plain"}))[0] == 422


async def find_thing(client: Client, url: str) -> tuple[int, Any]:
    answer = await client.get(url, headers={"X-API-Key": "sk_reader"})
    return answer.status, json.loads(await answer.read())


async def test_a_query_is_read_by_its_model(client: Client) -> None:
    status, document = await find_thing(
        client, "/things/a%2Fb?limit=7&colour=red&colour=blue&since=2026-01-01T00:00:00Z"
    )
    assert status == 200
    assert document["id"] == "a/b"
    assert document["query"] == {"limit": 7, "colour": ["red", "blue"], "since": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=" + "9" * 4000, "limit"),
        ("limit=1.5", "limit"),
        ("colour=red&colour=green", "colour.1"),
        ("unknown=1", "unknown"),
        ("since=yesterday", "since"),
        ("limit=%00", ""),
    ],
)
async def test_an_invalid_query_is_422_and_names_the_field(client: Client, query: str, field: str) -> None:
    status, document = await find_thing(client, f"/things/1?{query}")
    assert status == 422
    assert [error["field"] for error in document["errors"]] == [field]


async def test_a_nul_in_the_path_is_422(client: Client) -> None:
    assert (await find_thing(client, "/things/a%00b"))[0] == 422


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.one_of(st.binary(max_size=200), st.text(max_size=60).map(lambda text: text.encode(errors="ignore"))))
async def test_no_bytes_make_the_server_stumble(client: Client, body: bytes) -> None:
    assert (await post(client, body))[0] in {200, 422}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.fixed_dictionaries({}, optional={"recipients": st.just(ONE) | JSON, "variables": JSON, "count": JSON}))
async def test_no_json_makes_the_server_stumble(client: Client, body: dict[str, Any]) -> None:
    assert (await post(client, body))[0] in {200, 413, 422}
