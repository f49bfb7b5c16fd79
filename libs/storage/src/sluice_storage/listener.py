"""LISTEN with a connection of its own, opened again whenever it is lost."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import asyncpg
import structlog

from sluice_runtime.pausing import pause
from sluice_storage.errors import is_transient

OnNotify = Callable[[str, str], Awaitable[None] | None]
OnReconnect = Callable[[], Awaitable[None] | None]

PROBE_SECONDS: Final = 15.0
_PROBE_TIMEOUT_SECONDS: Final = 5.0
_CONNECT_SECONDS: Final = 10.0
_LONGEST_WAIT_SECONDS: Final = 5.0

_log = structlog.get_logger()


class Listener:
    """Hears notifications, one after another.

    `on_notify(channel, payload)` is called for each. `on_reconnect()` is called whenever listening has begun, the
    first time too: what was notified before then was not heard, so whoever keeps a cache drops it all. Both may be
    coroutine functions and are awaited; what they raise is logged and loses no connection.
    """

    def __init__(
        self,
        dsn: str,
        channels: Sequence[str],
        on_notify: OnNotify,
        on_reconnect: OnReconnect,
        *,
        probe_seconds: float = PROBE_SECONDS,
    ) -> None:
        self._dsn = dsn
        self._channels = tuple(channels)
        self._on_notify = on_notify
        self._on_reconnect = on_reconnect
        self._probe_seconds = probe_seconds

    async def run(self, stop: asyncio.Event) -> None:
        """Listen until `stop` is set. Fits `Service.loops`."""
        failures = 0
        while not stop.is_set():
            try:
                if await self._listen(stop):
                    failures = 0
            except Exception as error:
                if not is_transient(error):
                    raise
                _log.warning("listener.disconnected", channels=self._channels, error=type(error).__name__)
            if not stop.is_set():
                await pause(random.uniform(0.05, min(_LONGEST_WAIT_SECONDS, 0.2 * 2 ** min(failures, 8))), stop)
                failures += 1

    async def _listen(self, stop: asyncio.Event) -> bool:
        """Listen until the connection is lost or `stop` is set; return whether it ever began."""
        heard: asyncio.Queue[tuple[str, str] | None] = asyncio.Queue()
        connection = await asyncpg.connect(
            self._dsn,
            timeout=_CONNECT_SECONDS,
            server_settings={
                "application_name": "listener",
                "tcp_keepalives_idle": "30",
                "tcp_keepalives_interval": "10",
                "tcp_keepalives_count": "3",
            },
        )
        stopped = asyncio.ensure_future(stop.wait())
        stopped.add_done_callback(lambda _: heard.put_nowait(None))
        try:
            connection.add_termination_listener(lambda _: heard.put_nowait(None))
            for channel in self._channels:
                await connection.add_listener(
                    channel, lambda _c, _p, name, payload: heard.put_nowait((name, str(payload)))
                )
            await _call(self._on_reconnect)
            while not stop.is_set() and not connection.is_closed():
                await self._hear_one(connection, heard)
        finally:
            stopped.cancel()
            with contextlib.suppress(Exception):
                await connection.close(timeout=1)
        return True

    async def _hear_one(
        self, connection: asyncpg.Connection[asyncpg.Record], heard: asyncio.Queue[tuple[str, str] | None]
    ) -> None:
        try:
            async with asyncio.timeout(self._probe_seconds):
                notification = await heard.get()
        except TimeoutError:
            # A peer that vanished without a word is found out only by asking.
            await connection.fetchval("SELECT 1", timeout=_PROBE_TIMEOUT_SECONDS)
            return
        if notification is not None:
            await _call(self._on_notify, *notification)


async def _call(callback: Callable[..., Awaitable[None] | None], *arguments: Any) -> None:
    try:
        result = callback(*arguments)
        if inspect.isawaitable(result):
            await result
    except Exception:  # noqa: BLE001 - a callback that fails must not stop the others from being called
        _log.exception("listener.callback_failed")
