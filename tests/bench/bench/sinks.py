"""Where mail ends: Postfix's smtp-sink for speed, and a sink of our own that knows who got what."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final, Self

from bench.rig import Rig
from sluice_local import processes

_BACKLOG: Final = "200"


def smtp_sink() -> str | None:
    """Return the path of Postfix's smtp-sink, None where it is not installed."""
    return shutil.which("smtp-sink", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/libexec/postfix")


@contextmanager
def postfix_sink(rig: Rig, program: str) -> Iterator[int]:
    """Run smtp-sink, which takes every mail and forgets it; yields its port."""
    port = processes.free_port()
    user = ["-u", "nobody"] if os.getuid() == 0 else []
    log = rig.folder / "smtp-sink.log"
    process = processes.spawn([program, *user, f"127.0.0.1:{port}", _BACKLOG], log=log)
    try:
        processes.wait_until(lambda: processes.is_listening(port), process, "smtp-sink", log, 5)
        yield port
    finally:
        processes.stop(process, signal.SIGTERM, 5)


class CountingSink:
    """An SMTP server that pipelines and counts whole messages by recipient.

    A message counts at its final dot, before that is answered: somebody who dies in between has handed it over.
    """

    def __init__(self) -> None:
        self.received: Counter[str] = Counter()
        self.largest_body = 0
        self.port = 0
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Receiver(self._take), "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()

    def _take(self, recipients: list[str], size: int) -> None:
        self.received.update(recipients)
        self.largest_body = max(self.largest_body, size)


class _Receiver(asyncio.Protocol):
    """One connection to the sink."""

    _RECIPIENT: Final = re.compile(rb"RCPT TO:\s*<([^>]+)>", re.IGNORECASE)

    def __init__(self, take: Callable[[list[str], int], None]) -> None:
        self._take = take
        self._buffer = b""
        self._in_body = False
        self._recipients: list[str] = []
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._answer(b"220 sink ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        answers = []
        while (answer := self._step()) is not None:
            answers.append(answer)
        self._answer(b"".join(answers))

    def _step(self) -> bytes | None:
        """Take one command, or one whole body; return the answer, None where more has to come first."""
        end = self._buffer.find(b"\r\n.\r\n" if self._in_body else b"\r\n")
        if end < 0:
            return None
        if self._in_body:
            self._buffer = self._buffer[end + 5 :]
            self._in_body = False
            self._take(self._recipients, end + 5)
            self._recipients = []
            return b"250 2.0.0 Ok: queued as SINK\r\n"
        line, self._buffer = self._buffer[:end], self._buffer[end + 2 :]
        return self._command(line)

    def _command(self, line: bytes) -> bytes:
        match line[:4].upper():
            case b"EHLO":
                return b"250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n"
            case b"RCPT":
                recipient = self._RECIPIENT.match(line)
                if recipient is None:
                    return b"501 5.1.3 Bad recipient\r\n"
                self._recipients.append(recipient[1].decode())
            case b"DATA":
                self._in_body = True
                return b"354 End data with <CR><LF>.<CR><LF>\r\n"
            case b"MAIL" | b"RSET":
                self._recipients = []
            case b"QUIT":
                return b"221 2.0.0 Bye\r\n"
        return b"250 2.0.0 Ok\r\n"

    def _answer(self, data: bytes) -> None:
        if data and self._transport is not None:
            self._transport.write(data)
