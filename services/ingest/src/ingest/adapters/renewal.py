"""A second look at the catalog for a request that names something made a moment ago, perhaps through another copy."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Final, Protocol

import structlog

_SECONDS: Final = 1.0
_log = structlog.get_logger()


class Refreshable(Protocol):
    """The catalog in memory."""

    async def refresh(self) -> None:
        """Load everything again, or raise what the database raises."""
        ...


class Renewal:
    """Reads the catalog anew on demand, at most once a second for all callers together, each waiting no longer."""

    def __init__(self, snapshot: Refreshable, *, apart_seconds: float = _SECONDS) -> None:
        self._snapshot = snapshot
        self._apart = apart_seconds
        self._began_at = float("-inf")
        self._running: asyncio.Task[bool] | None = None

    async def __call__(self) -> bool:
        """Say whether the catalog was read anew just now. Never raises."""
        if self._running is None:
            if monotonic() - self._began_at < self._apart:
                return False
            self._began_at = monotonic()
            self._running = asyncio.create_task(self._refresh())
        done, _ = await asyncio.wait({self._running}, timeout=_SECONDS)
        return bool(done) and done.pop().result()

    async def _refresh(self) -> bool:
        try:
            async with asyncio.timeout(_SECONDS):
                await self._snapshot.refresh()
        except Exception as error:  # noqa: BLE001 - whatever it is, what is known is what there is
            _log.info("catalog.not_renewed", error=type(error).__name__)
            return False
        finally:
            self._running = None
        return True
