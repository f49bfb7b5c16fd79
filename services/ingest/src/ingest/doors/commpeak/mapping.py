"""From one of CommPeak's messages to a trigger. Decides alone: no I/O, `now` is given."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from ingest.domain import naming
from ingest.domain.acceptance import Acceptance
from ingest.domain.refusal import RefusedError, WrongField
from ingest.doors.commpeak.bodies import Message
from ingest.doors.streams.accepting import Happening, StreamsView, accept_message, content_of_event, inline
from sluice_catalog.addresses import normalise_phone
from sluice_catalog.streams import Stream
from sluice_contracts.identifiers import derived_id
from sluice_contracts.messages.content import Content
from sluice_contracts.messages.trigger import AddressRecipients
from sluice_contracts.vocabulary import Channel

_TEXT: Final = "message_content"
_AS_IT_IS: Final = f"{{{{ {_TEXT} }}}}"
"""A text of the caller's is a variable, not a template: whatever stands in it is sent as it is."""


@dataclass(frozen=True, slots=True)
class Sending:
    """The call that messages come in with: its stream, the moment, and its idempotency key."""

    stream: Stream
    now: datetime
    default_country: str | None
    idempotency_key: str | None = None


def accept(message: Message, index: int, sending: Sending, definitions: StreamsView) -> Acceptance:
    """Return the trigger for the message at place `index` of a call.

    Raises RefusedError where its number is none, it says nothing or two things, or names an event that is not there.
    """
    stream = sending.stream
    said, variables = _said(message, stream, definitions)
    if said[0] is Channel.EMAIL:
        raise RefusedError([WrongField("event_key", f"{message.event_key!r} is for email, which has no phone number")])
    phone = _phone(message.recipient_phone, sending.default_country)
    if phone is None:
        raise RefusedError([WrongField("recipient_phone", "is not a phone number")])
    happening = Happening(
        stream, _trigger_id(message, index, sending), sending.now, variables, sender=message.sender or None
    )
    return accept_message(happening, said, AddressRecipients(channel=said[0], addresses=[phone]), definitions)


def _trigger_id(message: Message, index: int, sending: Sending) -> UUID:
    stream_id = sending.stream.id
    if message.internal_id is not None:
        return derived_id(stream_id, f"message:{message.internal_id}")
    return naming.trigger_id(stream_id, sending.idempotency_key, sending.now, index)


def _said(
    message: Message, stream: Stream, definitions: StreamsView
) -> tuple[tuple[Channel, Content], dict[str, object]]:
    if (message.message_content is None) is (message.event_key is None):
        raise RefusedError([WrongField(_TEXT, "either message_content or event_key is needed")])
    if message.message_content is not None:
        channel = stream.type.channel
        return (channel, inline(channel, _AS_IT_IS)), {_TEXT: message.message_content}
    event = definitions.stream_event(stream.id, message.event_key or "")
    if event is None:
        wrong = WrongField("event_key", f"the stream {stream.name!r} has no event {message.event_key!r}")
        raise RefusedError([wrong], missing=True)
    return content_of_event(stream, event, definitions), message.variables


def _phone(text: str, default_country: str | None) -> str | None:
    """Read a number; one of digits alone that is none at home is taken for one with its calling code."""
    phone = normalise_phone(text, default_country)
    if phone is None and text.isascii() and text.isdigit():
        phone = normalise_phone(f"+{text}")
    return None if phone is None else phone.e164
