"""One SMTP session: opened by aiosmtplib (TLS, AUTH), then driven here, with PIPELINING where the server has it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

from aiosmtplib import SMTP

from channel_email.providers.smtp.conversation import Envelope, delivery, greeting
from channel_email.providers.smtp.line import Line
from sluice_channel.provider import Outcome


class Session:
    """An open session that delivers batches, one at a time. Not usable any more once `is_open` is False."""

    def __init__(self, client: SMTP, line: Line, *, pipelining: bool) -> None:
        self._client = client
        self._line = line
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
        return cls(client, Line(transport), pipelining="pipelining" in client.esmtp_extensions)

    @property
    def is_open(self) -> bool:
        """Whether the session can deliver another batch."""
        return self._line.is_open

    async def deliver(self, envelopes: Sequence[Envelope]) -> list[Outcome]:
        """Hand over `envelopes`, at least one, in order; return one outcome each, whatever comes of the connection."""
        outcomes = await self._line.hold(delivery(envelopes, pipelining=self._pipelining))
        self.delivered += len(envelopes)
        self.idle_since = asyncio.get_running_loop().time()
        return outcomes

    async def is_alive(self) -> bool:
        """Ask whether the server is still there; close and return False when it does not answer well."""
        try:
            if await self._line.hold(greeting()):
                return True
        except OSError:
            pass
        self.close()
        return False

    def close(self) -> None:
        """Say QUIT if anybody listens, and close. Idempotent."""
        self._line.close()
