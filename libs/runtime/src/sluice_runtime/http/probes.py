"""What an orchestrating platform asks: `/live` (can this process work?), `/ready` (should it get work?), `/metrics`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final

import structlog
from aiohttp import web

from sluice_runtime import metrics
from sluice_runtime.http.bodies import json_response

BEAT_SECONDS: Final = 0.5
STALE_SECONDS: Final = 15.0
_READY_SECONDS: Final = 2.0
_NOTABLE_LAG_SECONDS: Final = 1.0

_log = structlog.get_logger()


class Heartbeat:
    """Proves that the event loop turns, and measures how late it wakes."""

    def __init__(self) -> None:
        self._beat_at = monotonic()

    def age(self) -> float:
        """Return the seconds since the last beat."""
        return monotonic() - self._beat_at

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            lag = max(0.0, self.age() - BEAT_SECONDS)
            self._beat_at = monotonic()
            metrics.LOOP_LAG_SECONDS.set(lag)
            if lag > _NOTABLE_LAG_SECONDS:
                _log.warning("loop.lagged", seconds=round(lag, 2))


class Health:
    """A service's answers to the probes. `ready` says why it is not ready, or None."""

    def __init__(self, heartbeat: Heartbeat, ready: Callable[[], Awaitable[str | None]]) -> None:
        self._heartbeat = heartbeat
        self._ready = ready
        self.stopping = False

    def add_to(self, app: web.Application) -> None:
        """Serve the three probes in `app`."""
        app.router.add_get("/live", self._answer_live)
        app.router.add_get("/ready", self._answer_ready)
        app.router.add_get("/metrics", metrics.serve)

    async def reason(self) -> str | None:
        """Return why the service should get no work, None when it should. Never raises; takes at most two seconds."""
        if self.stopping:
            return "stopping"
        try:
            async with asyncio.timeout(_READY_SECONDS):
                return await self._ready()
        except TimeoutError:
            return "the readiness check takes too long"
        except Exception as error:  # noqa: BLE001 - whatever keeps the check from answering keeps the service from work
            return f"{type(error).__name__} while checking"

    async def _answer_live(self, request: web.Request) -> web.Response:
        age = self._heartbeat.age()
        alive = age < STALE_SECONDS
        return json_response({"live": alive, "heartbeat_age": round(age, 3)}, 200 if alive else 503)

    async def _answer_ready(self, request: web.Request) -> web.Response:
        reason = await self.reason()
        return json_response({"ready": reason is None, "reason": reason}, 200 if reason is None else 503)
