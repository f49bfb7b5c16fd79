"""Resources that are given back in reverse order, each within its time, so that none can hold up a stop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, Final, TypeVar

import structlog

CLOSE_SECONDS: Final = 3.0

T = TypeVar("T")

_log = structlog.get_logger()


async def bounded(name: str, step: Awaitable[Any], seconds: float = CLOSE_SECONDS) -> None:
    """Await `step` for at most `seconds`; what goes wrong is logged under `name` and goes no further."""
    try:
        async with asyncio.timeout(seconds):
            await step
    except TimeoutError:
        _log.warning("resource.close_timed_out", resource=name, seconds=seconds)
    except Exception:  # noqa: BLE001 - one resource that cannot close must not keep the next from closing
        _log.exception("resource.close_failed", resource=name)


class BoundedExitStack(AsyncExitStack):
    """An exit stack in which every asynchronous close has `seconds` and cannot keep the others from closing."""

    def __init__(self, seconds: float = CLOSE_SECONDS) -> None:
        super().__init__()
        self._seconds = seconds

    async def enter_async_context(self, cm: AbstractAsyncContextManager[T, Any]) -> T:
        """Enter `cm` and leave it, without an exception, when the stack closes."""
        value = await cm.__aenter__()
        super().push_async_callback(self._leave, cm)
        return value

    def push_async_callback(self, callback: Callable[..., Awaitable[Any]], /, *args: Any, **kwds: Any) -> Any:
        """Call `callback` when the stack closes."""
        super().push_async_callback(self._call, callback, *args, **kwds)
        return callback

    async def _leave(self, cm: AbstractAsyncContextManager[Any, Any]) -> None:
        await bounded(type(cm).__name__, cm.__aexit__(None, None, None), self._seconds)

    async def _call(self, callback: Callable[..., Awaitable[Any]], /, *args: Any, **kwds: Any) -> None:
        await bounded(getattr(callback, "__qualname__", repr(callback)), callback(*args, **kwds), self._seconds)
