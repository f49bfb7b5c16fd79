from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest
import structlog
from aiohttp import ClientPayloadError, ClientSession, web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import REGISTRY
from pydantic import BaseModel

from sluice_runtime.http.application import STOPPING, application, served
from sluice_runtime.http.bodies import encode_json, json_response, read_json
from sluice_runtime.http.problems import Problem, not_found

Client = TestClient[web.Request, web.Application]


class BrokerAwayError(Exception):
    """Stands for a library's error."""


def translate(error: Exception) -> Problem | None:
    return Problem(503, headers={"Retry-After": "1"}) if isinstance(error, BrokerAwayError) else None


async def fine(request: web.Request) -> web.StreamResponse:
    return json_response({"fine": True})


async def broken(request: web.Request) -> web.StreamResponse:
    raise RuntimeError("a secret detail")


async def away(request: web.Request) -> web.StreamResponse:
    raise BrokerAwayError


async def absent(request: web.Request) -> web.StreamResponse:
    raise not_found("trigger")


async def moved(request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("/fine")


async def stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"begun ")
    await request.app[STOPPING].wait()
    await response.write(b"ended")
    return response


async def breaking_stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"begun ")
    raise RuntimeError("in the middle")


@asynccontextmanager
async def client() -> AsyncIterator[Client]:
    app = application(translate=translate)
    for handler in (fine, broken, away, absent, moved, stream, breaking_stream):
        app.router.add_get(f"/{handler.__name__}", handler)
    async with TestClient(TestServer(app)) as client:
        yield client


async def test_an_unexpected_error_tells_the_caller_nothing_and_the_log_everything() -> None:
    with structlog.testing.capture_logs() as lines:
        async with client() as session:
            answer = await session.get("/broken")
            text = await answer.text()
    assert answer.status == 500
    assert answer.content_type == "application/problem+json"
    assert "secret" not in text
    assert "Traceback" not in text
    failure = next(line for line in lines if line["event"] == "request.failed")
    assert str(failure["exc_info"]) == "a secret detail"


async def test_a_librarys_error_becomes_the_problem_that_the_service_names() -> None:
    async with client() as session:
        answer = await session.get("/away")
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")


async def test_a_problem_becomes_its_document() -> None:
    async with client() as session:
        answer = await session.get("/absent")
        assert await answer.json(content_type="application/problem+json") == {
            "type": "about:blank",
            "title": "Not found",
            "status": 404,
            "detail": "There is no such trigger.",
        }


async def test_a_redirect_stays_one() -> None:
    async with client() as session:
        answer = await session.get("/moved", allow_redirects=False)
        assert (answer.status, answer.headers["Location"]) == (302, "/fine")
        assert answer.headers["X-Request-Id"]


async def test_a_request_id_is_taken_over_if_it_is_harmless_and_made_otherwise() -> None:
    async with client() as session:
        taken = await session.get("/fine", headers={"X-Request-Id": "abc-1"})
        assert taken.headers["X-Request-Id"] == "abc-1"
        for given in ("", "a b", "x" * 65, "é"):
            made = await session.get("/fine", headers={"X-Request-Id": given})
            assert len(made.headers["X-Request-Id"]) == 32


async def test_a_stream_carries_the_request_id_and_ends_when_the_service_stops() -> None:
    async with client() as session:
        answer = await session.get("/stream")
        assert answer.headers["X-Request-Id"]
        assert await answer.content.readexactly(6) == b"begun "
        assert session.app is not None
        session.app[STOPPING].set()
        assert await answer.content.read() == b"ended"


async def test_a_stream_that_breaks_is_cut_off_and_never_gets_a_second_head() -> None:
    async with client() as session:
        answer = await session.get("/breaking_stream")
        assert await answer.content.readexactly(6) == b"begun "
        with pytest.raises(ClientPayloadError):
            await answer.content.read()


async def test_requests_are_counted_by_route_and_not_by_path() -> None:
    def count(route: str, method: str, status: str) -> float:
        labels = {"route": route, "method": method, "status": status}
        return REGISTRY.get_sample_value("sluice_http_seconds_count", labels) or 0.0

    fine_before, lost_before = count("/fine", "GET", "200"), count("unrouted", "OTHER", "404")
    async with client() as session:
        await session.get("/fine?x=1")
        await session.request("PURGE", "/some/path/of/theirs")
    assert count("/fine", "GET", "200") == fine_before + 1
    assert count("unrouted", "OTHER", "404") == lost_before + 1


async def test_errors_are_logged_and_quick_successes_only_when_debugging() -> None:
    with structlog.testing.capture_logs() as lines:
        async with client() as session:
            await session.get("/fine")
            await session.get("/nowhere")
    levels = {(line["status"], line["log_level"]) for line in lines if line["event"] == "request.answered"}
    assert levels == {(200, "debug"), (404, "info")}


async def answer_to_body(body: bytes, limit: int = 100) -> tuple[int, Any]:
    async def handle(request: web.Request) -> web.StreamResponse:
        return json_response(await read_json(request, limit))

    app = application()
    app.router.add_post("/", handle)
    async with TestClient(TestServer(app)) as session:
        answer = await session.post("/", data=body)
        return answer.status, json.loads(await answer.read())


@pytest.mark.parametrize(
    ("body", "status"),
    [(b'{"a":[1]}', 200), (b"{", 422), (b'"\\u0000"', 422), (b'{"a\\u0000":1}', 422), (b" " * 101, 413)],
)
async def test_read_json_answers_bad_bodies_itself(body: bytes, status: int) -> None:
    assert (await answer_to_body(body))[0] == status


async def test_read_json_survives_a_deep_document_with_a_nul() -> None:
    deep = b"[" * 1000 + b'"\\u0000"' + b"]" * 1000
    assert (await answer_to_body(deep, 10_000))[0] == 422


class Amount(BaseModel):
    value: int


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        ({"a": 2**70}, b'{"a":1180591620717411303424}'),
        ([Amount(value=1)], b'[{"value":1}]'),
        (Amount(value=1), b'{"value":1}'),
        (Decimal("1.5"), b"1.5"),
        ({"b", "a"}, b'["a","b"]'),
        ({1: None}, b'{"1":null}'),
        (float("nan"), b"null"),
    ],
)
def test_every_value_that_answers_hold_has_its_json(value: Any, encoded: bytes) -> None:
    assert encode_json(value) == encoded


async def test_a_served_application_finishes_what_it_has_begun() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        begun.set()
        await go_on.wait()
        return web.Response(text="done")

    app = application()
    app.router.add_get("/", slow)
    async with ClientSession() as session:
        async with served(app, "127.0.0.1", 0) as port:
            answering = asyncio.create_task(_text(session, f"http://127.0.0.1:{port}/"))
            await begun.wait()
            asyncio.get_running_loop().call_later(0.05, go_on.set)
        assert await answering == "done"


async def _text(session: ClientSession, url: str) -> str:
    async with session.get(url) as answer:
        return await answer.text()
