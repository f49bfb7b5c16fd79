"""What an SMTP reply means for a message: RFC 5321 §4.2 basic codes, RFC 3463 enhanced codes, which win."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from sluice_channel.provider import Outcome, RejectAccount, RejectMessage, RejectRecipient, Retry
from sluice_contracts.vocabulary import SuppressionReason

_ENHANCED: Final = re.compile(r"^([245])\.(\d{1,3})\.(\d{1,3})\b")
_NO_SUCH_PERSON: Final = re.compile(
    r"(unknown|no such|invalid|does ?n.t exist).*(user|mailbox|recipient|address)"
    r"|(user|mailbox|recipient|address).*(unknown|not found|does ?n.t exist)",
    re.IGNORECASE,
)

_HARD_BOUNCES: Final = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1", "5.4.4"})
_AUTHENTICATION: Final = frozenset({530, 534, 535, 538})
_OUR_FAULT: Final = frozenset({501, 502, 503, 504})
_GREYLISTED: Final = frozenset({"4.2.0", "4.7.0", "4.7.1"})
_MAILBOX_FULL: Final = "4.2.2"

GREYLIST_SECONDS: Final = 300.0
"""Greylisting servers let a repeat through after one to fifteen minutes."""

MAILBOX_FULL_SECONDS: Final = 3600.0
HOST_BUSY_SECONDS: Final = 30.0


class Reply(NamedTuple):
    """One complete reply: its three-digit code and its text, lines joined by a space."""

    code: int
    text: str

    @property
    def is_positive(self) -> bool:
        """Whether the command was taken (2xx) or may go on (3xx)."""
        return 200 <= self.code < 400

    @property
    def enhanced(self) -> str | None:
        """The enhanced status code, None where the server gives none or one that contradicts the basic code's class."""
        match = _ENHANCED.match(self.text)
        if match is None or match.group(1) != str(self.code)[0]:
            return None
        return ".".join(match.groups())


def outcome_of_refusal(reply: Reply) -> Outcome:
    """Return what a 4xx or 5xx reply to MAIL, RCPT, DATA or the message itself means.

    Raises ValueError for a positive reply.
    """
    if reply.is_positive:
        raise ValueError(f"{reply.code} is not a refusal")
    code = reply.enhanced or str(reply.code)
    if reply.code < 500:
        return _temporary(reply, code)
    return _permanent(reply, code)


def _temporary(reply: Reply, code: str) -> Outcome:
    if reply.code == 421 or code == "4.3.2":
        return Retry(code, reply.text, after=HOST_BUSY_SECONDS, scope="connection")
    if code in _GREYLISTED or (reply.enhanced is None and reply.code in {450, 451}):
        return Retry(code, reply.text, after=GREYLIST_SECONDS)
    if code == _MAILBOX_FULL:
        return Retry(code, reply.text, after=MAILBOX_FULL_SECONDS)
    return Retry(code, reply.text)


def _permanent(reply: Reply, code: str) -> Outcome:
    if reply.code in _AUTHENTICATION:
        return RejectAccount(code, reply.text)
    if code in _HARD_BOUNCES:
        return RejectRecipient(code, reply.text, suppress=SuppressionReason.HARD_BOUNCE)
    if code == "5.2.2":
        return RejectRecipient(code, reply.text)
    if reply.code in _OUR_FAULT or (reply.enhanced is not None and not code.startswith("5.0.")):
        return RejectMessage(code, reply.text)
    if _NO_SUCH_PERSON.search(reply.text):
        return RejectRecipient(code, reply.text, suppress=SuppressionReason.HARD_BOUNCE)
    return RejectMessage(code, reply.text)
