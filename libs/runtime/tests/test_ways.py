"""The short way to a handler and the short way of its answer: nobody outside can tell either from aiohttp's own."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from sluice_runtime.http.answers import WholeAnswer
from sluice_runtime.http.application import application, served
from sluice_runtime.http.bodies import json_response, read_body
from sluice_runtime.http.problems import Problem
from sluice_runtime.http.protocol import Protocol

_CHANGING = re.compile(rb"(Date|X-Request-Id): [^\r]+\r\n")


async def echo(request: web.Request) -> web.StreamResponse:
    return json_response(
        {"body": (await read_body(request)).decode(), "query": request.query_string}, 200, {"X-A": "b"}
    )


async def named(request: web.Request) -> web.StreamResponse:
    return json_response({"name": request.match_info["name"]})


async def nothing(request: web.Request) -> web.StreamResponse:
    return WholeAnswer(204, b"", {})


async def refused(request: web.Request) -> web.StreamResponse:
    raise Problem(409, detail="Not now.", headers={"Retry-After": "1"})


async def with_a_cookie(request: web.Request) -> web.StreamResponse:
    answer = json_response({})
    answer.set_cookie("a", "b")
    return answer


async def last(request: web.Request) -> web.StreamResponse:
    answer = json_response({})
    answer.force_close()
    return answer


def app() -> web.Application:
    made = application()
    made.router.add_post("/echo", echo)
    made.router.add_get("/echo", echo)
    made.router.add_get("/named/{name}", named)
    made.router.add_get("/named/nobody", echo)
    made.router.add_get("/nothing", nothing)
    made.router.add_get("/refused", refused)
    made.router.add_get("/cookie", with_a_cookie)
    made.router.add_get("/last", last)
    made.router.add_route("*", "/any", echo)
    return made


@asynccontextmanager
async def served_by_aiohttp(app: web.Application) -> AsyncIterator[int]:
    """Serve as `served` does, with aiohttp's own way from a request to its handler."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    assert runner.server is not None
    server = runner.server
    listener = await asyncio.get_running_loop().create_server(lambda: Protocol(server), "127.0.0.1", 0)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        await runner.cleanup()


async def said(port: int, *requests: bytes) -> bytes:
    """Return all that the server says to `requests`, of which the last ends the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(10):
        for request in requests:
            writer.write(request)
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


def lines(said: bytes) -> list[bytes]:
    """Return what was said line by line, each head in an order of its own and without what no two answers share."""
    heads = [sorted(head.split(b"\r\n")) for head in _CHANGING.sub(b"", said).split(b"\r\n\r\n")]
    return [line for head in heads for line in head]


def request(first_line: bytes, *fields: bytes, body: bytes = b"", close: bool = True) -> bytes:
    if close:
        fields = (*fields, b"Connection: close")
    if body:
        fields = (*fields, b"Content-Length: %d" % len(body))
    return b"\r\n".join([first_line, b"Host: here", *fields, b"", body])


CLOSING = request(b"GET /echo HTTP/1.1")
REQUESTS = {
    "a body": (request(b"POST /echo HTTP/1.1", body=b"hello", close=False), CLOSING),
    "several at once": (request(b"POST /echo HTTP/1.1", body=b"hello", close=False) * 3, CLOSING),
    "the last one": (request(b"POST /echo HTTP/1.1", body=b"hello"),),
    "a query": (request(b"GET /echo?a=b HTTP/1.1", close=False), CLOSING),
    "other letters": (request(b"GET /%65cho HTTP/1.1", close=False), CLOSING),
    "a whole address": (request(b"GET http://here/echo HTTP/1.1", close=False), CLOSING),
    "no more than the head": (request(b"HEAD /echo HTTP/1.1", close=False), CLOSING),
    "a placeholder": (request(b"GET /named/ada HTTP/1.1", close=False), CLOSING),
    "the path beside a placeholder": (request(b"GET /named/nobody HTTP/1.1", close=False), CLOSING),
    "nothing to say": (request(b"GET /nothing HTTP/1.1", close=False), CLOSING),
    "a problem": (request(b"GET /refused HTTP/1.1", close=False), CLOSING),
    "a cookie": (request(b"GET /cookie HTTP/1.1", close=False), CLOSING),
    "an answer that ends the connection": (request(b"GET /last HTTP/1.1", close=False),),
    "any method": (request(b"PUT /any HTTP/1.1", body=b"hello", close=False), CLOSING),
    "another method": (request(b"PUT /echo HTTP/1.1", body=b"hello", close=False), CLOSING),
    "another path": (request(b"GET /nowhere HTTP/1.1", close=False), CLOSING),
    "an expectation": (request(b"POST /echo HTTP/1.1", b"Expect: 100-continue", body=b"hello"),),
    "another expectation": (request(b"POST /echo HTTP/1.1", b"Expect: a miracle", body=b"hello"),),
    "HTTP 1.0": (request(b"GET /echo HTTP/1.0", close=False),),
    "HTTP 1.0 that goes on": (
        request(b"GET /echo HTTP/1.0", b"Connection: keep-alive", close=False),
        request(b"GET /echo HTTP/1.0", close=False),
    ),
}


@pytest.mark.parametrize("asked", REQUESTS.values(), ids=REQUESTS)
async def test_the_short_way_says_what_the_long_one_says(asked: tuple[bytes, ...]) -> None:
    async with served(app(), "127.0.0.1", 0) as short, served_by_aiohttp(app()) as long:
        assert lines(await said(short, *asked)) == lines(await said(long, *asked))


@pytest.mark.parametrize("asked", ["a body", "no more than the head", "HTTP 1.0 that goes on", "nothing to say"])
async def test_a_whole_answer_says_what_aiohttps_says(asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(app(), "127.0.0.1", 0) as port:
        ours = await said(port, *REQUESTS[asked])
        monkeypatch.setattr(WholeAnswer, "prepare", web.Response.prepare)
        theirs = await said(port, *REQUESTS[asked])
    assert ours.count(b"X-Request-Id: ") == 2
    assert lines(ours) == lines(theirs)


async def test_a_whole_answer_leaves_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web.StreamResponse, "_start", None)
    async with served(app(), "127.0.0.1", 0) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(10):
            writer.write(request(b"POST /echo HTTP/1.1", body=b"hello", close=False))
            head = await reader.readuntil(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
