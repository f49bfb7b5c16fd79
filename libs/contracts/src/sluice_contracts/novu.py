"""Novu's words for our things: ids of 24 hexadecimal digits, channel types and provider names.

An id is the beginning of one of our UUIDs, so that it is the same for ever and leads back: the UUIDs that begin so are
one range of any index on them. Our UUIDv7s differ within their first 96 bits by a millisecond and 42 random bits, our
UUIDv5s by 90.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sluice_contracts.identifiers import derived_id
from sluice_contracts.vocabulary import Channel

_OBJECT_ID: Final = re.compile(r"[0-9a-f]{24}")
_DIGITS: Final = 24
_EXECUTION_DIGITS: Final = 16
_UUID_DIGITS: Final = 32
_TRANSACTION_PREFIX: Final = "txn_"

CHANNEL_TYPES: Final = {Channel.SMS: "sms", Channel.EMAIL: "email", Channel.WHATSAPP: "chat"}
"""WhatsApp is one of Novu's chat channels."""

CHANNELS: Final = {kind: channel for channel, kind in CHANNEL_TYPES.items()}

PROVIDER_IDS: Final = {
    (Channel.SMS, "twilio"): "twilio",
    (Channel.SMS, "sandbox"): "novu-sms",
    (Channel.EMAIL, "smtp"): "nodemailer",
    (Channel.EMAIL, "sandbox"): "novu-email",
    (Channel.WHATSAPP, "meta"): "whatsapp-business",
    (Channel.WHATSAPP, "sandbox"): "whatsapp-business",
}
"""Our providers under ids that Novu's SDKs know: the set is closed, any other id breaks them."""

_GENERIC: Final = {Channel.SMS: "generic-sms", Channel.EMAIL: "nodemailer", Channel.WHATSAPP: "whatsapp-business"}


def provider_id(channel: Channel, provider: str | None) -> str:
    """Return the id under which Novu's SDKs know one of our providers on a channel."""
    return PROVIDER_IDS.get((channel, provider or ""), _GENERIC[channel])


def object_id(value: UUID) -> str:
    """Return Novu's id for what we call `value`."""
    return value.hex[:_DIGITS]


def named_object_id(namespace: UUID, name: str) -> str:
    """Return an id for something that has only a name."""
    return object_id(derived_id(namespace, name))


def behind(text: str) -> tuple[UUID, UUID] | None:
    """Return the least and the greatest UUID that an id may stand for, None where it is no id."""
    return _range(text) if _OBJECT_ID.fullmatch(text) else None


@dataclass(frozen=True, slots=True)
class Place:
    """A job by the range in which its execution's id lies, and its position there."""

    least: UUID
    greatest: UUID
    seq: int


def place_id(execution_id: UUID, seq: int) -> str:
    """Return Novu's id for a job: 64 bits of its execution, which is named by a UUIDv5, and its position."""
    return f"{execution_id.hex[:_EXECUTION_DIGITS]}{seq:08x}"


def place_behind(text: str) -> Place | None:
    """Return the place that an id stands for, None where it is no id."""
    if not _OBJECT_ID.fullmatch(text):
        return None
    return Place(*_range(text[:_EXECUTION_DIGITS]), int(text[_EXECUTION_DIGITS:], 16))


def trigger_id_for_transaction(workspace_id: UUID, transaction_id: str) -> UUID:
    """Return the trigger that a transaction id names, for ever: the same transaction twice is the same trigger."""
    return derived_id(workspace_id, f"transaction:{transaction_id}")


def new_transaction_id(seed: UUID) -> str:
    """Return a transaction id in Novu's form for a request that has none; the same for the same `seed`."""
    return f"{_TRANSACTION_PREFIX}{seed.hex[:_DIGITS]}"


def _range(digits: str) -> tuple[UUID, UUID]:
    return UUID(digits.ljust(_UUID_DIGITS, "0")), UUID(digits.ljust(_UUID_DIGITS, "f"))
