"""What a worker forgets: waves, counts and sandbox messages older than the retention, a little at a time."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final

import structlog

from sluice_runtime.clock import Clock
from sluice_runtime.pausing import pause
from sluice_storage import statements
from sluice_storage.database import Database
from sluice_storage.errors import is_transient

BATCH: Final = 2000
EVERY_SECONDS: Final = 300.0
ALLOWANCES_KEPT: Final = timedelta(days=32)
"""Longer than any frequency cap looks back (a month)."""

_log = structlog.get_logger()
_ledger = statements.load("sluice_channel", "ledger.sql")
_allowances = statements.load("sluice_channel", "allowances.sql")
_sandbox = statements.load("sluice_channel", "sandbox.sql")


class Purge:
    """Deletes in small batches, so that it never holds anything up."""

    def __init__(self, database: Database, clock: Clock, retention: timedelta) -> None:
        self._database = database
        self._clock = clock
        self._retention = retention

    async def purge(self) -> int:
        """Delete at most a batch from each table; return how many rows went."""
        now = self._clock.now()
        gone = 0
        async with self._database.connection() as connection:
            for statement, before in (
                (_ledger.purge_waves, now - self._retention),
                (_allowances.purge_allowances, now - ALLOWANCES_KEPT),
                (_sandbox.purge_messages, now - self._retention),
            ):
                gone += int((await connection.execute(statement, before, BATCH)).split()[-1])
            await connection.execute(_sandbox.purge_refusals, now - self._retention)
        return gone

    async def run(self, stop: asyncio.Event) -> None:
        """Purge every five minutes, and at once again while there is more, until `stop` is set."""
        while not stop.is_set():
            gone = 0
            try:
                gone = await self.purge()
            except Exception as error:
                if not is_transient(error):
                    raise
                _log.warning("purge.waits", error=type(error).__name__)
            if gone < BATCH:
                await pause(EVERY_SECONDS, stop)
