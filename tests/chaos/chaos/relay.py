"""A mail relay, as much of SMTP as a client needs: it keeps a journal and treats callers as it is told."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Final, Self

from chaos.journal import Journal, Mood

_LONGEST_LINE: Final = 1_000_000


class Relay:
    """Listens on a port of its own while the context is open."""

    def __init__(self, journal: Journal) -> None:
        self._mood = Mood.WELL
        self._journal = journal
        self._server: asyncio.Server | None = None
        self._sessions: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._port = 0

    def account(self, rate_per_second: float) -> dict[str, Any]:
        """Return the body that makes a workspace send so much through this relay."""
        return {
            "name": "relay",
            "channel": "email",
            "provider": "smtp",
            "config": {
                "host": "127.0.0.1",
                "port": self._port,
                "tls": "none",
                "from_email": "news@sender.test",
                "bounce_domain": "bounces.sender.test",
            },
            "secrets": {"callback_token": "relay-callback-token"},
            "rate_per_second": rate_per_second,
            "is_default": True,
        }

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._leave()

    @property
    def mood(self) -> Mood:
        """How callers are treated now."""
        return self._mood

    async def turn(self, mood: Mood) -> None:
        """Treat callers so from now on. Who refuses does not even listen, and hangs up on everybody."""
        before, self._mood = self._mood, mood
        if mood is Mood.REFUSING:
            await self._leave()
        elif before is Mood.REFUSING:
            await self._listen()
        elif before is Mood.SILENT:
            self._hang_up()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port, limit=_LONGEST_LINE)
        self._port = self._server.sockets[0].getsockname()[1]

    async def _leave(self) -> None:
        if self._server is not None:
            self._server.close()
            self._hang_up()
            await asyncio.gather(*self._sessions, return_exceptions=True)
            self._server = None

    def _hang_up(self) -> None:
        for writer in self._sessions.values():
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._sessions[task] = writer
        try:
            await _Session(self, self._journal, reader, writer).run()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            del self._sessions[task]
            writer.transport.abort()


class _Session:
    def __init__(
        self, relay: Relay, journal: Journal, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._relay = relay
        self._journal = journal
        self._reader = reader
        self._writer = writer
        self._recipient: str | None = None

    async def run(self) -> None:
        if self._relay.mood is Mood.THROTTLING:
            await self._say("421 4.7.0 try again later")
            return
        await self._say("220 relay.test ESMTP")
        while line := await self._reader.readline():
            verb = line[:4].upper()
            match verb:
                case b"EHLO":
                    await self._say("250-relay.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SMTPUTF8")
                case b"RCPT":
                    await self._take_recipient(line.decode())
                case b"DATA":
                    await self._take_mail()
                case b"QUIT":
                    await self._say("221 2.0.0 bye")
                    return
                case _:
                    await self._say("250 2.0.0 ok")

    async def _take_recipient(self, line: str) -> None:
        address = line.partition("<")[2].partition(">")[0]
        if self._relay.mood is Mood.THROTTLING:
            self._recipient = None
            self._journal.defer(address)
            # Not 4.7.1: that means greylisting, after which a client stays away for minutes.
            await self._say("451 4.3.0 too many messages, try again later")
        else:
            self._recipient = address
            await self._say("250 2.1.5 ok")

    async def _take_mail(self) -> None:
        if self._recipient is None:
            await self._say("554 5.5.1 no valid recipients")
            return
        await self._say("354 go ahead")
        content = []
        while (line := await self._reader.readline()) != b".\r\n":
            if not line:
                return
            content.append(line)
        recipient, self._recipient = self._recipient, None
        silent = self._relay.mood is Mood.SILENT
        self._journal.write(b"".join(content).decode(errors="replace"), recipient, answered=not silent)
        await self._say("250 2.0.0 queued")

    async def _say(self, reply: str) -> None:
        if self._relay.mood is not Mood.SILENT:
            self._writer.write(reply.encode() + b"\r\n")
            await self._writer.drain()
