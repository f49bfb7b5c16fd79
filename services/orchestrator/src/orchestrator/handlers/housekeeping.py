"""What is done now and then: measure how late the work is, and forget what has long been over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

import structlog

from orchestrator.adapters import waits
from orchestrator.adapters.ages import oldest_work
from orchestrator.adapters.records import forget_triggers, note_spent_triggers
from sluice_runtime import metrics
from sluice_runtime.clock import Clock
from sluice_runtime.pausing import pause
from sluice_storage.database import Database
from sluice_storage.errors import is_transient

_MEASURE_SECONDS: Final = 5.0
_FORGET_SECONDS: Final = 600.0
_TRY_AGAIN_SECONDS: Final = 5.0
_FORGET_BATCH: Final = 500
_SETTLED: Final = timedelta(minutes=1)
"""Longer than any statement runs: what was noted as spent so long ago, everybody sees."""

_log = structlog.get_logger()


class Housekeeping:
    """Runs in every copy; each does a little, and together they do not disturb each other."""

    def __init__(self, database: Database, clock: Clock, fed_below: int, retention: timedelta) -> None:
        self._database = database
        self._clock = clock
        self._fed_below = fed_below
        self._retention = retention

    async def measure(self, stop: asyncio.Event) -> None:
        """Keep the gauges of late work up to date until `stop` is set."""
        await _every(_MEASURE_SECONDS, self.measure_once, stop)

    async def forget(self, stop: asyncio.Event) -> None:
        """Remove old triggers until `stop` is set."""
        await _every(_FORGET_SECONDS, self.forget_once, stop)

    async def measure_once(self) -> None:
        """Set the gauges."""
        now = self._clock.now()
        async with self._database.connection() as connection:
            ages = await oldest_work(connection, now, self._fed_below)
        metrics.OLDEST_OPEN_SECONDS.set(_age(ages.opened_at, now))
        metrics.OPEN_TIMERS_LATE_SECONDS.set(max(_age(ages.stage_due_at, now), _age(ages.command_due_at, now)))

    async def forget_once(self) -> None:
        """Remove everything of which nothing is open and that is older than the retention, a batch at a time.

        A trigger whose id counts for good is noted as spent in one round and removed in a later one.
        """
        now = self._clock.now()
        before = now - self._retention
        while True:
            async with self._database.connection() as connection:
                await note_spent_triggers(connection, before, now, _FORGET_BATCH)
                forgotten = await forget_triggers(connection, before, _FORGET_BATCH, now - _SETTLED)
                await waits.forget(connection, before, _FORGET_BATCH)
            if forgotten:
                _log.info("triggers.forgotten", triggers=forgotten)
            if forgotten < _FORGET_BATCH:
                return


async def _every(seconds: float, work: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
    while not stop.is_set():
        wait = seconds
        try:
            await work()
        except Exception as error:
            if not is_transient(error):
                raise
            _log.warning("housekeeping.delayed", error=type(error).__name__)
            wait = min(seconds, _TRY_AGAIN_SECONDS)
        await pause(wait, stop)


def _age(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())
