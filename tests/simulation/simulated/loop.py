"""An event loop on simulated time, in which whole processes can be frozen and killed between any two steps."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextvars import Context, ContextVar, copy_context
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from itertools import count
from typing import Any, Final, TypeVar

T = TypeVar("T")

START: Final = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


class Process:
    """One copy of a service. What runs in its context stops with it: nothing is caught, nothing cleaned up.

    A frozen process goes on where it stopped; a dead one never does.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_dead = False
        self.frozen_until = 0.0
        self.halted: list[Handle] = []


PROCESS: Final[ContextVar[Process | None]] = ContextVar("process", default=None)
"""The process whose code is running; None for what stands outside them all: the servers and the observer."""


class StandstillError(Exception):
    """Nothing is left that could ever happen."""


class Handle(list[Any]):
    """What is to be called, with what, and in which context (None: outside of all); empty once it is cancelled.

    A list, because most of a run is making these and taking them apart.
    """

    __slots__ = ()

    cancel = list.clear


class SimulationLoop(asyncio.AbstractEventLoop):
    """Runs what is ready in the order in which it became so, and then skips to the next moment something is due.

    It has just what the services ask of a loop, without sockets, signals and threads: most of a run is spent in here.
    """

    def __init__(self, start: datetime = START) -> None:
        self._start = start
        self.moment = 0.0
        """How many simulated seconds have passed."""
        self._is_over = False
        self._ready: deque[Handle] = deque()
        self._due: list[tuple[float, int, Handle]] = []
        self._timers: Iterator[int] = count()
        self._tasks: list[asyncio.Task[Any]] = []
        self._stopped: list[Process] = []
        self.failures: list[str] = []

    def time(self) -> float:
        return self.moment

    def now(self) -> datetime:
        """Return the simulated time of day. Makes the loop a `Clock`."""
        return self._start + timedelta(microseconds=round(self.moment * 1_000_000))

    def thaw(self, process: Process) -> None:
        """Let a process that was frozen go on with what became ready meanwhile."""
        self._ready.extend(process.halted)
        process.halted = []

    def run_until_complete(self, future: Any) -> Any:
        """Run a task to its end and return what it gives. Raises StandstillError where it cannot come to one."""
        asyncio._set_running_loop(self)
        try:
            Context().run(self._run_until, future.done)
        finally:
            asyncio._set_running_loop(None)
        return future.result()

    def end(self) -> None:
        """Take everything down that still runs or was killed. Nothing of it has an effect any more."""
        self._is_over = True
        for process in self._stopped:
            self.thaw(process)
        for _ in range(100):
            pending = [task for task in self._tasks if not task.done()]
            for task in pending:
                task.cancel()
            if not pending:
                break
            self.run_until_complete(self.create_task(asyncio.wait(pending, timeout=60)))

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *arguments: Any, context: Context | None = None
    ) -> Handle:
        handle = Handle((callback, arguments, copy_context() if context is None else context))
        self._ready.append(handle)
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *arguments: Any, context: Context | None = None
    ) -> Handle:
        handle = Handle((callback, arguments, copy_context() if context is None else context))
        heappush(self._due, (self.moment + delay, next(self._timers), handle))
        return handle

    def later(self, delay: float, callback: Callable[..., object], *arguments: Any) -> None:
        """Call something outside of all processes, in `delay` seconds."""
        heappush(self._due, (self.moment + delay, next(self._timers), Handle((callback, arguments, None))))

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *arguments: Any, context: Context | None = None
    ) -> Handle:
        handle = Handle((callback, arguments, copy_context() if context is None else context))
        heappush(self._due, (when, next(self._timers), handle))
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coroutine: Coroutine[Any, Any, T], **options: Any) -> asyncio.Task[T]:  # type: ignore[override]
        task = asyncio.Task(coroutine, loop=self, **options)
        self._tasks.append(task)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self._is_over:
            self.failures.append(f"{context.get('message')}: {context.get('exception')!r}")

    get_debug = staticmethod(bool)
    """No. Every future and every task asks, and what is written in C answers soonest."""

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def _run_until(self, is_done: Callable[[], bool]) -> None:
        """Run what is ready; where nothing is, go to the moment at which something will be."""
        ready, take = self._ready, self._ready.popleft
        while not is_done():
            if not ready:
                self._skip()
            if not (handle := take()):
                continue
            callback, arguments, context = handle
            process = None if context is None else context.get(PROCESS)
            if process is not None and (process.is_dead or process.frozen_until > self.moment) and not self._is_over:
                if not process.halted:
                    self._stopped.append(process)
                process.halted.append(handle)
                continue
            try:
                if context is None:
                    callback(*arguments)
                else:
                    context.run(callback, *arguments)
            except Exception as error:  # noqa: BLE001 - whatever a callback raises is a failure of the run
                self.call_exception_handler({"message": f"in {callback!r}", "exception": error})

    def _skip(self) -> None:
        due = self._due
        handle: Handle | None = None
        while not handle:
            if not due:
                raise StandstillError
            moment, _, handle = heappop(due)
        self._ready.append(handle)
        self.moment = moment = max(self.moment, moment)
        while due and due[0][0] <= moment:
            self._ready.append(heappop(due)[2])
