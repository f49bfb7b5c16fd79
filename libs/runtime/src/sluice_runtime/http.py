"""The HTTP application that every service serves: request ids, traces, metrics, one log line, problem documents."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from decimal import Decimal
from time import perf_counter
from typing import Any, Final
from uuid import uuid4

import orjson
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from opentelemetry import context as trace_context
from opentelemetry.trace import SpanKind
from pydantic import BaseModel

from sluice_contracts.base import format_instant
from sluice_runtime import metrics, tracing
from sluice_runtime.problems import Problem, invalid

STOPPING: Final = web.AppKey("stopping", asyncio.Event)
"""Set when the service has been told to stop: a handler that streams must then come to an end."""

REQUEST_ID: Final = "request_id"
DEFAULT_BODY_LIMIT: Final = 512 * 1024

_UNROUTED: Final = "unrouted"
_PROBES: Final = frozenset({"/live", "/ready", "/metrics"})
_SENDABLE_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_ESCAPED_NUL: Final = b"\\u0000"

Translate = Callable[[Exception], Problem | None]

_log = structlog.get_logger()


def application(*, translate: Translate | None = None) -> web.Application:
    """Return an application whose every answer carries `X-Request-Id` and whose every error is a problem document.

    `translate` may turn an exception of a library (a broker that is away, say) into a problem; what it answers None to,
    and is not a problem already, becomes a 500 that tells the caller nothing and the log everything.
    """
    app = web.Application(middlewares=[_observe, _problems(translate)])
    app[STOPPING] = asyncio.Event()
    app.on_response_prepare.append(_write_request_id)
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
    try:
        body = await request.content.readany()
        if request.content.at_eof():
            chunks = [body]
        else:
            chunks, size = [body], len(body)
            while chunk := await request.content.readany():
                size += len(chunk)
                if size > limit:
                    raise _too_large(limit)
                chunks.append(chunk)
    except (web.RequestPayloadError, web.HTTPException) as error:
        raise Problem(400, "Unreadable body", "The body could not be decoded.") from error
    body = b"".join(chunks)
    if len(body) > limit:
        raise _too_large(limit)
    return body


async def read_json(request: web.Request, limit: int = DEFAULT_BODY_LIMIT) -> Any:
    """Return the parsed JSON body.

    Raises Problem: 413 over `limit` bytes; 422 when it is not JSON or holds a NUL character.
    """
    raw = await read_body(request, limit)
    try:
        data = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise invalid([{"field": "", "message": f"not valid JSON: {error}"}]) from error
    refuse_nul(raw)
    return data


def refuse_nul(raw: bytes) -> None:
    """Return if no string of the JSON document `raw` holds a NUL character, which PostgreSQL cannot store.

    Raises Problem 422 naming the field.
    """
    if _ESCAPED_NUL not in raw:
        return
    field = _nul_within(json.loads(raw), ())
    if field is not None:
        raise invalid([{"field": field, "message": "must not hold the NUL character"}])


def _nul_within(value: Any, path: tuple[str, ...]) -> str | None:
    match value:
        case str():
            return ".".join(path) if "\x00" in value else None
        case dict():
            items: Iterator[tuple[str, Any]] = iter(value.items())
        case list():
            items = ((str(place), item) for place, item in enumerate(value))
        case _:
            return None
    for key, item in items:
        found = ".".join(path) if "\x00" in key else _nul_within(item, (*path, key))
        if found is not None:
            return found
    return None


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


def route_of(request: web.Request) -> str:
    """Return the path pattern that the request matched, with its `{placeholders}`."""
    resource = request.match_info.route.resource
    return _UNROUTED if resource is None else resource.canonical


async def _write_request_id(request: web.Request, response: web.StreamResponse) -> None:
    response.headers["X-Request-Id"] = request.get(REQUEST_ID) or uuid4().hex
    request["prepared"] = True


@web.middleware
async def _observe(request: web.Request, handler: Handler) -> web.StreamResponse:
    began = perf_counter()
    given = request.headers.get("X-Request-Id", "")
    request_id = given if _SENDABLE_REQUEST_ID.fullmatch(given) else uuid4().hex
    request[REQUEST_ID] = request_id
    route = route_of(request)
    if route in _PROBES:
        return await handler(request)
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=request_id)
    with _traced(request, route) as note_status:
        response = await handler(request)
        note_status(response.status)
        seconds = perf_counter() - began
        if isinstance(response, web.Response):
            metrics.HTTP_SECONDS.labels(route, request.method, response.status).observe(seconds)
        _log.info(
            "request.answered",
            method=request.method,
            route=route,
            status=response.status,
            milliseconds=round(seconds * 1000, 2),
        )
    return response


@contextmanager
def _traced(request: web.Request, route: str) -> Iterator[Callable[[int], None]]:
    incoming = tracing.extract(request.headers)
    if tracing.is_recording():
        attributes = {"http.request.method": request.method, "http.route": route}
        with tracing.tracer().start_as_current_span(
            f"{request.method} {route}", context=incoming, kind=SpanKind.SERVER, attributes=attributes
        ) as span:
            yield lambda status: span.set_attribute("http.response.status_code", status)
    elif incoming:
        token = trace_context.attach(incoming)
        try:
            yield _ignore
        finally:
            trace_context.detach(token)
    else:
        yield _ignore


def _ignore(status: int) -> None:
    """Nobody records spans, so nobody wants to know the status."""


def _problems(translate: Translate | None) -> Middleware:
    @web.middleware
    async def answer_with_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Problem as problem:
            return problem.response()
        except web.HTTPException as error:
            if error.status < 400:
                raise
            return _problem_of(error).response()
        except Exception as error:
            if request.get("prepared"):
                raise
            problem_or_none = translate(error) if translate else None
            if problem_or_none is None:
                _log.exception("request.failed", route=route_of(request), method=request.method)
                problem_or_none = Problem(500, detail="Something went wrong on our side. The request id names it.")
            return problem_or_none.response()

    return answer_with_problems


def _problem_of(error: web.HTTPException) -> Problem:
    match error:
        case web.HTTPNotFound():
            return Problem(404, detail="Nothing is served at this path.")
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            return Problem(405, detail=f"Allowed here: {allowed}.", headers={"Allow": allowed})
        case _:
            return Problem(error.status)


@asynccontextmanager
async def served(app: web.Application, host: str, port: int, *, drain_seconds: float = 5.0) -> AsyncIterator[int]:
    """Serve `app` inside the context; yields the port, which the system chooses where `port` is 0.

    Leaving it stops accepting at once and gives requests in hand up to `drain_seconds`.
    """
    runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=drain_seconds)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, backlog=1024).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
