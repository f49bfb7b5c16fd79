"""The sandbox's callbacks, written by its playback and read by its provider: `{"receipts": [{…}, …]}`.

An entry stands for all messages to which the same has happened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from sluice_channel.provider import Receipt
from sluice_channel.sandbox.behaviours import WITHOUT_RECEIPTS, Behaviour
from sluice_channel.sandbox.keywords import ReplyIntent, intent_of
from sluice_contracts.vocabulary import Channel, Engagement, MessageState, SuppressionReason

_STATES: Final = {
    "delivered": MessageState.DELIVERED,
    "read": MessageState.READ,
    "undelivered": MessageState.UNDELIVERED,
    "bounced": MessageState.BOUNCED,
}


@dataclass(frozen=True, slots=True)
class SandboxReceipt:
    """One entry of a callback: what happened to the messages with these references.

    `event` is a message state, `complained`, `unsubscribed` or `reply` with its `text`.
    """

    references: Sequence[str]
    event: str
    at: int
    address: str | None = None
    code: str | None = None
    text: str | None = None


def usual_receipts(channel: Channel, references: Sequence[str], at: int) -> list[SandboxReceipt]:
    """Return what is played back for messages that arrive, in order; `at` is when, in Unix milliseconds."""
    played = [SandboxReceipt(references, "delivered", at)]
    if channel is Channel.WHATSAPP:
        played.append(SandboxReceipt(references, "read", at + 1))
    return played


def receipts_for(
    channel: Channel, behaviour: Behaviour, reference: str, address: str, at: int, *, can_unsubscribe: bool
) -> list[SandboxReceipt]:
    """Return what is played back for one message whose address asks for `behaviour`, in order.

    With `can_unsubscribe` an opting-out reader of an email uses the message's own unsubscribe link instead.
    """
    if behaviour in WITHOUT_RECEIPTS:
        return []
    if behaviour is Behaviour.BOUNCE:
        event, code = ("bounced", "5.1.1") if channel is Channel.EMAIL else ("undelivered", "30003")
        return [SandboxReceipt([reference], event, at, address, code)]
    played = usual_receipts(channel, [reference], at)
    by_email = channel is Channel.EMAIL
    if behaviour is Behaviour.OPT_OUT and by_email and not can_unsubscribe:
        played.append(SandboxReceipt([reference], "unsubscribed", at + 2, address))
    elif behaviour is Behaviour.OPT_OUT and not by_email:
        played.append(SandboxReceipt([reference], "reply", at + 2, address, text="STOP"))
    elif behaviour is Behaviour.COMPLAINT and by_email:
        played.append(SandboxReceipt([reference], "complained", at + 2, address))
    elif behaviour is Behaviour.COMPLAINT:
        played.append(SandboxReceipt([reference], "reply", at + 2, address, text="hello"))
    return played


def write(receipts: Sequence[SandboxReceipt]) -> bytes:
    """Return the body of a callback."""
    return orjson.dumps({"receipts": receipts})


def read(body: bytes) -> list[Receipt]:
    """Read the body of a callback.

    Raises ValueError when it is none.
    """
    try:
        entries = [(_receipt(entry)[1:], entry["references"]) for entry in orjson.loads(body)["receipts"]]
        return [Receipt(reference, *facts) for facts, references in entries for reference in references]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a sandbox callback: {error!r}") from error


def _receipt(entry: dict[str, Any]) -> Receipt:
    """Return what an entry says of each of its messages, whichever that is."""
    event, at, address = entry["event"], entry["at"], entry.get("address")
    code = entry.get("code")
    if event in _STATES:
        state = _STATES[event]
        suppress = SuppressionReason.HARD_BOUNCE if state.is_negative else None
        return Receipt(None, message=state, at_ms=at, code=code, address=address, suppress=suppress)
    if event == "complained":
        return Receipt(
            None, engagement=Engagement.COMPLAINED, at_ms=at, address=address, suppress=SuppressionReason.COMPLAINT
        )
    if event == "unsubscribed":
        return Receipt(
            None, engagement=Engagement.UNSUBSCRIBED, at_ms=at, address=address,
            suppress=SuppressionReason.UNSUBSCRIBED,
        )  # fmt: skip
    if event == "reply":
        intent = intent_of(entry["text"])
        stops = intent is ReplyIntent.STOP
        return Receipt(
            None,
            engagement=Engagement.UNSUBSCRIBED if stops else Engagement.REPLIED,
            at_ms=at,
            address=address,
            suppress=SuppressionReason.STOP if stops else None,
            resubscribe=intent is ReplyIntent.START,
        )
    raise ValueError(f"not a sandbox event: {event!r}")
