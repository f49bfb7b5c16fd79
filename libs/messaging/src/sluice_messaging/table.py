"""A compacted topic as a table, kept by every process that wants it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Final

import structlog

from sluice_messaging.errors import BrokerUnavailableError
from sluice_messaging.ports import RecordObserver
from sluice_messaging.records import Record
from sluice_messaging.retry import Backoff
from sluice_messaging.sources import TableSource
from sluice_messaging.tasks import cancelled
from sluice_runtime.pausing import pause

POLL_SECONDS: Final = 0.5

_log = structlog.get_logger()


class BroadcastReader:
    """The `TableReader` of every broker.

    After a broken connection it reads from the beginning again, so the observer sees records twice. One that the
    observer cannot take is logged and passed over: there is nobody to hand it on to, and the next may replace it.
    """

    def __init__(
        self, topic: str, source: Callable[[], TableSource], on_record: RecordObserver, backoff: Backoff | None = None
    ) -> None:
        self._topic = topic
        self._source = source
        self._on_record = on_record
        self._backoff = backoff or Backoff()
        self._caught_up = asyncio.Event()
        self._connected = False

    async def caught_up(self) -> None:
        """Return once everything has been shown that the topic held when the reader began."""
        await self._caught_up.wait()

    async def run(self, stop: asyncio.Event) -> None:
        """Show every record until `stop` is set; see `ports.TableReader`."""
        failures = 0
        while not stop.is_set():
            source = self._source()
            reading = asyncio.create_task(self._read(source), name=f"{self._topic}: reader")
            stopping = asyncio.create_task(stop.wait(), name=f"{self._topic}: stop")
            try:
                await asyncio.wait({reading, stopping}, return_when=asyncio.FIRST_COMPLETED)
                broken = reading.done()
            finally:
                await cancelled(reading, stopping)
                await source.close()
            if broken:
                try:
                    reading.result()
                except BrokerUnavailableError as error:
                    failures = 1 if self._connected else failures + 1
                    _log.warning("table.disconnected", topic=self._topic, failures=failures, error=repr(error))
                    await pause(self._backoff.delay(failures), stop)

    async def _read(self, source: TableSource) -> None:
        self._connected = False
        await source.open()
        self._connected = True
        while True:
            if not self._caught_up.is_set() and await source.caught_up():
                self._caught_up.set()
            for record in await source.fetch(wait=POLL_SECONDS):
                await self._show(record)

    async def _show(self, record: Record) -> None:
        try:
            answer = self._on_record(record)
            if inspect.isawaitable(answer):
                await answer
        except Exception:  # noqa: BLE001 - a record that cannot be read must not keep the next from being read
            _log.exception("table.record_passed_over", topic=record.topic, offset=record.offset)
