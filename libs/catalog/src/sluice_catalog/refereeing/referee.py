"""Asks another process what an expression comes to, and stops it where that takes too much.

Rules, segments and schemas are written by people whom we do not know, and run on data that other people send. None of
these languages' engines can be interrupted: a list compared with itself in a loop, or a pattern as long as the
text, would hold the whole service up for hours, and again after each restart. So what could run for long runs
elsewhere, where the operating system ends it when its processor time is over.
"""

from __future__ import annotations

import atexit
import contextlib
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

import orjson

from sluice_catalog.refereeing.frames import receive, send

MOST_INLINE_BYTES: Final = 16 * 1024
"""Of so much JSON an expression whose effort grows with it alone is decided in place: it takes milliseconds."""

TOO_MUCH: Final = "it takes more computing than an expression may"

_ANSWER_SECONDS: Final = 30.0
"""Processor time is what is limited; so long without an answer only a process is that nobody lets run."""

_REST_SECONDS: Final = 60.0
_MOST_RESTING: Final = 1000
_OVERDRAWN: Final = frozenset({-signal.SIGPROF, -signal.SIGABRT, -signal.SIGSEGV})
"""How the process ends that had too much to do, or too little memory for it."""


class TooMuchError(Exception):
    """The expression was stopped. The message says why, continuing a sentence about it."""


@dataclass(frozen=True, slots=True)
class _Resting:
    """Something that ran out of time on a question of `size` bytes: until then it is not asked half as much again."""

    until: float
    size: int

    def bars(self, size: int) -> bool:
        """Whether a question of `size` bytes has to wait."""
        return monotonic() < self.until and 2 * size >= self.size


class Referee:
    """One process that answers one question after another; it is started when it is needed, and ends with this one.

    Whoever asks waits. Invariant: an expression costs its limit once a minute, and not with every event.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._resting: dict[str, _Resting] = {}
        atexit.register(self.close)

    @property
    def process_id(self) -> int | None:
        """The process that answers, None where there is none now."""
        return None if self._process is None else self._process.pid

    def ask(self, function: str, expression: str, arguments: Mapping[str, Any]) -> Any:
        """Return what `function` of `arguments` comes to, all of it JSON; `expression` is what makes it dear.

        `function` is ours, as `module:name`; its module should import little. Raises TooMuchError where it is stopped,
        or was a moment ago, and TypeError where `arguments` are no JSON.
        """
        asked = orjson.dumps({"function": function, "arguments": arguments})
        with self._lock:
            resting = self._resting.get(expression)
            if resting is not None and resting.bars(len(asked)):
                raise TooMuchError(TOO_MUCH)
            answer = self._answer(asked)
            if answer is None:
                self._rest(expression, len(asked))
                raise TooMuchError(TOO_MUCH)
        return orjson.loads(answer)

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()

    def _answer(self, asked: bytes) -> bytes | None:
        # Twice, for it may have been stopped by somebody else, and between two questions.
        for _ in range(2):
            try:
                line = self._line or self._begin()
                send(line, asked)
                return receive(line)
            except (OSError, EOFError):
                if self._end() in _OVERDRAWN:
                    break
        return None

    def _begin(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "sluice_catalog.refereeing.process"]
            self._process = subprocess.Popen(command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL)  # noqa: S603
        ours.settimeout(_ANSWER_SECONDS)
        self._line = ours
        return ours

    def _end(self) -> int | None:
        """Return how the process ended, which it does when nobody is on the line any more."""
        process, line = self._process, self._line
        self._process = self._line = None
        if line is not None:
            line.close()
        if process is None:
            return None
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(timeout=1)
        process.kill()
        return process.wait()

    def _rest(self, expression: str, size: int) -> None:
        now = monotonic()
        if len(self._resting) >= _MOST_RESTING:
            self._resting = {name: rest for name, rest in self._resting.items() if now < rest.until}
        self._resting[expression] = _Resting(now + _REST_SECONDS, size)


REFEREE: Final = Referee()
"""The referee of this process."""
