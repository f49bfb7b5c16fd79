"""Load over HTTP: so many callers, each of whom asks again as soon as it has been answered.

Written straight on asyncio's protocols, for the load shares its cores with what it measures: a request costs 20 to
30 µs of CPU here (a figure's detail says what it was), where an HTTP client library takes 150.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from bench.figures import percentile

_WITHOUT_BODY: Final = frozenset({204, 304})
_LENGTH: Final = b"Content-Length: "


def request(
    method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"", host: str = "127.0.0.1"
) -> bytes:
    """Return the bytes of an HTTP/1.1 request."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body or method == "POST":
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass(slots=True)
class Answers:
    """What came back: how often each status, how long each answer took in seconds, how long the load lasted."""

    statuses: Counter[int] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds

    @property
    def p99_ms(self) -> float:
        """The 99th percentile of the latency."""
        return percentile(self.latencies, 0.99) * 1000

    def require(self, status: int) -> None:
        """Return if every answer had `status`. Raises RuntimeError with what else there was: the load was wrong."""
        if set(self.statuses) != {status}:
            raise RuntimeError(f"expected nothing but {status}, got {dict(self.statuses)}")


class _Caller(asyncio.Protocol):
    """One connection: writes a request, waits for the whole answer, writes the next."""

    def __init__(self, next_request: Callable[[], bytes], until: float, answers: Answers) -> None:
        self._next_request = next_request
        self._until = until
        self._answers = answers
        self._transport: asyncio.Transport | None = None
        self._asked_at = 0.0
        self._buffer = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._ask()

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        head = buffer.find(b"\r\n\r\n")
        if head < 0:
            self._buffer = buffer
            return
        status = int(buffer[9:12])
        if status not in _WITHOUT_BODY:
            at = buffer.index(_LENGTH, 0, head) + len(_LENGTH)
            if len(buffer) < head + 4 + int(buffer[at : buffer.index(b"\r", at)]):
                self._buffer = buffer
                return
        self._buffer = b""
        now = time.perf_counter()
        self._answers.latencies.append(now - self._asked_at)
        self._answers.statuses[status] += 1
        if now < self._until:
            self._ask()
        else:
            self._end()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionResetError("the server closed the connection"))

    def _ask(self) -> None:
        assert self._transport is not None
        self._asked_at = time.perf_counter()
        self._transport.write(self._next_request())

    def _end(self) -> None:
        assert self._transport is not None
        if not self.done.done():
            self.done.set_result(None)
        self._transport.close()


async def put_load(ports: list[int], connections: int, seconds: float, next_request: Callable[[], bytes]) -> Answers:
    """Keep `connections` callers busy for `seconds`, spread over the servers at `ports` of this machine.

    Raises OSError where a server lets go of a caller before it has answered.
    """
    answers = Answers()
    began = time.perf_counter()
    loop = asyncio.get_running_loop()
    callers = []
    for number in range(connections):
        _, caller = await loop.create_connection(
            lambda: _Caller(next_request, began + seconds, answers), "127.0.0.1", ports[number % len(ports)]
        )
        callers.append(caller)
    await asyncio.gather(*(caller.done for caller in callers))
    answers.seconds = time.perf_counter() - began
    return answers
