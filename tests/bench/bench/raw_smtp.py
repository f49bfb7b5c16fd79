"""A client that does nothing but hand mail over, pipelined, in the fewest writes that RFC 2920 allows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator


class _Client(asyncio.Protocol):
    """One connection. After the greeting each write is the end of one message and the envelope of the next."""

    def __init__(self, messages: Iterator[tuple[bytes, bytes]]) -> None:
        self._messages = messages
        self._transport: asyncio.Transport | None = None
        self._body = b""
        self._expected = b"220"
        self._answered = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._answered += data
        if not self._answered.endswith(b"\r\n"):
            return
        last = self._answered[:-2].rpartition(b"\n")[2]
        if last[3:4] == b"-" or not last.startswith(self._expected):
            # More of a pipelined group is still to come; an answer that is no good ends the run.
            if last[:1] in b"45":
                self._fail(last)
            return
        self._answered = b""
        self._go_on()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionResetError("the sink closed the connection"))

    def _go_on(self) -> None:
        assert self._transport is not None
        match self._expected:
            case b"220":
                self._expected = b"250"
                self._transport.write(b"EHLO bench\r\n")
                return
            case b"354":
                following = next(self._messages, None)
                if following is None:
                    self._expected = b"221"
                    self._transport.write(self._body + b"QUIT\r\n")
                    return
                self._transport.write(self._body + following[0])
            case b"221":
                self.done.set_result(None)
                self._transport.close()
                return
            case _:
                following = next(self._messages, None)
                if following is None:
                    self._expected = b"221"
                    self._transport.write(b"QUIT\r\n")
                    return
                self._transport.write(following[0])
        self._body = following[1]
        self._expected = b"354"

    def _fail(self, answer: bytes) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionError(f"the sink said {answer!r}"))


async def raw_rate(port: int, body: bytes, messages: int, connections: int) -> float:
    """Hand over `messages` with `body`, which ends with its final dot; return how many a second."""
    numbers = iter(range(messages))

    def envelopes() -> Iterator[tuple[bytes, bytes]]:
        for number in numbers:
            yield b"MAIL FROM:<a@b.test>\r\nRCPT TO:<person%d@example.test>\r\nDATA\r\n" % number, body

    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    clients = [
        (await loop.create_connection(lambda: _Client(envelopes()), "127.0.0.1", port))[1] for _ in range(connections)
    ]
    await asyncio.gather(*(client.done for client in clients))
    return messages / (time.perf_counter() - began)
