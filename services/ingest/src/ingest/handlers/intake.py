"""The one way from a door to the broker: bounded in bytes under way and in time, so that no caller ever hangs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import structlog

from sluice_messaging.errors import BrokerUnavailableError, RecordTooLargeError
from sluice_messaging.ports import EventPublisher
from sluice_messaging.records import OutboundRecord
from sluice_runtime.http.problems import Problem

RETRY_SECONDS: Final = 2
_OVERHEAD_BYTES: Final = 2048
"""What a request that waits takes in memory beside its record's value."""

_log = structlog.get_logger()


class Intake:
    """Appends records and answers for it.

    At most about `max_bytes` of memory is under way at once; an append takes at most `seconds`. Invariant: what
    `append` returned from is stored by all replicas in step; what it raised from may be stored all the same.
    """

    def __init__(self, publisher: EventPublisher, *, max_bytes: int, seconds: float) -> None:
        self._publisher = publisher
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._bytes = 0
        self._failing = False

    async def append(self, records: Sequence[OutboundRecord]) -> None:
        """Return once the broker has every record.

        Raises Problem 503 with Retry-After when it does not take them in time, or too much is waiting for it already;
        413 for a record that no broker takes.
        """
        size = sum(len(record.value) + _OVERHEAD_BYTES for record in records)
        if self._bytes and self._bytes + size > self._max_bytes:
            raise _unavailable("Too many events are waiting to be stored.")
        self._bytes += size
        try:
            await self._publisher.publish(records, timeout=self._seconds)
        except BrokerUnavailableError as error:
            if not self._failing:
                _log.warning("broker.unavailable", error=str(error))
            self._failing = True
            raise _unavailable("The event could not be stored.") from error
        except RecordTooLargeError as error:
            raise Problem(413, "Too large", "The event is too large to be stored.") from error
        finally:
            self._bytes -= size
        self._failing = False

    async def trouble(self) -> str | None:
        """Return why nothing can be taken in now, None where nothing speaks against it."""
        if not self._failing:
            return None
        if await self._publisher.healthy():
            self._failing = False
            return None
        return "the broker takes no events"


def _unavailable(detail: str) -> Problem:
    return Problem(503, "Not available", f"{detail} Try again.", headers={"Retry-After": str(RETRY_SECONDS)})
