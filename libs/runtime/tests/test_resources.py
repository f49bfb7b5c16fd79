from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import structlog

from sluice_runtime.resources import BoundedExitStack


async def test_what_was_opened_last_is_closed_first() -> None:
    closed: list[str] = []

    async def close(name: str) -> None:
        closed.append(name)

    @asynccontextmanager
    async def opened(name: str) -> AsyncIterator[str]:
        yield name
        closed.append(name)

    async with BoundedExitStack() as resources:
        resources.push_async_callback(close, "pool")
        assert await resources.enter_async_context(opened("producer")) == "producer"
        resources.push_async_callback(close, name="consumer")
    assert closed == ["consumer", "producer", "pool"]


async def test_a_close_that_hangs_or_fails_keeps_no_other_from_closing() -> None:
    closed = asyncio.Event()

    async def close() -> None:
        closed.set()

    async def hang() -> None:
        await asyncio.Event().wait()

    async def fail() -> None:
        raise RuntimeError("no")

    with structlog.testing.capture_logs() as lines:
        async with BoundedExitStack(seconds=0.05) as resources:
            resources.push_async_callback(close)
            resources.push_async_callback(hang)
            resources.push_async_callback(fail)
    assert closed.is_set()
    assert [line["event"] for line in lines] == ["resource.close_failed", "resource.close_timed_out"]


async def test_the_error_that_ends_the_work_comes_through() -> None:
    async def work() -> None:
        async with BoundedExitStack() as resources:
            resources.push_async_callback(asyncio.sleep, 0)
            raise ValueError("work")

    with pytest.raises(ValueError, match="work"):
        await work()
