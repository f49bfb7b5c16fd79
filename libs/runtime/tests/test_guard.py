"""The guard around operations, and doors that speak in their own words."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from pydantic import BaseModel, ConfigDict

from sluice_runtime.clock import ManualClock
from sluice_runtime.http.application import application
from sluice_runtime.http.bodies import json_response
from sluice_runtime.http.doors import Door
from sluice_runtime.http.guard.answers import Answer, Place, Verdict
from sluice_runtime.http.guard.guard import Guard
from sluice_runtime.http.guard.rates import Rate
from sluice_runtime.http.guard.settings import GuardSettings
from sluice_runtime.http.operations import Call, Operation, add_operations, items_held
from sluice_runtime.http.principal import Principal
from sluice_runtime.http.problems import Problem

WORKSPACE, STREAM = UUID(int=1), UUID(int=2)
NOW = datetime(2026, 11, 23, tzinfo=UTC)
CALLERS = {
    "one": Principal(WORKSPACE, UUID(int=9), frozenset({"admin"})),
    "reader": Principal(WORKSPACE, UUID(int=9), frozenset({"status:read"})),
    "stranger": Principal(UUID(int=3), UUID(int=9), frozenset({"admin"})),
    "stream": Principal(WORKSPACE, UUID(int=9), frozenset({"admin"}), STREAM, Rate(0.001, 2)),
}


class Items(BaseModel):
    model_config = ConfigDict(extra="forbid")

    items: list[int] = []


class Shelf:
    """Answers and claims as another process might have left them."""

    def __init__(self) -> None:
        self.kept: dict[Place, Answer] = {}
        self.claims: dict[Place, bytes] = {}

    async def claim(self, place: Place, fingerprint: bytes) -> Answer | Verdict:
        if place in self.kept:
            return self.kept[place]
        if place in self.claims:
            return Verdict.IN_PROGRESS if self.claims[place] == fingerprint else Verdict.ANOTHER_REQUEST
        self.claims[place] = fingerprint
        return Verdict.GO_AHEAD

    def put(self, place: Place, answer: Answer) -> None:
        self.kept.setdefault(place, answer)
        del self.claims[place]

    def abandon(self, place: Place) -> None:
        del self.claims[place]


class Served:
    """An application with one thing to do, in our words and in another product's."""

    def __init__(self, shelf: Shelf) -> None:
        self.calls = 0
        self.raises: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.entered = asyncio.Event()
        self.shelf = shelf
        self.client: TestClient[web.Request, web.Application]

    async def do(self, call: Call) -> web.StreamResponse:
        self.calls += 1
        self.entered.set()
        await self.gate.wait()
        if self.raises is not None:
            raise self.raises
        return json_response({"call": self.calls}, 201)

    async def ask(
        self, method: str, path: str, body: Any = None, key: str = "one", **headers: str
    ) -> tuple[int, Any, Any]:
        sent = {"X-API-Key": key, **{name.replace("_", "-"): value for name, value in headers.items()}}
        async with self.client.request(method, path, json=body, headers=sent) as answer:
            return answer.status, await answer.json(content_type=None), answer.headers


async def authenticate(request: web.Request) -> Principal:
    try:
        return CALLERS[request.headers.get("X-API-Key", "")]
    except KeyError:
        raise Problem(401, detail="Send a key.") from None


def render(problem: Problem, request: web.Request) -> web.Response:
    return json_response({"statusCode": problem.status, "message": problem.detail}, problem.status)


def finish(response: web.StreamResponse, request: web.Request) -> None:
    response.headers["X-Door"] = "other"


OTHER = Door("other", render, prefixes=("/v1/",), finish=finish)


@asynccontextmanager
async def serving(rate: float = 1000, burst: int = 1000, shelf: Shelf | None = None) -> AsyncIterator[Served]:
    served = Served(shelf or Shelf())
    settings = GuardSettings(
        secret_key=base64.b64encode(bytes(32)).decode(), rate_limit_per_second=rate, rate_limit_burst=burst
    )
    guard = Guard(settings, served.shelf, ManualClock(NOW))
    app = application()
    guard.protect(app)
    post = Operation("POST", "/api/things", "make", "Make", "Things", served.do, "events:write", Items, cost=items_held)
    ours = [
        post,
        replace(post, method="PATCH", name="change"),
        replace(post, method="PUT", name="replace"),
        replace(post, method="GET", name="look", body=None, cost=None),
        replace(post, method="DELETE", name="drop", body=None, cost=None),
    ]
    theirs = [replace(post, path="/v1/things", name="other_make", door=OTHER)]
    add_operations(app, [*ours, *theirs], authenticate, guard)
    async with TestClient(TestServer(app)) as client:
        served.client = client
        yield served


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving() as made:
        yield made


@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_a_repeat_with_the_same_key_is_answered_and_not_done(served: Served, method: str) -> None:
    first = await served.ask(method, "/api/things", {"items": [1]}, Idempotency_Key="k")
    again = await served.ask(method, "/api/things", {"items": [1]}, Idempotency_Key="k")
    assert (first[:2], served.calls) == (again[:2], 1)
    assert "Idempotency-Replay" not in first[2]
    assert (again[2]["Idempotency-Replay"], again[2]["Idempotency-Key"]) == ("true", "k")


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
async def test_other_methods_pass_with_the_header(served: Served, method: str) -> None:
    body: Any = {"items": []} if method == "PUT" else None
    for _ in range(2):
        status, _, headers = await served.ask(method, "/api/things", body, Idempotency_Key="k" * 300)
        assert status == 201
        assert "Idempotency-Replay" not in headers
    assert served.calls == 2


@pytest.mark.parametrize("status", [400, 404, 409, 413, 422])
async def test_a_refusal_is_given_again_in_the_words_in_which_it_was_given(served: Served, status: int) -> None:
    served.raises = Problem(status, detail="No.")
    first = await served.ask("POST", "/v1/things", {}, Idempotency_Key="k")
    served.raises = None
    again = await served.ask("POST", "/v1/things", {}, Idempotency_Key="k")
    assert first[:2] == again[:2] == (status, {"statusCode": status, "message": "No."})
    assert (again[2]["Idempotency-Replay"], again[2]["Content-Type"]) == ("true", first[2]["Content-Type"])
    assert served.calls == 1


async def test_a_body_that_is_not_valid_is_a_refusal_too(served: Served) -> None:
    first = await served.ask("POST", "/api/things", {"surprise": 1}, Idempotency_Key="k")
    again = await served.ask("POST", "/api/things", {"surprise": 1}, Idempotency_Key="k")
    assert first[:2] == again[:2]
    assert (first[0], again[2]["Idempotency-Replay"]) == (422, "true")


@pytest.mark.parametrize("error", [Problem(503), Problem(429), Problem(403), RuntimeError("broken")])
async def test_what_decides_nothing_is_no_answer_and_leaves_the_key_free(served: Served, error: Exception) -> None:
    served.raises = error
    assert (await served.ask("POST", "/api/things", {}, Idempotency_Key="k"))[0] in {500, 503, 429, 403}
    served.raises = None
    status, _, headers = await served.ask("POST", "/api/things", {}, Idempotency_Key="k")
    assert (status, served.calls) == (201, 2)
    assert "Idempotency-Replay" not in headers


async def test_a_key_that_is_used_for_another_body_or_path_is_refused(served: Served) -> None:
    await served.ask("POST", "/api/things", {"items": [1]}, Idempotency_Key="k")
    status, problem, _ = await served.ask("POST", "/api/things", {"items": [2]}, Idempotency_Key="k")
    assert (status, problem["detail"]) == (422, 'Request with key "k" is being reused for a different body')
    assert (await served.ask("POST", "/v1/things", {"items": [1]}, Idempotency_Key="k"))[0] == 422
    assert (await served.ask("POST", "/api/things", {"items": [1]}, Idempotency_Key="k"))[0] == 201
    assert (await served.ask("POST", "/api/things", {"items": [2]}, "stranger", Idempotency_Key="k"))[0] == 201


async def test_a_request_that_runs_is_a_conflict_and_then_its_answer(served: Served) -> None:
    served.gate.clear()
    first = asyncio.create_task(served.ask("POST", "/v1/things", {}, Idempotency_Key="k"))
    await asyncio.wait_for(served.entered.wait(), 30)
    status, body, headers = await served.ask("POST", "/v1/things", {}, Idempotency_Key="k")
    assert (status, headers["Retry-After"]) == (409, "1")
    assert body["message"] == 'Request with key "k" is currently being processed. Please retry after 1 second'
    served.gate.set()
    assert (await first)[0] == 201
    assert (await served.ask("POST", "/v1/things", {}, Idempotency_Key="k"))[2]["Idempotency-Replay"] == "true"


@pytest.mark.parametrize("key", ["k" * 256, "", "ключ"])
async def test_a_key_that_no_header_should_hold_is_refused(served: Served, key: str) -> None:
    assert (await served.ask("POST", "/api/things", {}, Idempotency_Key=key))[0] == 400
    assert (await served.ask("POST", "/api/things", {}, Idempotency_Key="k" * 255))[0] == 201
    assert served.calls == 1


async def test_an_answer_that_another_process_gave_is_given_again(served: Served) -> None:
    first = await served.ask("POST", "/api/things", {}, Idempotency_Key="k")
    async with serving() as other:
        other.shelf.kept.update(served.shelf.kept)
        again = await other.ask("POST", "/api/things", {}, Idempotency_Key="k")
        assert (again[1], other.calls) == (first[1], 0)
        assert (await other.ask("POST", "/api/things", {"items": [1]}, Idempotency_Key="k"))[0] == 422


async def test_a_request_that_another_process_answers_is_a_conflict_and_then_its_answer(served: Served) -> None:
    served.gate.clear()
    first = asyncio.create_task(served.ask("POST", "/api/things", {}, Idempotency_Key="k"))
    await asyncio.wait_for(served.entered.wait(), 30)
    async with serving(shelf=served.shelf) as other:
        status, _, headers = await other.ask("POST", "/api/things", {}, Idempotency_Key="k")
        assert (status, headers["Retry-After"]) == (409, "1")
        assert (await other.ask("POST", "/api/things", {"items": [1]}, Idempotency_Key="k"))[0] == 422
        served.gate.set()
        assert (await first)[0] == 201
        again = await other.ask("POST", "/api/things", {}, Idempotency_Key="k")
        assert (again[0], again[2]["Idempotency-Replay"], other.calls) == (201, "true", 0)


async def test_a_credential_without_the_scope_leaves_no_answer(served: Served) -> None:
    assert (await served.ask("POST", "/api/things", {}, "reader", Idempotency_Key="k"))[0] == 403
    assert (await served.ask("POST", "/api/things", {}, Idempotency_Key="k"))[0] == 201


def left(headers: Any) -> tuple[str, str]:
    return headers["RateLimit-Limit"], headers["RateLimit-Remaining"]


async def test_a_bulk_costs_what_it_holds_and_a_repeat_costs_one() -> None:
    async with serving(rate=0.001) as served:
        assert left((await served.ask("POST", "/api/things", {"items": [0] * 600}, Idempotency_Key="k"))[2])[1] == "400"
        assert left((await served.ask("POST", "/api/things", {"items": [0] * 600}, Idempotency_Key="k"))[2])[1] == "399"
        status, _, headers = await served.ask("POST", "/v1/things", {"items": [0] * 600})
        assert (status, int(headers["Retry-After"]) > 1) == (429, True)
        assert left((await served.ask("GET", "/api/things"))[2]) == ("1000", "398")
        assert left((await served.ask("GET", "/api/things", key="stranger"))[2]) == ("1000", "999")
        assert left((await served.ask("GET", "/api/things", key="nobody"))[2]) == ("1000", "1000")


async def test_a_stream_has_a_bucket_of_its_own_beside_its_workspaces() -> None:
    async with serving(rate=0.001) as served:
        answers = [await served.ask("GET", "/api/things", key="stream") for _ in range(4)]
        assert [status for status, _, _ in answers] == [201, 201, 429, 429]
        assert [left(headers) for _, _, headers in answers[:2]] == [("2", "1"), ("2", "0")]
        assert left((await served.ask("GET", "/api/things"))[2]) == ("1000", "997")


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda served: served.ask("POST", "/v1/things", {}, "nobody"), 401),
        (lambda served: served.ask("POST", "/v1/things", {}, "reader"), 403),
        (lambda served: served.ask("POST", "/v1/things", {"surprise": 1}), 422),
        (lambda served: served.ask("POST", "/v1/things", {"items": [0] * 200_000}), 413),
        (lambda served: served.ask("POST", "/v1/nothing", {}), 404),
        (lambda served: served.ask("DELETE", "/v1/things"), 405),
    ],
)
async def test_a_door_says_in_its_own_words_what_is_wrong(
    served: Served, change: Callable[[Served], Any], status: int
) -> None:
    given, body, headers = await change(served)
    assert (given, body["statusCode"]) == (status, status)
    assert headers["X-Door"] == "other"
    assert headers["Content-Type"] == "application/json"
    assert ("Allow" in headers) == (status == 405)
    assert ("WWW-Authenticate" in headers) == (status == 401)


async def test_a_door_says_in_its_own_words_that_we_failed(served: Served) -> None:
    served.raises = RuntimeError("broken")
    assert (await served.ask("POST", "/v1/things", {}))[1]["statusCode"] == 500
    assert (await served.ask("POST", "/api/things", {}))[1]["status"] == 500
    assert (await served.ask("POST", "/api/nothing", {}))[1]["status"] == 404
