"""Ending tasks so that nothing of them is left behind, and nothing of them gets out."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

import structlog

_GRACE_SECONDS: Final = 1.0

_log = structlog.get_logger()


async def cancelled(*tasks: asyncio.Task[Any]) -> None:
    """Cancel `tasks` and wait until they are gone; how they ended is of no interest."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.exception()


async def finished(name: str, step: Coroutine[Any, Any, Any], seconds: float) -> bool:
    """Run `step` in a task of its own for at most `seconds`; return whether it got to its end.

    Whatever it raises is logged and goes no further, `CancelledError` included: closing an aiokafka client without a
    broker raises one, which would otherwise look like the caller being cancelled.
    """
    task = asyncio.create_task(step, name=name)
    try:
        await asyncio.wait({task}, timeout=seconds)
    finally:
        task.cancel()
    if not task.done():
        await asyncio.wait({task}, timeout=_GRACE_SECONDS)
        _log.warning("step.timed_out", step=name, seconds=seconds)
        return False
    if task.cancelled():
        _log.warning("step.cancelled_itself", step=name)
        return False
    if error := task.exception():
        _log.warning("step.failed", step=name, error=repr(error))
        return False
    return True
