"""The line to a server: writes what a conversation says and tells it the replies, whole and in order.

The conversation goes on inside the callback that brings the replies. To wake a task for each of them would cost more
than everything else that there is to do for a message.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import lru_cache
from typing import Any, Final, TypeVar

from channel_email.providers.smtp.conversation import Conversation
from channel_email.providers.smtp.replies import Reply

REPLY_SECONDS: Final = 60.0
"""How long one reply may take. RFC 5321 §4.5.3.2 allows minutes; a relay of one's own answers at once."""

_LONGEST_LINE: Final = 64 * 1024
_MOST_LINES: Final = 100
_CONTINUED: Final = b"-"

T = TypeVar("T")


class Line(asyncio.Protocol):
    """One connection that is open already. It holds one conversation at a time, and none any more once it has broken.

    Nobody has to wait before writing: a conversation writes no more than one message before it listens again.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._rest = b""
        self._lines: list[bytes] = []
        self._replies: deque[Reply] = deque()
        self._fault: OSError | None = None
        self._conversation: Conversation[Any] | None = None
        self._result: asyncio.Future[Any] | None = None
        self._last_sign = 0.0
        self._timer: asyncio.TimerHandle | None = None
        transport.set_protocol(self)

    @property
    def is_open(self) -> bool:
        """Whether another conversation can be held. A server that has spoken unasked is about to go away."""
        return self._fault is None and not self._replies and not self._transport.is_closing()

    async def hold(self, conversation: Conversation[T]) -> T:
        """Hold a conversation and return its result. Raises what it raises, and is closed then."""
        result: asyncio.Future[T] = self._loop.create_future()
        self._conversation, self._result = conversation, result
        self._last_sign = self._loop.time()
        self._timer = self._loop.call_later(REPLY_SECONDS, self._watch)
        try:
            self._say(next(conversation))
            self._go_on()
            return await result
        except BaseException:
            self.close()
            raise
        finally:
            self._conversation = self._result = None
            self._timer.cancel()

    def close(self) -> None:
        """Say QUIT if anybody listens, and close. Idempotent."""
        if self._fault is None:
            self._transport.write(b"QUIT\r\n")
        self._break_off(ConnectionResetError("the connection was closed"))

    def data_received(self, data: bytes) -> None:
        self._last_sign = self._loop.time()
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._lines.append(line)
            if line[3:4] != _CONTINUED:
                reply = _reply(*self._lines)
                self._lines.clear()
                if reply is None:
                    self._break_off(ConnectionError("the server wrote something that is not an SMTP reply"))
                    return
                self._replies.append(reply)
        self._go_on()
        if len(self._rest) > _LONGEST_LINE or len(self._lines) > _MOST_LINES:
            self._break_off(ConnectionError("the server wrote something that is too long for an SMTP reply"))

    def resume_writing(self) -> None:
        self._last_sign = self._loop.time()

    def connection_lost(self, exc: Exception | None) -> None:
        self._break_off(ConnectionResetError("the server closed the connection"))

    def _go_on(self) -> None:
        """Tell the conversation what has been replied, and say what it says."""
        conversation, result = self._conversation, self._result
        if conversation is None or result is None or result.done():
            return
        try:
            while self._replies:
                self._say(conversation.send(self._replies.popleft()))
            if self._fault is not None:
                conversation.throw(self._fault)
        except StopIteration as end:
            result.set_result(end.value)
        except Exception as error:  # noqa: BLE001 - raised where the conversation is held
            result.set_exception(error)

    def _say(self, text: bytes) -> None:
        if text and self._fault is None:
            self._transport.write(text)

    def _watch(self) -> None:
        """Break off when nothing has been heard for too long."""
        silent = self._loop.time() - self._last_sign
        if silent < REPLY_SECONDS:
            self._timer = self._loop.call_later(REPLY_SECONDS - silent, self._watch)
        else:
            self._break_off(TimeoutError("no answer"))

    def _break_off(self, fault: OSError) -> None:
        if self._fault is None:
            self._fault = fault
            self._transport.close()
            self._go_on()


@lru_cache(maxsize=256)
def _reply(*lines: bytes) -> Reply | None:
    """Read one reply, None where it is none. A server says nearly always the same, so that is read once."""
    code = lines[-1][:3]
    if not code.isdigit():
        return None
    return Reply(int(code), " ".join(line[4:].rstrip(b"\r").decode("utf-8", "replace") for line in lines))
