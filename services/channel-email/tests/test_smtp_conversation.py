"""What is said to a relay, and what its replies make of each message; and the line that carries both."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any

import pytest

from channel_email.providers.smtp import line as line_module
from channel_email.providers.smtp.conversation import Envelope, delivery, greeting
from channel_email.providers.smtp.line import Line
from channel_email.providers.smtp.replies import Reply
from sluice_channel.provider import Accepted, Ambiguous, Outcome, RejectRecipient, Retry

OK = Reply(250, "2.0.0 Ok")
GO_ON = Reply(354, "End data with <CR><LF>.<CR><LF>")
NOBODY = Reply(550, "5.1.1 no such user")
GONE = ConnectionResetError("gone")


def envelopes(*names: str) -> list[Envelope]:
    return [Envelope("us@x.test", f"{name}@y.test", f"Hello {name}\r\n".encode(), f"id-{name}") for name in names]


def opening(name: str) -> bytes:
    return f"MAIL FROM:<us@x.test>\r\nRCPT TO:<{name}@y.test>\r\nDATA\r\n".encode()


def listen(conversation: Generator[bytes, Reply, Any], *answers: Reply | OSError) -> tuple[list[bytes], Any]:
    """Answer a conversation; return everything that it wrote, and its result."""
    written = [next(conversation)]
    try:
        for answer in answers:
            said = conversation.throw(answer) if isinstance(answer, OSError) else conversation.send(answer)
            written.append(said)
    except StopIteration as end:
        return [text for text in written if text], end.value
    pytest.fail("the conversation has not ended")


def test_with_pipelining_a_message_is_one_write_with_the_envelope_of_the_next() -> None:
    written, outcomes = listen(
        delivery(envelopes("a", "b"), pipelining=True), OK, OK, GO_ON, OK, OK, OK, GO_ON, Reply(250, "queued as 4XYZ")
    )
    assert written == [opening("a"), b"Hello a\r\n.\r\n" + opening("b"), b"Hello b\r\n.\r\n"]
    assert outcomes == [Accepted("id-a", outcomes[0].state), Accepted("4XYZ", outcomes[1].state)]


def test_without_pipelining_the_server_gets_one_command_at_a_time() -> None:
    written, outcomes = listen(
        delivery(envelopes("a", "b"), pipelining=False), OK, NOBODY, OK, OK, OK, GO_ON, OK
    )  # fmt: skip
    assert written == [
        b"MAIL FROM:<us@x.test>\r\n", b"RCPT TO:<a@y.test>\r\n", b"RSET\r\n",
        b"MAIL FROM:<us@x.test>\r\n", b"RCPT TO:<b@y.test>\r\n", b"DATA\r\n", b"Hello b\r\n.\r\n",
    ]  # fmt: skip
    assert [type(outcome) for outcome in outcomes] == [RejectRecipient, Accepted]


def test_an_empty_message_ends_what_a_server_lets_begin_without_a_recipient() -> None:
    written, outcomes = listen(
        delivery(envelopes("a", "b"), pipelining=True), OK, NOBODY, GO_ON, Reply(554, "no recipients"), OK,
        OK, OK, GO_ON, OK,
    )  # fmt: skip
    assert written == [opening("a"), b".\r\n", b"RSET\r\n" + opening("b"), b"Hello b\r\n.\r\n"]
    assert [type(outcome) for outcome in outcomes] == [RejectRecipient, Accepted]


@pytest.mark.parametrize(
    ("answers", "kinds"),
    [
        ([GONE], [Retry, Retry, Retry]),
        ([OK, OK, GONE], [Retry, Retry, Retry]),
        ([OK, OK, GO_ON, GONE], [Ambiguous, Retry, Retry]),
        ([OK, OK, GO_ON, OK, GONE], [Accepted, Retry, Retry]),
        ([OK, OK, GO_ON, OK, OK, OK, GO_ON, TimeoutError()], [Accepted, Ambiguous, Retry]),
        ([OK, NOBODY, NOBODY, GONE], [RejectRecipient, Retry, Retry]),
    ],
)
def test_only_what_was_written_whole_and_not_answered_is_in_doubt(
    answers: list[Reply | OSError], kinds: list[type[Outcome]]
) -> None:
    _, outcomes = listen(delivery(envelopes("a", "b", "c"), pipelining=True), *answers)
    assert [type(outcome) for outcome in outcomes] == kinds


def test_a_line_of_a_body_that_begins_with_a_dot_ends_nothing() -> None:
    envelope = Envelope("us@x.test", "a@y.test", b".\r\n.one\r\ntwo", "id")
    written, _ = listen(delivery([envelope], pipelining=True), OK, OK, GO_ON, OK)
    assert written[1] == b"..\r\n..one\r\ntwo\r\n.\r\n"


def test_a_greeting_asks_whether_the_answer_is_good() -> None:
    assert listen(greeting(), OK) == ([b"NOOP\r\n"], True)
    assert listen(greeting(), Reply(421, "closing")) == ([b"NOOP\r\n"], False)


class Wire(asyncio.Transport):
    """A transport whose other end is the test."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False
        self.protocol: Any = None

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def write(self, data: Any) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


@pytest.fixture
async def wire() -> Wire:
    return Wire()


async def begun(line: Line, *names: str) -> asyncio.Task[list[Outcome]]:
    task = asyncio.ensure_future(line.hold(delivery(envelopes(*names), pipelining=True)))
    await asyncio.sleep(0)
    return task


async def test_replies_are_read_however_they_are_cut(wire: Wire) -> None:
    line = Line(wire)
    task = await begun(line, "a", "b")
    replies = b"250 ok\r\n250-2.1.5\r\n250 ok\r\n354 go\r\n250 queued as A1\r\n250 ok\n250 ok\r\n354 go\r\n250 fine\r\n"
    for place in range(len(replies)):
        line.data_received(replies[place : place + 1])
    assert [outcome.provider_id for outcome in await task if isinstance(outcome, Accepted)] == ["A1", "id-b"]
    assert line.is_open


@pytest.mark.parametrize(
    "end",
    [b"what is this\r\n", b"250-" + b"x" * 70_000, b"250-x\r\n" * 101],
    ids=["no reply", "no end", "no last line"],
)
async def test_what_is_no_reply_breaks_the_conversation_off(wire: Wire, end: bytes) -> None:
    line = Line(wire)
    task = await begun(line, "a", "b")
    line.data_received(b"250 ok\r\n250 ok\r\n354 go\r\n250 ok\r\n" + end)
    assert [type(outcome) for outcome in await task] == [Accepted, Retry]
    assert wire.closed
    assert not line.is_open


async def test_a_reply_that_came_before_the_end_counts(wire: Wire) -> None:
    line = Line(wire)
    task = await begun(line, "a", "b")
    line.data_received(b"250 ok\r\n250 ok\r\n354 go\r\n")
    line.data_received(b"250 ok\r\n")
    line.connection_lost(None)
    assert [type(outcome) for outcome in await task] == [Accepted, Retry]


async def test_a_server_that_says_nothing_is_given_up(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_module, "REPLY_SECONDS", 0.05)
    line = Line(wire)
    task = await begun(line, "a", "b")
    line.data_received(b"250 ok\r\n250 ok\r\n354 go\r\n")
    async with asyncio.timeout(10):
        assert [type(outcome) for outcome in await task] == [Ambiguous, Retry]
    assert wire.closed


async def test_a_line_is_not_used_again_once_somebody_was_cut_off_or_the_server_has_spoken_unasked(wire: Wire) -> None:
    line = Line(wire)
    task = await begun(line, "a")
    task.cancel()
    await asyncio.wait([task])
    assert wire.closed
    other = Line(Wire())
    assert other.is_open
    other.data_received(b"421 closing\r\n")
    assert not other.is_open


async def test_whoever_ends_a_line_takes_leave_once(wire: Wire) -> None:
    line = Line(wire)
    line.close()
    line.close()
    assert wire.written == b"QUIT\r\n"
    with pytest.raises(ConnectionResetError):
        await line.hold(greeting())
