"""A mail relay that keeps what it is given and answers as it is told: aiosmtpd, on a port that it keeps."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from types import TracebackType
from typing import Final, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from sluice_local.processes import free_port

QUEUED: Final = "250 2.0.0 Ok: queued as 4XYZ"


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail as it arrived: the envelope, the bytes, and the bytes parsed."""

    return_path: str
    recipient: str
    raw: bytes
    message: EmailMessage

    def part(self, subtype: str) -> str:
        """Return the decoded body of `text/<subtype>`."""
        body = self.message.get_body((subtype,))
        assert body is not None, f"the mail has no text/{subtype}"
        return str(body.get_content())


class Relay:
    """A relay; a context manager that listens meanwhile. `answers` to RCPT are given in turn, by address."""

    def __init__(self) -> None:
        self.port = free_port()
        self.mails: list[Mail] = []
        self.asked: list[str] = []
        self.answers: defaultdict[str, deque[str]] = defaultdict(deque)
        self._controller: Controller | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Listen."""
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port, ready_timeout=60.0)
        self._controller.start()

    def stop(self) -> None:
        """Be away."""
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    def to(self, address: str) -> list[Mail]:
        """Return what arrived for `address`."""
        return [mail for mail in self.mails if mail.recipient == address]

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Answer RCPT TO."""
        self.asked.append(address)
        if self.answers[address]:
            answer = self.answers[address].popleft()
            if not answer.startswith("250"):
                return answer
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Keep a mail."""
        raw = envelope.content
        assert isinstance(raw, bytes)
        (recipient,) = envelope.rcpt_tos
        message = BytesParser(policy=default).parsebytes(raw)
        assert isinstance(message, EmailMessage)
        self.mails.append(Mail(envelope.mail_from or "", recipient, raw, message))
        return QUEUED
