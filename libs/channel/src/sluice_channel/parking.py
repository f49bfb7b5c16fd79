"""Receipts whose job is not known: put aside and tried again, for an hour, because a message may be recorded late."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog

from sluice_channel import arrivals
from sluice_channel.arrivals import Arrival
from sluice_contracts.vocabulary import Channel
from sluice_messaging.errors import TransientError
from sluice_runtime import metrics
from sluice_runtime.clock import Clock
from sluice_runtime.pausing import pause
from sluice_storage import statements
from sluice_storage.database import Database
from sluice_storage.errors import is_transient

PATIENCE: Final = timedelta(hours=1)
FIRST_WAIT: Final = timedelta(seconds=2)
LONGEST_WAIT: Final = timedelta(minutes=5)
BATCH: Final = 200
_LOOK_SECONDS: Final = 1.0

_sql = statements.load("sluice_channel", "receipts.sql")
_log = structlog.get_logger()

Apply = Callable[[Sequence[Arrival]], Awaitable[list[Arrival]]]
"""Carries out receipts and returns those whose job is still not known."""


def wait_after(tries: int) -> timedelta:
    """Return how long a receipt waits that has been tried `tries` times."""
    return min(FIRST_WAIT * (1 << min(tries, 16)), LONGEST_WAIT)


class Parking:
    """The receipts of one channel that wait for their message."""

    def __init__(self, channel: Channel, database: Database, clock: Clock) -> None:
        self._channel = channel
        self._database = database
        self._clock = clock

    async def park(self, unknown: Sequence[Arrival], now: datetime) -> None:
        """Put receipts aside."""
        _log.info("receipts.parked", count=len(unknown))
        async with self._database.connection() as connection:
            await connection.execute(_sql.park, [arrival.pack() for arrival in unknown], now, now + wait_after(0))

    async def retry(self, apply: Apply) -> int:
        """Try what is due once more; return how many receipts that were."""
        now = self._clock.now()
        async with self._database.connection() as connection:
            metrics.PARKED_RECEIPTS.labels(self._channel).set(await connection.fetchval(_sql.count_parked))
            rows = await connection.fetch(_sql.due_receipts, now, now + LONGEST_WAIT, BATCH)
        if not rows:
            return 0
        waiting = {row["id"]: arrivals.unpack(row["receipt"]) for row in rows}
        unknown = {id(arrival) for arrival in await apply(list(waiting.values()))}
        done: list[int] = []
        async with self._database.connection() as connection:
            for row in rows:
                if id(waiting[row["id"]]) not in unknown:
                    done.append(row["id"])
                elif row["parked_at"] < now - PATIENCE:
                    metrics.ABANDONED_RECEIPTS.labels(self._channel).inc()
                    done.append(row["id"])
                else:
                    await connection.execute(_sql.postpone, row["id"], now + wait_after(row["tries"]))
            await connection.execute(_sql.unpark, done)
        return len(rows)

    async def run(self, apply: Apply, stop: asyncio.Event) -> None:
        """Try again what is due, every second, until `stop` is set."""
        while not stop.is_set():
            try:
                busy = await self.retry(apply) == BATCH
            except Exception as error:
                if not (isinstance(error, TransientError) or is_transient(error)):
                    raise
                _log.warning("receipts.retry_waits", error=type(error).__name__)
                busy = False
            if not busy:
                await pause(_LOOK_SECONDS, stop)
