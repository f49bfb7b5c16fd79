"""The consumer that hands over many records at once: for work whose cost is per call, like a statement or a publish."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from sluice_messaging.membership import Demand
from sluice_messaging.policy import ErrorPolicy, Interrupted
from sluice_messaging.ports import BatchHandler
from sluice_messaging.records import Record
from sluice_messaging.spans import processing_batch
from sluice_messaging.tenure import Tenure
from sluice_runtime import metrics


class BatchDispatcher:
    """Handles one batch at a time; the next is fetched when it is settled."""

    def __init__(
        self, group: str, handler: BatchHandler, policy: ErrorPolicy, *, max_records: int, linger: float
    ) -> None:
        self._group = group
        self._handler = handler
        self._seconds = metrics.HANDLE_SECONDS.labels(group)
        self._policy = policy
        self._demand = Demand(max_records)
        self.linger = linger
        self.failure: asyncio.Future[None]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the dispatcher able to work while the context is open."""
        self.failure = asyncio.get_running_loop().create_future()
        yield

    def demand(self, tenure: Tenure) -> Demand | None:
        """Return a whole batch: this is asked only between batches."""
        return self._demand

    async def dispatch(self, records: Sequence[Record], tenure: Tenure) -> None:
        """Return when every one of `records` is settled, or the tenure is over."""
        for record in records:
            tenure.progress.begin(record)
        with tenure.working():
            try:
                await self._policy.settle_batch(records, self._handle, tenure)
            except Interrupted:
                return

    async def _handle(self, records: Sequence[Record]) -> None:
        with self._seconds.time(), processing_batch(records, self._group):
            await self._handler(records)
