"""What a loop asks when nothing is due, which is most of the time: one statement each, and no transaction."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

from orchestrator.adapters.statements import queries, wait_queries
from orchestrator.handlers.timers import CommandTimers
from orchestrator.handlers.waiting import Waiting
from orchestrator.handlers.wake import Wake
from sluice_runtime.clock import SystemClock


class IdleDatabase:
    """A database in which nothing is due. It has no transactions."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.was_asked = asyncio.Event()

    def connection(self) -> AbstractAsyncContextManager[IdleDatabase]:
        return nullcontext(self)

    async def fetch(self, sql: str, *_: object) -> list[Any]:
        self.asked.append(sql)
        return []

    async def fetchval(self, sql: str) -> None:
        self.asked.append(sql)
        self.was_asked.set()


async def test_a_look_for_waits_that_finds_nothing_asks_once_for_each_kind_of_work() -> None:
    database: Any = IdleDatabase()
    nothing: Any = None
    waiting = Waiting(database, nothing, nothing, nothing, nothing, nothing, SystemClock(), Wake())
    assert await waiting.look() == 0
    assert database.asked == [wait_queries.due_wait_stages, wait_queries.overdue_triggers, wait_queries.due_releases]


async def test_a_look_for_commands_that_finds_nothing_asks_once() -> None:
    database: Any = IdleDatabase()
    nothing: Any = None
    timers = CommandTimers(database, nothing, nothing, nothing, SystemClock(), nothing, Wake(), poll_seconds=60)
    stop = asyncio.Event()
    running = asyncio.create_task(timers.run(stop))
    await database.was_asked.wait()
    stop.set()
    await running
    assert database.asked == [queries.next_command_due]
