"""The middleware in front of every handler: request id, trace, metrics, log line, problem documents."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import lru_cache
from time import perf_counter
from typing import Final

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client import Histogram

from sluice_runtime import logging, metrics, tracing
from sluice_runtime.doors import DOOR, rendered, rendered_unrouted
from sluice_runtime.problems import Problem

REQUEST_ID: Final = web.RequestKey("request_id", str)
SLOW_SECONDS: Final = 0.5
"""Requests that take longer get a log line even when all is well; the others do at level debug."""

_BEGUN: Final = web.RequestKey("begun", bool)
_UNROUTED: Final = "unrouted"
_PROBES: Final = frozenset({"/live", "/ready", "/metrics"})
_SENDABLE_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}")

Translate = Callable[[Exception], Problem | None]

_log = structlog.get_logger()


def route_of(request: web.Request) -> str:
    """Return the path pattern that the request matched, with its `{placeholders}`."""
    resource = request.match_info.route.resource
    return _UNROUTED if resource is None else resource.canonical


async def write_request_id(request: web.Request, response: web.StreamResponse) -> None:
    """Name the request in its answer, of whatever kind; a signal handler for `on_response_prepare`."""
    response.headers["X-Request-Id"] = request.get(REQUEST_ID) or _new_request_id()
    request[_BEGUN] = True
    door = request.get(DOOR)
    if door is not None and door.finish is not None:
        door.finish(response, request)


def _new_request_id() -> str:
    return os.urandom(16).hex()


def front(translate: Translate | None) -> Middleware:
    """Return the middleware. It is one and not five because every request pays for each."""

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        began = perf_counter()
        given = request.headers.get("X-Request-Id")
        request_id = given if given and _SENDABLE_REQUEST_ID.fullmatch(given) else _new_request_id()
        request[REQUEST_ID] = request_id
        logging.CURRENT_REQUEST.set(request_id)
        route = route_of(request)
        method = _known(request.method)
        attributes = {"http.request.method": method, "http.route": route}
        incoming = tracing.extract(request.headers)
        with tracing.span(f"{method} {route}", context=incoming, kind=SpanKind.SERVER, attributes=attributes) as span:
            try:
                response = await handler(request)
            except Exception as error:  # noqa: BLE001 - whatever went wrong, a caller gets a document and the log the rest
                response = _answer_to(error, request, route, translate)
            if route not in _PROBES:
                _note(method, route, response, perf_counter() - began)
            if span.is_recording():
                span.set_attribute("http.response.status_code", response.status)
                if response.status >= 500:
                    span.set_status(StatusCode.ERROR)
            return response

    return answer


def _known(method: str) -> str:
    """Return `method` if HTTP knows it: callers must not be able to make up ever new series."""
    return method if method in hdrs.METH_ALL else "OTHER"


def _note(method: str, route: str, response: web.StreamResponse, seconds: float) -> None:
    status = response.status
    if isinstance(response, web.Response):
        _timer(route, method, status).observe(seconds)
    else:
        seconds = 0.0  # a stream takes as long as somebody listens, which is nobody's fault
    note = _log.info if status >= 400 or seconds >= SLOW_SECONDS else _log.debug
    note("request.answered", method=method, route=route, status=status, milliseconds=round(seconds * 1000, 2))


@lru_cache(maxsize=4096)
def _timer(route: str, method: str, status: int) -> Histogram:
    return metrics.HTTP_SECONDS.labels(route, method, status)


def _answer_to(error: Exception, request: web.Request, route: str, translate: Translate | None) -> web.StreamResponse:
    if isinstance(error, web.HTTPException):
        if error.status < 400:
            raise error
        return rendered_unrouted(_problem_of(error), request)
    if request.get(_BEGUN):
        raise error
    problem = error if isinstance(error, Problem) else translate(error) if translate else None
    if problem is None:
        _log.error("request.failed", route=route, method=request.method, exc_info=error)
        problem = Problem(500, detail="Something went wrong on our side. The request id names it.")
    return rendered(problem, request)


def _problem_of(error: web.HTTPException) -> Problem:
    match error:
        case web.HTTPNotFound():
            return Problem(404, detail="Nothing is served at this path.")
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            return Problem(405, detail=f"Allowed here: {allowed}.", headers={"Allow": allowed})
        case _:
            return Problem(error.status)
