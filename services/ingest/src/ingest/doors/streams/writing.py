"""The loop that writes down what streams counted, about once a second."""

from __future__ import annotations

import asyncio
from datetime import UTC
from typing import Final

import structlog

from ingest.doors.streams.activity import StreamActivity
from sluice_catalog.stream_counts import StreamCounts
from sluice_runtime.clock import Clock
from sluice_runtime.pausing import pause

_SECONDS: Final = 1.0
_AWAY_SECONDS: Final = 5.0

_log = structlog.get_logger()


class ActivityWriter:
    """Writes counts in batches. While Postgres is away they wait in memory, which the number of streams bounds."""

    def __init__(self, activity: StreamActivity, counts: StreamCounts, clock: Clock) -> None:
        self._activity = activity
        self._counts = counts
        self._clock = clock

    async def run(self, stop: asyncio.Event) -> None:
        """Write until `stop` is set, and then what is left. Fits `Service.loops`."""
        wait = _SECONDS
        while not stop.is_set():
            await pause(wait, stop)
            wait = _SECONDS if await self.write() else _AWAY_SECONDS
        await self.write()

    async def write(self) -> bool:
        """Write what is waiting, and learn what other copies wrote; say whether that worked. Never raises."""
        counts = self._activity.take()
        try:
            if counts:
                self._activity.learn(await self._counts.add(counts.accepted, counts.refused), self._clock.now())
        except Exception as error:  # noqa: BLE001 - counts can wait: the service goes on
            self._activity.give_back(counts)
            _log.warning("stream_counts.unwritten", error=type(error).__name__)
            return False
        return await self._learn()

    async def _learn(self) -> bool:
        asked = self._activity.take_asked()
        if not asked:
            return True
        now = self._clock.now()
        try:
            self._activity.learn(await self._counts.accepted_on(asked, now.astimezone(UTC).date()), now)
        except Exception as error:  # noqa: BLE001 - what this copy knows by itself goes on counting
            _log.warning("stream_counts.unread", error=type(error).__name__)
            return False
        return True
