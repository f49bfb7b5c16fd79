"""The middleware in front of every handler: request id, trace, metrics, log line, problem documents."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from time import perf_counter
from typing import Final

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client import Histogram

from sluice_runtime import logging, metrics, tracing
from sluice_runtime.http.doors import rendered, rendered_unrouted
from sluice_runtime.http.exchange import EXCHANGE, Exchange, finish
from sluice_runtime.http.problems import Problem

SLOW_SECONDS: Final = 0.5
"""Requests that take longer get a log line even when all is well; the others do at level debug."""

_UNROUTED: Final = "unrouted"
_PROBES: Final = frozenset({"/live", "/ready", "/metrics"})
_SENDABLE_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}")

Translate = Callable[[Exception], Problem | None]

_random: Final = Random()
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Described:
    """What is the same of all requests of one method to one route."""

    method: str
    route: str
    is_probe: bool
    span: str
    attributes: Mapping[str, str]
    seconds: dict[int, Histogram]

    def observe(self, status: int, seconds: float) -> None:
        """Count an answer by the seconds that it took."""
        histogram = self.seconds.get(status)
        if histogram is None:
            histogram = self.seconds[status] = metrics.HTTP_SECONDS.labels(self.route, self.method, status)
        histogram.observe(seconds)


async def finish_stream(request: web.Request, response: web.StreamResponse) -> None:
    """Finish an answer that begins while its handler is still at work; the one handler of `on_response_prepare`."""
    if EXCHANGE not in request:
        # aiohttp has refused it without asking us: it expects what nobody can do.
        request[EXCHANGE] = Exchange(_new_request_id())
    finish(request, response)


def name_request(request: web.Request, response: web.StreamResponse) -> None:
    """Name the request in its answer, and let its door add to that."""
    exchange = request[EXCHANGE]
    response.headers["X-Request-Id"] = exchange.request_id
    if exchange.door is not None and exchange.door.finish is not None:
        exchange.door.finish(response, request)


def _new_request_id() -> str:
    return f"{_random.getrandbits(128):032x}"


def front(translate: Translate | None) -> Middleware:
    """Return the middleware. It is one and not five because every request pays for each."""

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        began = perf_counter()
        given = request.headers.get("X-Request-Id")
        request_id = given if given and _SENDABLE_REQUEST_ID.fullmatch(given) else _new_request_id()
        exchange = request[EXCHANGE] = Exchange(request_id)
        logging.CURRENT_REQUEST.set(request_id)
        resource = request.match_info.route.resource
        of = _described(request.method, _UNROUTED if resource is None else resource.canonical)
        incoming = tracing.extract(request.headers)
        with tracing.span(of.span, context=incoming, kind=SpanKind.SERVER, attributes=of.attributes) as span:
            try:
                response = await handler(request)
            except Exception as error:
                if isinstance(error, web.HTTPException) and error.status < 400:
                    raise
                if exchange.is_finished:
                    raise  # Its head has gone out.
                response = _answer_to(error, request, of.route, translate)
            is_whole = not exchange.is_finished
            finish(request, response)
            if not of.is_probe:
                # A stream takes as long as somebody listens, which is nobody's fault.
                _note(of, response.status, perf_counter() - began if is_whole else None)
            if span.is_recording():
                span.set_attribute("http.response.status_code", response.status)
                if response.status >= 500:
                    span.set_status(StatusCode.ERROR)
            return response

    return answer


@lru_cache(maxsize=4096)
def _described(method: str, route: str) -> _Described:
    # A method that HTTP does not know is any: callers must not be able to make up ever new series.
    known = method if method in hdrs.METH_ALL else "OTHER"
    attributes = {"http.request.method": known, "http.route": route}
    return _Described(known, route, route in _PROBES, f"{known} {route}", attributes, {})


def _note(of: _Described, status: int, seconds: float | None) -> None:
    if seconds is None:
        seconds = 0.0
    else:
        of.observe(status, seconds)
    note = _log.info if status >= 400 or seconds >= SLOW_SECONDS else _log.debug
    note("request.answered", method=of.method, route=of.route, status=status, milliseconds=round(seconds * 1000, 2))


def _answer_to(error: Exception, request: web.Request, route: str, translate: Translate | None) -> web.StreamResponse:
    if isinstance(error, web.HTTPException):
        return rendered_unrouted(_problem_of(error), request)
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
