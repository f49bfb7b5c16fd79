"""HTTP as aiohttp speaks it, and a problem document for what cannot be read as HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import Final

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from sluice_runtime.http.problems import Problem

LONGEST_LINE: Final = 32 * 1024
"""Bytes of a request's target: as many as a query that names six hundred ids has, and fewer than gateways refuse."""

LONGEST_FIELD: Final = 8190
"""Bytes of one header field. Another number than `LONGEST_LINE`, for the parser says only which limit was passed."""

_LINGER_SECONDS: Final = 2.0

_log = structlog.get_logger()


class Protocol(web.RequestHandler):
    """One connection. What it refuses to read never reaches the application, and so no door: it has no path."""

    __slots__ = ("_gone",)

    def __init__(self, server: web.Server) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]
            max_line_size=LONGEST_LINE,
            max_field_size=LONGEST_FIELD,
        )
        self._gone = asyncio.Event()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Note that nobody is there any more."""
        self._gone.set()
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return the answer to what could not be read; the connection ends with it."""
        if not isinstance(exc, HttpProcessingError):
            return super().handle_error(request, status, exc, message)
        problem = _problem_of(exc)
        _log.info("request.unreadable", status=problem.status, error=type(exc).__name__)
        return _LastWords(problem, self._gone)


class _LastWords(web.Response):
    """An answer to somebody who may still be sending.

    A connection that is closed on bytes that nobody has read takes the answer back, so it is left open until the other
    side has closed it, or for a moment.
    """

    def __init__(self, problem: Problem, gone: asyncio.Event) -> None:
        said = problem.response()
        said.headers["X-Request-Id"] = os.urandom(16).hex()
        super().__init__(status=said.status, body=said.body, headers=said.headers)
        self.force_close()
        self._gone = gone

    async def write_eof(self, data: bytes = b"") -> None:
        await super().write_eof(data)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_SECONDS):
                await self._gone.wait()


def _problem_of(error: HttpProcessingError) -> Problem:
    """Return what is wrong: 414 as RFC 9110 has it, 431 as RFC 6585 has it, or 400."""
    if not isinstance(error, LineTooLong):
        return Problem(400, detail="This is not a request that can be read as HTTP.")
    if LONGEST_LINE in error.args:
        return Problem(414, "URI too long", f"A request target may have at most {LONGEST_LINE} bytes.")
    return Problem(431, "Header too large", f"A header field may have at most {LONGEST_FIELD} bytes.")
