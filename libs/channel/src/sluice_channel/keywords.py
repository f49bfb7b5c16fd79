"""What a reply means: words that by law or custom stop and start messages (CTIA; Twilio and AWS list the same)."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class ReplyIntent(StrEnum):
    """What somebody wants who answers with a single known word."""

    STOP = "stop"
    START = "start"
    HELP = "help"


_WORDS: Final[dict[str, ReplyIntent]] = {
    **dict.fromkeys(
        (
            "stop", "stopall", "stop all", "unsubscribe", "cancel", "end", "quit", "revoke", "optout", "opt-out",
            "opt out", "remove", "arret", "arrêt", "td",
        ),
        ReplyIntent.STOP,
    ),
    **dict.fromkeys(("start", "yes", "unstop"), ReplyIntent.START),
    **dict.fromkeys(("help", "info"), ReplyIntent.HELP),
}  # fmt: skip


def intent_of(text: str) -> ReplyIntent | None:
    """Return what a reply asks for; None unless the whole of it is one known word ("please stop" is a conversation)."""
    return _WORDS.get(" ".join(text.split()).casefold().rstrip(".!"))
