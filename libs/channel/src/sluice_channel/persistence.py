"""Writing down what only this process knows: tried again until it works."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import structlog

from sluice_messaging.errors import TransientError
from sluice_storage.errors import is_transient

GIVE_UP_SECONDS: Final = 600.0
_LONGEST_PAUSE: Final = 2.0

T = TypeVar("T")

_log = structlog.get_logger()


async def surely(write: Callable[[], Awaitable[T]]) -> T:
    """Return what `write` returns, tried again while the database is away, for up to ten minutes.

    `write` must be safe to repeat. Raises TransientError when the time is up, and whatever does not pass by itself.
    """
    deadline = time.monotonic() + GIVE_UP_SECONDS
    pause = 0.05
    while True:
        try:
            return await write()
        except Exception as error:
            if not is_transient(error):
                raise
            if time.monotonic() > deadline:
                raise TransientError("the database is away for too long") from error
            _log.warning("outcome.write_awaited", error=type(error).__name__)
        await asyncio.sleep(random.uniform(0, pause))
        pause = min(pause * 2, _LONGEST_PAUSE)
