"""An event loop on simulated time, in which whole processes can be frozen and killed between any two steps."""

from __future__ import annotations

import asyncio
import heapq
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any, Final

START: Final = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


class Process:
    """One copy of a service. What runs in its context stops with it: nothing is caught, nothing cleaned up.

    A frozen process goes on where it stopped; a dead one never does.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_dead = False
        self.frozen_until = 0.0
        self.halted: list[asyncio.Handle] = []


PROCESS: Final[ContextVar[Process | None]] = ContextVar("process", default=None)
"""The process whose code is running; None for what stands outside them all: the servers and the observer."""


class StandstillError(Exception):
    """Nothing is left that could ever happen."""


class SimulationLoop(asyncio.BaseEventLoop):
    """Runs what is ready in the order in which it became so, and then skips to the next moment something is due."""

    def __init__(self, start: datetime = START) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._start = start
        self._moment = 0.0
        self._is_over = False
        self.tasks: list[asyncio.Task[Any]] = []
        self._stopped: list[Process] = []
        self.set_task_factory(self._make_task)
        self.failures: list[str] = []
        self.set_exception_handler(self._note_failure)

    def time(self) -> float:
        return self._moment

    def now(self) -> datetime:
        """Return the simulated time of day. Makes the loop a `Clock`."""
        return self._start + timedelta(microseconds=round(self._moment * 1_000_000))

    def thaw(self, process: Process) -> None:
        """Let a process that was frozen go on with what became ready meanwhile."""
        self._ready.extend(process.halted)
        process.halted = []

    def end(self) -> None:
        """Take everything down that still runs or was killed. Nothing of it has an effect any more."""
        self._is_over = True
        for process in self._stopped:
            self.thaw(process)
        for _ in range(100):
            for task in self.tasks:
                if not task.done():
                    task.cancel()
            pending = [task for task in self.tasks if not task.done()]
            if not pending:
                break
            self.run_until_complete(asyncio.wait(pending, timeout=60))
        self.close()

    def _run_once(self) -> None:
        while not self._ready:
            while self._scheduled and self._scheduled[0].cancelled():
                heapq.heappop(self._scheduled)._scheduled = False
            if not self._scheduled:
                raise StandstillError
            self._moment = max(self._moment, self._scheduled[0].when())
            while self._scheduled and self._scheduled[0].when() <= self._moment:
                handle = heapq.heappop(self._scheduled)
                handle._scheduled = False
                self._ready.append(handle)
        for _ in range(len(self._ready)):
            handle = self._ready.popleft()
            if handle.cancelled():
                continue
            process = handle._context.get(PROCESS)
            if process is not None and not self._is_over and (process.is_dead or process.frozen_until > self._moment):
                if not process.halted:
                    self._stopped.append(process)
                process.halted.append(handle)
            else:
                handle._run()

    def _make_task(self, loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        task = asyncio.Task(coroutine, loop=loop, **options)
        self.tasks.append(task)
        return task

    def _note_failure(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not self._is_over:
            self.failures.append(f"{context.get('message')}: {context.get('exception')!r}")

    def _process_events(self, event_list: object) -> None:
        """There are no sockets."""

    def _write_to_self(self) -> None:
        """There are no other threads."""
