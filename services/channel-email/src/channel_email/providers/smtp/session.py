"""One SMTP session: opened by aiosmtplib (TLS, AUTH), then driven here with PIPELINING (RFC 2920).

The body of one message and the envelope of the next go out in one write, so a message costs one round trip and,
measured on loopback, a tenth of the CPU of a client that waits for each reply. A server that does not announce
PIPELINING gets one command at a time.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

from aiosmtplib import SMTP

from channel_email.providers.smtp.replies import Reply, outcome_of_refusal
from sluice_channel.provider import Accepted, Ambiguous, Outcome, Retry
from sluice_contracts.vocabulary import MessageState

REPLY_SECONDS: Final = 60.0
"""How long one reply may take. RFC 5321 §4.5.3.2 allows minutes; a relay of one's own answers at once."""

_LONGEST_REPLY: Final = 64 * 1024
_QUEUE_ID: Final = re.compile(r"queued as ([0-9A-Za-z-]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message for one recipient; `body` has CRLF line ends and is not dot-stuffed yet."""

    mail_from: str
    recipient: str
    body: bytes
    message_id: str


class _Replies(asyncio.Protocol):
    """Turns what the server writes into whole replies, in order."""

    def __init__(self) -> None:
        self._buffer = b""
        self._lines: list[str] = []
        self._replies: deque[Reply] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self.closed = False

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\n")) >= 0:
            line, self._buffer = self._buffer[:end].rstrip(b"\r"), self._buffer[end + 1 :]
            self._lines.append(line[4:].decode("utf-8", "replace"))
            if line[3:4] != b"-":
                code = int(line[:3]) if line[:3].isdigit() else 0
                self._replies.append(Reply(code, " ".join(self._lines)))
                self._lines = []
        if len(self._buffer) > _LONGEST_REPLY or len(self._lines) > 100:
            self.closed = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._writable.set()
        self._wake()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def next(self) -> Reply:
        """Return the next reply.

        Raises ConnectionError when the connection has ended or the server wrote something else, TimeoutError when it
        is silent.
        """
        if not self._replies:
            async with asyncio.timeout(REPLY_SECONDS):
                while not self._replies and not self.closed:
                    self._waiter = asyncio.get_running_loop().create_future()
                    await self._waiter
        if not self._replies:
            raise ConnectionResetError("the server closed the connection")
        reply = self._replies.popleft()
        if reply.code == 0:
            raise ConnectionError("the server wrote something that is not an SMTP reply")
        return reply

    async def writable(self) -> None:
        """Wait until the transport takes more. Raises TimeoutError when the server has stopped reading."""
        if not self._writable.is_set():
            async with asyncio.timeout(REPLY_SECONDS):
                await self._writable.wait()


class Session:
    """An open session that delivers batches, one at a time. Not usable any more once `is_open` is False."""

    def __init__(self, client: SMTP, transport: asyncio.Transport, replies: _Replies, *, pipelining: bool) -> None:
        self._client = client
        self._transport = transport
        self._replies = replies
        self._pipelining = pipelining
        self.delivered = 0
        self.idle_since = asyncio.get_running_loop().time()

    @classmethod
    async def open(cls, client: SMTP) -> Session:
        """Connect, secure and authenticate with `client`, and take its connection over.

        Raises what aiosmtplib raises, ssl.SSLError and OSError.
        """
        await client.connect()
        try:
            if not client.last_ehlo_response:
                await client.ehlo()
        except BaseException:
            client.close()
            raise
        # Not to be asked what class it is of: uvloop's transports are of none of asyncio's.
        transport = cast("asyncio.Transport | None", client.transport)
        if transport is None:
            raise ConnectionError("the connection was lost while it was being opened")
        replies = _Replies()
        transport.set_protocol(replies)
        return cls(client, transport, replies, pipelining="pipelining" in client.esmtp_extensions)

    @property
    def is_open(self) -> bool:
        """Whether the session can deliver another batch."""
        return not self._replies.closed and not self._transport.is_closing()

    async def deliver(self, envelopes: Sequence[Envelope]) -> list[Outcome]:
        """Hand over `envelopes` in order; return one outcome each.

        When the connection breaks, only the message whose final dot was written and not answered is ambiguous; those
        after it were certainly not handed over and are to be retried.
        """
        outcomes: list[Outcome] = []
        dotted = False
        try:
            for place, envelope in enumerate(envelopes):
                following = envelopes[place + 1] if place + 1 < len(envelopes) else None
                dotted = False
                if place == 0 or not self._pipelining:
                    await self._write(self._opening(envelope) if self._pipelining else b"")
                refusal = await self._negotiate(envelope)
                if refusal is not None:
                    outcomes.append(refusal)
                    await self._write(
                        b"RSET\r\n" + (self._opening(following) if following and self._pipelining else b"")
                    )
                    await self._replies.next()
                    continue
                dotted = True
                body = _stuffed(envelope.body)
                await self._write(body + self._opening(following) if following and self._pipelining else body)
                outcomes.append(_accepted_or_refused(await self._replies.next(), envelope))
                dotted = False
        except (OSError, TimeoutError) as error:
            self.close()
            if dotted:
                outcomes.append(
                    Ambiguous(f"the connection ended after the message was written: {error or 'no answer'}")
                )
            rest = len(envelopes) - len(outcomes)
            outcomes += [Retry("connection_lost", str(error) or "no answer", after=1.0, scope="connection")] * rest
        self.delivered += len(envelopes)
        self.idle_since = asyncio.get_running_loop().time()
        return outcomes

    def _opening(self, envelope: Envelope | None) -> bytes:
        if envelope is None:
            return b""
        return f"MAIL FROM:<{envelope.mail_from}>\r\nRCPT TO:<{envelope.recipient}>\r\nDATA\r\n".encode()

    async def _negotiate(self, envelope: Envelope) -> Outcome | None:
        """Take the envelope up to the point where the body may be written; return an outcome if it was refused."""
        if not self._pipelining:
            return await self._negotiate_step_by_step(envelope)
        mail, recipient, data = [await self._replies.next() for _ in range(3)]
        if data.code == 354 and not (mail.is_positive and recipient.is_positive):
            # A server may say 354 although it refused the only recipient; RFC 2920 §3.1 has us end the empty message.
            await self._write(b".\r\n")
            await self._replies.next()
        for reply in (mail, recipient, data):
            if not reply.is_positive:
                return outcome_of_refusal(reply)
        return None

    async def _negotiate_step_by_step(self, envelope: Envelope) -> Outcome | None:
        for command in (f"MAIL FROM:<{envelope.mail_from}>", f"RCPT TO:<{envelope.recipient}>", "DATA"):
            await self._write(f"{command}\r\n".encode())
            reply = await self._replies.next()
            if not reply.is_positive:
                return outcome_of_refusal(reply)
        return None

    async def _write(self, data: bytes) -> None:
        if self._replies.closed:
            raise ConnectionResetError("the server closed the connection")
        if data:
            self._transport.write(data)
            await self._replies.writable()

    async def is_alive(self) -> bool:
        """Ask the server with NOOP; close and return False when it does not answer well."""
        try:
            await self._write(b"NOOP\r\n")
            if (await self._replies.next()).is_positive:
                return True
        except (OSError, TimeoutError):
            pass
        self.close()
        return False

    def close(self) -> None:
        """Say QUIT if anybody listens, and close. Idempotent."""
        if self.is_open:
            self._transport.write(b"QUIT\r\n")
        self._replies.closed = True
        self._transport.close()


def _stuffed(body: bytes) -> bytes:
    """Apply the transparency of RFC 5321 §4.5.2 and end the message."""
    stuffed = body.replace(b"\r\n.", b"\r\n..")
    if stuffed.startswith(b"."):
        stuffed = b"." + stuffed
    return stuffed + (b".\r\n" if stuffed.endswith(b"\r\n") else b"\r\n.\r\n")


def _accepted_or_refused(reply: Reply, envelope: Envelope) -> Outcome:
    if not reply.is_positive:
        return outcome_of_refusal(reply)
    queue_id = _QUEUE_ID.search(reply.text)
    return Accepted(queue_id.group(1) if queue_id else envelope.message_id, state=MessageState.SENT)
