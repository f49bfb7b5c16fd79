"""Forgetting triggers that have been over for longer than the retention."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog

from sluice_runtime.clock import Clock
from sluice_runtime.pausing import pause
from sluice_storage.errors import is_transient
from status_api.adapters.retention import Retention
from status_api.adapters.status_store import StatusStore, TriggerFilter, TriggerPlace
from status_api.domain.overview import overview
from status_api.domain.rows import ExecutionRow, TriggerRow

EVERY_SECONDS: Final = 600.0
TRIGGERS_AT_ONCE: Final = 200
_PAUSE_SECONDS: Final = 0.05

_log = structlog.get_logger()


def has_expired(trigger: TriggerRow, executions: Sequence[ExecutionRow], before: datetime) -> bool:
    """Whether nothing of a trigger is open, and all of it was over before `before`."""
    whole = overview(trigger, executions)
    return whole.status.is_final and (whole.ended_at or trigger.accepted_at) < before


class Expirer:
    """Goes through what was accepted before the retention began, and takes away what is over."""

    def __init__(self, store: StatusStore, retention: Retention, clock: Clock, kept: timedelta) -> None:
        self._store = store
        self._retention = retention
        self._clock = clock
        self._kept = kept

    async def run(self, stop: asyncio.Event) -> None:
        """Expire and remove until `stop` is set. Fits `Service.loops`."""
        while not stop.is_set():
            try:
                await self.expire(stop)
                while not stop.is_set() and await self._retention.remove():
                    await pause(_PAUSE_SECONDS, stop)
            except Exception as error:
                if not is_transient(error):
                    raise
                _log.warning("triggers.kept_longer", error=type(error).__name__)
            await pause(EVERY_SECONDS, stop)

    async def expire(self, stop: asyncio.Event) -> int:
        """Have everything vanish that is over for long enough; return how many triggers that were."""
        before = self._clock.now() - self._kept
        expired = 0
        for workspace_id in await self._retention.workspaces():
            expired += await self._expire_in(workspace_id, before, stop)
        if expired:
            _log.info("triggers.expired", triggers=expired)
        return expired

    async def _expire_in(self, workspace_id: UUID, before: datetime, stop: asyncio.Event) -> int:
        expired = 0
        place: TriggerPlace | None = TriggerPlace()
        while place is not None and not stop.is_set():
            triggers = await self._store.triggers(workspace_id, TriggerFilter(until=before), place, TRIGGERS_AT_ONCE)
            executions = await self._store.executions(workspace_id, [trigger.trigger_id for trigger in triggers])
            over = [one.trigger_id for one in triggers if has_expired(one, executions[one.trigger_id], before)]
            if over:
                await self._retention.expire(over)
            expired += len(over)
            last = triggers[-1] if len(triggers) == TRIGGERS_AT_ONCE else None
            place = None if last is None else TriggerPlace(last.accepted_at, last.trigger_id)
        return expired
