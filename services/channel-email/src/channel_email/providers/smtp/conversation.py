"""What is said to a server to hand mail over, and what its replies make of each message. Knows no sockets and no clock.

A conversation is a generator. It yields what to write next, nothing where it only listens, and is sent one reply each
time; an OSError is thrown into it where no reply comes any more. What it returns is the result.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from typing import Final, NamedTuple, TypeVar

from channel_email.providers.smtp.replies import Reply, outcome_of_refusal
from sluice_channel.provider import Accepted, Ambiguous, Outcome, Retry
from sluice_contracts.vocabulary import MessageState

_QUEUE_ID: Final = re.compile(r"queued as ([0-9A-Za-z-]+)", re.IGNORECASE)

T = TypeVar("T")

Conversation = Generator[bytes, Reply, T]


class Envelope(NamedTuple):
    """One message for one recipient; `body` has CRLF line ends and is not dot-stuffed yet."""

    mail_from: str
    recipient: str
    body: bytes
    message_id: str


def delivery(envelopes: Sequence[Envelope], *, pipelining: bool) -> Conversation[list[Outcome]]:
    """Hand over `envelopes` in order; returns one outcome each.

    With `pipelining` (RFC 2920) the body of one message and the envelope of the next are one write, so that a message
    costs one round trip; without it the server gets one command at a time. When the connection breaks, only the
    message whose final dot was written and not answered is ambiguous; those after it were certainly not handed over
    and are to be retried.
    """
    outcomes: list[Outcome] = []
    dotted = False
    unsaid = _opening(envelopes[0])
    try:
        for envelope, following in zip(envelopes, [*envelopes[1:], None], strict=True):
            refusal = yield from (_negotiated(unsaid) if pipelining else _negotiated_step_by_step(envelope))
            unsaid = b""
            ahead = _opening(following) if pipelining and following is not None else b""
            if refusal is not None:
                outcomes.append(refusal)
                yield b"RSET\r\n" + ahead
                continue
            dotted = True
            outcomes.append(_accepted_or_refused((yield _stuffed(envelope.body) + ahead), envelope))
            dotted = False
    except OSError as error:
        if dotted:
            outcomes.append(Ambiguous(f"the connection ended after the message was written: {error or 'no answer'}"))
        rest = len(envelopes) - len(outcomes)
        outcomes += [Retry("connection_lost", str(error) or "no answer", after=1.0, scope="connection")] * rest
    return outcomes


def greeting() -> Conversation[bool]:
    """Ask whether anybody is there (NOOP); returns whether the answer is good. Raises OSError where none comes."""
    return (yield b"NOOP\r\n").is_positive


def _negotiated(unsaid: bytes) -> Conversation[Outcome | None]:
    """Take an envelope up to the point where the body may be written; returns an outcome if it was refused.

    `unsaid` is what of the envelope has not been written yet, together with the message before.
    """
    mail = yield unsaid
    recipient = yield b""
    data = yield b""
    if data.code == 354 and not (mail.is_positive and recipient.is_positive):
        # A server may say 354 although it refused the only recipient; RFC 2920 §3.1 has us end the empty message.
        yield b".\r\n"
    for reply in (mail, recipient, data):
        if not reply.is_positive:
            return outcome_of_refusal(reply)
    return None


def _negotiated_step_by_step(envelope: Envelope) -> Conversation[Outcome | None]:
    for command in _opening(envelope).splitlines(keepends=True):
        reply = yield command
        if not reply.is_positive:
            return outcome_of_refusal(reply)
    return None


def _opening(envelope: Envelope) -> bytes:
    return f"MAIL FROM:<{envelope.mail_from}>\r\nRCPT TO:<{envelope.recipient}>\r\nDATA\r\n".encode()


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
