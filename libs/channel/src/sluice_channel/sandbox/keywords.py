"""What a reply means: words that by law or custom stop and start messages (CTIA; Twilio and AWS list the same)."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class ReplyIntent(StrEnum):
    """What somebody wants who answers with a single known word."""

    STOP = "stop"
    START = "start"


_STOP_WORDS: Final = frozenset(
    {"stop", "stopall", "stop all", "unsubscribe", "cancel", "end", "quit", "revoke", "optout", "opt-out", "arret"}
)
_START_WORDS: Final = frozenset({"start", "yes", "unstop"})


def intent_of(text: str) -> ReplyIntent | None:
    """Return what a reply asks for; None unless all of it is one known word ("please stop" is a conversation)."""
    word = " ".join(text.split()).casefold()
    if word in _STOP_WORDS:
        return ReplyIntent.STOP
    return ReplyIntent.START if word in _START_WORDS else None
