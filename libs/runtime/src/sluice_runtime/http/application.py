"""The HTTP application that every service serves, and how it is served."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, cast

from aiohttp import web

from sluice_runtime.http.exchange import FINISHES, Finish
from sluice_runtime.http.front import Translate, finish_stream, front, name_request
from sluice_runtime.http.protocol import Protocol
from sluice_runtime.http.ways import Ways

STOPPING: Final = web.AppKey("stopping", asyncio.Event)
"""Set when the service has been told to stop: a handler that streams must then come to an end."""


def application(*, translate: Translate | None = None) -> web.Application:
    """Return an application whose every answer carries `X-Request-Id` and whose every error is a problem document.

    `translate` may turn an exception of a library (a broker that is away, say) into a problem; what it answers None to,
    and is not a problem already, becomes a 500 that tells the caller nothing and the log everything.
    """
    app = web.Application(middlewares=[front(translate)])
    app[STOPPING] = asyncio.Event()
    finishes: list[Finish] = [name_request]
    app[FINISHES] = finishes
    app.on_response_prepare.append(finish_stream)
    return app


@asynccontextmanager
async def served(app: web.Application, host: str, port: int, *, drain_seconds: float = 5.0) -> AsyncIterator[int]:
    """Serve `app` inside the context; yields the port, which the system chooses where `port` is 0.

    Leaving it stops accepting at once and gives requests in hand up to `drain_seconds`.
    """
    runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=drain_seconds)
    await runner.setup()
    loop, server = asyncio.get_running_loop(), cast(web.Server, runner.server)
    server.request_handler = cast(Any, Ways(app, server.request_handler))
    listener = await loop.create_server(partial(Protocol, server), host, port, backlog=1024)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        await runner.cleanup()
