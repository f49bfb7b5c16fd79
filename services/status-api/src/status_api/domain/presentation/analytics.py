"""What became of an execution's messages, in the words of its channel.

`sent = delivered + failed|bounced + awaiting_receipt` in every one of them. `unknown`, messages whose receipt did not
come within the deadline, are among those awaited and stand for themselves besides.
"""

from __future__ import annotations

from typing import Final, Literal

from sluice_contracts.vocabulary import Channel
from status_api.domain.rows import ExecutionRow

Place = Literal["direct", "step", "group"]
"""Where the numbers are shown: each body of the reference shows its own choice of them."""

_KEYS: Final[dict[tuple[Place, Channel], tuple[str, ...]]] = {
    ("direct", Channel.SMS): ("delivered", "failed", "clicked", "opened", "bounced", "complained"),
    ("direct", Channel.EMAIL): ("delivered", "opened", "clicked", "bounced", "complained", "unsubscribed"),
    ("direct", Channel.WHATSAPP): ("delivered", "read", "failed", "replied"),
    ("step", Channel.SMS): ("delivered", "failed", "clicked"),
    ("step", Channel.EMAIL): ("delivered", "opened", "clicked", "bounced"),
    ("step", Channel.WHATSAPP): ("delivered", "read", "replied", "failed"),
    ("group", Channel.SMS): ("delivered", "failed"),
    ("group", Channel.EMAIL): ("delivered", "opened", "bounced"),
    ("group", Channel.WHATSAPP): ("delivered", "read", "replied", "failed"),
}


def analytics(execution: ExecutionRow, place: Place) -> dict[str, int]:
    """Return the numbers of `execution` for `place`."""
    messages, engagements = execution.messages, execution.engagements
    is_email = execution.channel is Channel.EMAIL
    values = {
        "delivered": messages.reached,
        "read": messages.read,
        "failed": 0 if is_email else messages.negative,
        "bounced": messages.negative if is_email else 0,
        "opened": engagements.opened,
        "clicked": engagements.clicked,
        "replied": engagements.replied,
        "complained": engagements.complained,
        "unsubscribed": engagements.unsubscribed,
    }
    return {
        "sent": execution.sent,
        **{key: values[key] for key in _KEYS[place, execution.channel]},
        "awaiting_receipt": messages.awaiting_receipt,
        "unknown": messages.unknown,
    }
