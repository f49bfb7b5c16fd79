from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest
from aiohttp import web

from sluice_runtime.http.application import application, served
from sluice_runtime.http.bodies import json_response
from sluice_runtime.http.protocol import LONGEST_FIELD, LONGEST_LINE


async def echo(request: web.Request) -> web.StreamResponse:
    return json_response({"length": len(request.raw_path), "field": len(request.headers.get("X-Long", ""))})


async def answered(head: bytes) -> tuple[int, dict[str, str], Any]:
    """Return status, headers and body of what a served application says to these bytes."""
    app = application()
    app.router.add_get("/{path:.*}", echo)
    async with served(app, "127.0.0.1", 0) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head)
        async with asyncio.timeout(10):
            first = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readexactly(int(re.search(rb"Content-Length: (\d+)", first)[1]))  # type: ignore[index]
        writer.close()
        await writer.wait_closed()
    line, *fields = first.decode().strip().split("\r\n")
    headers = dict(field.split(": ", 1) for field in fields)
    return int(line.split()[1]), headers, json.loads(body)


def request(target: bytes = b"/", *fields: bytes) -> bytes:
    return b"\r\n".join([b"GET " + target + b" HTTP/1.1", b"Host: here", b"Connection: close", *fields, b"", b""])


async def test_what_is_as_long_as_it_may_be_is_read() -> None:
    target = b"/?" + b"q" * (LONGEST_LINE - 2)
    assert (await answered(request(target)))[2]["length"] == LONGEST_LINE
    assert (await answered(request(b"/", b"X-Long: " + b"f" * (LONGEST_FIELD - 6))))[2]["field"] == LONGEST_FIELD - 6


@pytest.mark.parametrize(
    ("head", "status", "title"),
    [
        (request(b"/v1/messages?" + b"q" * LONGEST_LINE), 414, "URI too long"),
        (request(b"/v1/messages?" + b"q" * 4_000_000), 414, "URI too long"),
        (request(b"/", b"X-Long: " + b"f" * (LONGEST_FIELD + 1)), 431, "Header too large"),
        (request(b"/", b"f" * (LONGEST_FIELD + 1) + b": x"), 431, "Header too large"),
        (request(b"/", b"no header"), 400, "Bad Request"),
        (request(b"/", b"Content-Length: -1"), 400, "Bad Request"),
        (b"GET / HTTP/9.9\r\nHost: here\r\n\r\n", 400, "Bad Request"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "Bad Request"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "Bad Request"),
    ],
)
async def test_what_cannot_be_read_is_answered_with_a_problem_document(head: bytes, status: int, title: str) -> None:
    given, headers, document = await answered(head)
    assert (given, headers["Content-Type"]) == (status, "application/problem+json")
    assert (document["status"], document["title"], document["type"]) == (status, title, "about:blank")
    assert len(headers["X-Request-Id"]) == 32
    assert "detail" in document
