"""Opens and clicks on their way to the broker, behind the recipient's back: a page must not wait for it."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

import structlog

from sluice_contracts import topics
from sluice_contracts.messages.receipt import TrackingReceived
from sluice_messaging.errors import TransientError
from sluice_messaging.ports import EventPublisher
from sluice_messaging.records import OutboundRecord, outbound
from sluice_runtime.pausing import pause, pause_until_any

_BATCH: Final = 500
_PAUSE_SECONDS: Final = 1.0
_PUBLISH_SECONDS: Final = 2.0

_log = structlog.get_logger()


def tracking_record(event: TrackingReceived) -> OutboundRecord:
    """Return the record of one engagement; those of one message keep their order."""
    return outbound(topics.receipts(event.channel), event)


class Engagements:
    """A bounded queue. While the broker is away it fills; once full, the oldest are dropped and counted in the log."""

    def __init__(self, publisher: EventPublisher, capacity: int) -> None:
        self._publisher = publisher
        self._waiting: deque[OutboundRecord] = deque(maxlen=capacity)
        self._filled = asyncio.Event()
        self._dropped = 0

    def add(self, event: TrackingReceived) -> None:
        """Take an engagement; returns at once."""
        self._dropped += len(self._waiting) == self._waiting.maxlen
        self._waiting.append(tracking_record(event))
        self._filled.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Publish what is waiting until `stop` is set, and then what is left, if the broker takes it."""
        while not stop.is_set():
            await pause_until_any(self._filled, stop)
            if not await self._flush():
                await pause(_PAUSE_SECONDS, stop)
        if not await self._flush() and self._waiting:
            _log.warning("engagements.lost", count=len(self._waiting))

    async def _flush(self) -> bool:
        self._filled.clear()
        if self._dropped:
            _log.warning("engagements.dropped", count=self._dropped)
            self._dropped = 0
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
            try:
                await self._publisher.publish(batch, timeout=_PUBLISH_SECONDS)
            except TransientError as error:
                _log.warning("engagements.delayed", count=len(batch) + len(self._waiting), error=str(error))
                self._put_back(batch)
                self._filled.set()
                return False
        return True

    def _put_back(self, batch: list[OutboundRecord]) -> None:
        room = (self._waiting.maxlen or 0) - len(self._waiting)
        self._dropped += max(0, len(batch) - room)
        self._waiting.extendleft(reversed(batch[max(0, len(batch) - room) :]))
