"""Loops beside the topics: deadlines of receipts, and how old the oldest unfinished work is."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Final, Protocol

import structlog

from sluice_runtime import metrics
from sluice_runtime.clock import Clock
from sluice_runtime.pausing import pause
from sluice_storage.errors import is_transient

SWEEP_SECONDS: Final = 1.0
MEASURE_SECONDS: Final = 15.0

_log = structlog.get_logger()


class Deadlines(Protocol):
    """What settles pages whose receipts are overdue; returns how many it looked at."""

    async def sweep(self, now: datetime) -> int:
        """Settle some pages."""
        ...


class Unfinished(Protocol):
    """What knows the oldest execution that is not at its end."""

    async def oldest_unfinished(self) -> datetime | None:
        """Return when it was started, None if there is none."""
        ...


class Sweeper:
    """Gives up on receipts that are overdue by the service's clock."""

    def __init__(self, deadlines: Deadlines, clock: Clock) -> None:
        self._deadlines = deadlines
        self._clock = clock

    async def run(self, stop: asyncio.Event) -> None:
        """Sweep until `stop` is set. Fits `Service.loops`."""
        while not stop.is_set():
            if not await self._sweep():
                await pause(SWEEP_SECONDS, stop)

    async def _sweep(self) -> int:
        try:
            pages = await self._deadlines.sweep(self._clock.now())
        except Exception as error:
            if not is_transient(error):
                raise
            _log.warning("deadlines.postponed", error=type(error).__name__)
            return 0
        if pages:
            _log.info("deadlines.swept", pages=pages)
        return pages


class Gauge:
    """Measures how old the oldest unfinished execution is."""

    def __init__(self, unfinished: Unfinished, clock: Clock) -> None:
        self._unfinished = unfinished
        self._clock = clock

    async def run(self, stop: asyncio.Event) -> None:
        """Measure until `stop` is set. Fits `Service.loops`."""
        while not stop.is_set():
            await self._measure()
            await pause(MEASURE_SECONDS, stop)

    async def _measure(self) -> None:
        try:
            started_at = await self._unfinished.oldest_unfinished()
        except Exception as error:
            if not is_transient(error):
                raise
            _log.warning("gauge.postponed", error=type(error).__name__)
            return
        age = 0.0 if started_at is None else (self._clock.now() - started_at).total_seconds()
        metrics.OLDEST_OPEN_SECONDS.set(max(0.0, age))
