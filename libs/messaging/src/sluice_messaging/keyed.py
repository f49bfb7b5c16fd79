"""The consumer that handles many records at once, and those of one key one after another: for slow calls elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, NamedTuple
from zlib import crc32

from sluice_messaging.membership import Demand
from sluice_messaging.policy import ErrorPolicy, Interrupted
from sluice_messaging.ports import RecordHandler
from sluice_messaging.records import Record
from sluice_messaging.spans import processing
from sluice_messaging.tasks import cancelled
from sluice_messaging.tenure import Tenure
from sluice_runtime import metrics


class _Work(NamedTuple):
    record: Record
    tenure: Tenure


class KeyedDispatcher:
    """Spreads records over lanes, one task and one queue each, by their keys.

    A lane works through its queue in order, so that order within a key costs nothing, also over a rebalance: what comes
    again queues behind what is still running. Records without a key have no order and go by their offset. What is taken
    is bounded by count and by distance, so that one record that cannot succeed for now holds up neither memory nor, far
    sooner than it must, the rest of its partition.
    """

    def __init__(
        self,
        group: str,
        handler: RecordHandler,
        policy: ErrorPolicy,
        *,
        concurrency: int,
        max_in_flight: int,
        max_distance: int,
    ) -> None:
        self._group = group
        self._handler = handler
        self._seconds = metrics.HANDLE_SECONDS.labels(group)
        self._policy = policy
        self._lanes: Final = [asyncio.Queue[_Work]() for _ in range(concurrency)]
        self._max_in_flight = max_in_flight
        self._least_demand = max(1, (max_in_flight - concurrency) // 2)
        self._max_distance = max_distance
        self.linger = 0.0
        self.failure: asyncio.Future[None]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the lanes working while the context is open."""
        self.failure = asyncio.get_running_loop().create_future()
        tasks = [
            asyncio.create_task(self._work_through(lane), name=f"{self._group}: lane {number}")
            for number, lane in enumerate(self._lanes)
        ]
        try:
            yield
        finally:
            await cancelled(*tasks)

    def demand(self, tenure: Tenure) -> Demand | None:
        """Return what fits beside what is in flight; None until enough of it is finished to be worth a fetch."""
        room = self._max_in_flight - tenure.progress.in_flight
        if room < self._least_demand:
            return None
        return Demand(room, tenure.progress.overdrawn(self._max_distance))

    async def dispatch(self, records: Sequence[Record], tenure: Tenure) -> None:
        """Queue `records` and return."""
        for record in records:
            tenure.progress.begin(record)
            self._lane(record).put_nowait(_Work(record, tenure))

    def _lane(self, record: Record) -> asyncio.Queue[_Work]:
        return self._lanes[(record.offset if record.key is None else crc32(record.key)) % len(self._lanes)]

    async def _work_through(self, lane: asyncio.Queue[_Work]) -> None:
        try:
            while True:
                record, tenure = await lane.get()
                if not tenure.over.is_set():
                    with tenure.working():
                        await self._settle(record, tenure)
        except Exception as error:  # noqa: BLE001 - whatever ends a lane ends the consumer
            if not self.failure.done():
                self.failure.set_exception(error)

    async def _settle(self, record: Record, tenure: Tenure) -> None:
        try:
            await self._policy.settle(record, partial(self._handle, record), tenure)
        except Interrupted:
            return

    async def _handle(self, record: Record) -> None:
        with self._seconds.time(), processing(record, self._group):
            await self._handler(record)
