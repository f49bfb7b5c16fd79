"""What a trigger is called: its id, its campaign's name, its only job."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

from sluice_contracts.identifiers import first_job_of, new_id, new_ids, trigger_id_for_key
from sluice_contracts.vocabulary import Channel

_CHANNEL_LABELS: Final = {Channel.SMS: "SMS", Channel.EMAIL: "Email", Channel.WHATSAPP: "WhatsApp"}


def trigger_id(workspace_id: UUID, idempotency_key: str | None, now: datetime, index: int | None = None) -> UUID:
    """Return a trigger's id: derived from the caller's key, so that a repeat names the same trigger, or else new.

    `index` is the place in a bulk call, each item of which is a trigger of its own.
    """
    if idempotency_key is None:
        return new_id(now.timestamp())
    # A header's value holds no line break: no single call's key can name a bulk call's item.
    return trigger_id_for_key(workspace_id, idempotency_key if index is None else f"{idempotency_key}\n{index}")


def trigger_ids(workspace_id: UUID, idempotency_key: str | None, now: datetime, count: int) -> list[UUID]:
    """Return the ids of the triggers of a bulk call, each as `trigger_id` gives it."""
    if idempotency_key is None:
        return new_ids(count, now.timestamp())
    return [trigger_id(workspace_id, idempotency_key, now, index) for index in range(count)]


def campaign_name(channel: Channel, content_name: str | None) -> str:
    """Return the name of a direct send that was given none: "SMS Send - otp_us"."""
    label = f"{_CHANNEL_LABELS[channel]} Send"
    return f"{label} - {content_name}" if content_name else label


def only_job(trigger: UUID, channel: Channel) -> str:
    """Return the public id of the one job of a direct send to a single recipient."""
    return first_job_of(trigger, channel)
