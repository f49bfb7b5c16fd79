"""The HTTP application that every service serves, and JSON in and out of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any, Final, cast

import orjson
from aiohttp import web
from pydantic import BaseModel
from pydantic_core import from_json

from sluice_contracts.base import format_instant
from sluice_runtime.front import FINISHES, Finish, Translate, finish, front, name_request
from sluice_runtime.problems import Problem, invalid
from sluice_runtime.protocol import Protocol
from sluice_runtime.validation import refuse_nul

STOPPING: Final = web.AppKey("stopping", asyncio.Event)
"""Set when the service has been told to stop: a handler that streams must then come to an end."""

DEFAULT_BODY_LIMIT: Final = 512 * 1024


def application(*, translate: Translate | None = None) -> web.Application:
    """Return an application whose every answer carries `X-Request-Id` and whose every error is a problem document.

    `translate` may turn an exception of a library (a broker that is away, say) into a problem; what it answers None to,
    and is not a problem already, becomes a 500 that tells the caller nothing and the log everything.
    """
    app = web.Application(middlewares=[front(translate)])
    app[STOPPING] = asyncio.Event()
    finishes: list[Finish] = [name_request]
    app[FINISHES] = finishes
    app.on_response_prepare.append(finish)
    return app


def json_response(data: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return `data` (a model, or whatever JSON can hold) as JSON; times become ISO 8601 with milliseconds and `Z`."""
    return web.Response(
        status=status, body=encode_json(data), headers={**(headers or {}), "Content-Type": "application/json"}
    )


def encode_json(data: Any) -> bytes:
    """Return the JSON bytes of `data`."""
    if isinstance(data, BaseModel):
        return data.model_dump_json().encode()
    try:
        return orjson.dumps(data, default=_plain, option=orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_NON_STR_KEYS)
    except TypeError:
        # orjson knows no integers beyond 64 bits, which callers may well have put into a variable.
        return json.dumps(data, default=_plain, separators=(",", ":")).encode()


async def read_body(request: web.Request, limit: int = DEFAULT_BODY_LIMIT) -> bytes:
    """Return the raw body.

    Raises Problem 413 when it is longer than `limit` bytes, after decompression too.
    """
    if (request.content_length or 0) > limit:
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    try:
        if request.content.is_eof() and request.content.total_bytes <= limit:
            # It came with its headers, as small ones do.
            return request.content.read_nowait()
        while chunk := await request.content.readany():
            size += len(chunk)
            if size > limit:
                raise _too_large(limit)
            chunks.append(chunk)
    except (web.RequestPayloadError, web.HTTPException) as error:
        raise Problem(400, "Unreadable body", "The body could not be decoded.") from error
    return b"".join(chunks)


async def read_json(request: web.Request, limit: int = DEFAULT_BODY_LIMIT) -> Any:
    """Return the parsed JSON body.

    Raises Problem: 413 over `limit` bytes; 422 when it is not JSON or holds a NUL character.
    """
    raw = await read_body(request, limit)
    try:
        data = from_json(raw)
    except ValueError as error:
        raise invalid([{"field": "", "message": f"Invalid JSON: {error}"}]) from error
    refuse_nul(raw)
    return data


def _too_large(limit: int) -> Problem:
    return Problem(413, "Too large", f"A body may have at most {limit} bytes.")


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return format_instant(value)
        case BaseModel():
            return value.model_dump(mode="json")
        case Decimal():
            return float(value)
        case set() | frozenset():
            return sorted(value)
        case _:
            return str(value)


@asynccontextmanager
async def served(app: web.Application, host: str, port: int, *, drain_seconds: float = 5.0) -> AsyncIterator[int]:
    """Serve `app` inside the context; yields the port, which the system chooses where `port` is 0.

    Leaving it stops accepting at once and gives requests in hand up to `drain_seconds`.
    """
    runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=drain_seconds)
    await runner.setup()
    loop, server = asyncio.get_running_loop(), cast(web.Server, runner.server)
    listener = await loop.create_server(partial(Protocol, server), host, port, backlog=1024)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        await runner.cleanup()
