"""The life of a service: build, serve, supervise, and stop cleanly within ten seconds."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn, TypeVar

import structlog
import uvloop
from aiohttp import web
from pydantic import ValidationError

from sluice_runtime import logging, tracing
from sluice_runtime.clock import Clock
from sluice_runtime.http.application import STOPPING, application, served
from sluice_runtime.http.probes import Health, Heartbeat
from sluice_runtime.resources import BoundedExitStack, bounded
from sluice_runtime.settings import ServiceSettings

DRAIN_SECONDS: Final = 8.0
HTTP_DRAIN_SECONDS: Final = 5.0
GIVE_UP_SECONDS: Final = 12.0
_COLLECTED_AFTER: Final = (10_000, 20, 50)
"""Containers made and not freed again, young collections, middle ones: after so many it is the next one's turn."""

Loop = Callable[[asyncio.Event], Awaitable[None]]
S = TypeVar("S", bound=ServiceSettings)
Build = Callable[[S, AsyncExitStack, Clock], Awaitable["Service"]]

_log = structlog.get_logger()


async def _always_ready() -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Service:
    """What a service consists of once it is built.

    `http` is an application from `http.application`, None for a service that serves only the probes. `loops` run until
    the event that they get is set, and must then return soon. `ready` answers None, or why the service is not ready.
    """

    http: web.Application | None = None
    loops: Mapping[str, Loop] = field(default_factory=dict)
    ready: Callable[[], Awaitable[str | None]] = _always_ready


def run_service(name: str, settings_type: type[S], build: Build[S]) -> NoReturn:
    """Run the service `name` until it is told to stop (SIGTERM or SIGINT) or one of its loops ends. Exits the process.

    `build` opens what the service needs and pushes it onto the stack that it gets. Exit codes: 0 told to stop; 1 a
    loop ended early, or building failed; 2 the settings are wrong. A second signal exits at once.
    """
    try:
        settings = settings_type()
    except ValidationError as error:
        sys.stderr.write(_explain(error))
        sys.exit(2)
    logging.configure(name, settings.log_format, settings.log_level)
    tracing.configure(name, endpoint=settings.otlp_endpoint, ratio=settings.trace_ratio)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        code = runner.run(_run_until_signalled(settings, build))
    tracing.shut_down()
    sys.exit(code)


async def serve(settings: S, build: Build[S], stop: asyncio.Event) -> int:
    """Build the service and run it until `stop` is set or a loop ends; return the exit code."""
    async with BoundedExitStack() as resources:
        try:
            service = await build(settings, resources, settings.clock())
        except Exception:  # noqa: BLE001 - whatever keeps it from starting is logged and becomes the exit code
            _log.exception("service.start_failed")
            return 1
        app = service.http if service.http is not None else application()
        heartbeat = Heartbeat()
        health = Health(heartbeat, service.ready)
        health.add_to(app)
        resources.push_async_callback(_cancel, asyncio.create_task(heartbeat.run(), name="heartbeat"))
        http = await _listening(app, settings, resources)
        names = {asyncio.create_task(_run(loop, stop)): name for name, loop in service.loops.items()}
        await _first_end(names, stop)
        code = 0 if stop.is_set() else 1
        _log.info("service.stopping", exit_code=code)
        health.stopping = True
        stop.set()
        app[STOPPING].set()
        if service.http is not None:
            await asyncio.gather(http.aclose(), _drain(names))
        else:
            await _drain(names)
        return max(code, *(_code_of(task, name) for task, name in names.items()), 0)


async def _run_until_signalled(settings: S, build: Build[S]) -> int:
    loop = asyncio.get_running_loop()
    main = asyncio.current_task()
    stop = asyncio.Event()
    building = True

    async def build_and_note(*arguments: Any) -> Service:
        nonlocal building
        service = await build(*arguments)
        _spare_what_is_built()
        building = False
        return service

    def on_signal(number: int) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()
        loop.call_later(GIVE_UP_SECONDS, _give_up)
        if building and main is not None:
            main.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    try:
        return await serve(settings, build_and_note, stop)
    except asyncio.CancelledError:
        if not stop.is_set():
            raise
        return 0
    finally:
        _log.info("service.stopped")


def _spare_what_is_built() -> None:
    """Have the collector of reference cycles look neither at what lives as long as the process nor all the time.

    Left to itself it takes about a tenth of a busy process's time. Hardly anything here is freed by it: requests,
    records and rows go when the last reference to them does.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECTED_AFTER)


def _give_up() -> None:
    _log.error("service.gave_up", seconds=GIVE_UP_SECONDS)
    os._exit(1)


async def _listening(app: web.Application, settings: ServiceSettings, resources: AsyncExitStack) -> AsyncExitStack:
    """Serve `app`; return the stack that stops it, which `resources` would close last of all if nobody did before."""
    http = AsyncExitStack()
    port = await http.enter_async_context(
        served(app, settings.http_host, settings.http_port, drain_seconds=HTTP_DRAIN_SECONDS)
    )
    resources.push_async_callback(http.aclose)
    _log.info("service.started", host=settings.http_host, port=port)
    return http


async def _first_end(tasks: Iterable[asyncio.Task[None]], stop: asyncio.Event) -> None:
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({*tasks, stopped}, return_when=asyncio.FIRST_COMPLETED)
    await _cancel(stopped)


async def _run(loop: Loop, stop: asyncio.Event) -> None:
    await loop(stop)


async def _drain(names: Mapping[asyncio.Task[None], str]) -> None:
    if not names:
        return
    _, late = await asyncio.wait(names, timeout=DRAIN_SECONDS)
    for task in late:
        _log.warning("loop.drain_timed_out", loop=names[task], seconds=DRAIN_SECONDS)
        task.cancel()
    if late:
        await bounded("loops", asyncio.wait(late), 1.0)


def _code_of(task: asyncio.Task[None], name: str) -> int:
    if not task.done() or task.cancelled():
        return 0
    error = task.exception()
    if error is None:
        return 0
    _log.error("loop.failed", loop=name, exc_info=error)
    return 1


async def _cancel(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _explain(error: ValidationError) -> str:
    lines = [f"  SLUICE_{'_'.join(map(str, item['loc'])).upper()}: {item['msg']}" for item in error.errors()]
    return "The settings are wrong:\n" + "\n".join(lines) + "\n"
