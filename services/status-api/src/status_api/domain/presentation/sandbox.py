"""`GET /api/v1/sandbox/messages`: what a recipient would see, had the sandbox sent anything."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sluice_contracts.vocabulary import Channel
from status_api.domain.presentation.parts import instant


class SandboxMessage(NamedTuple):
    """One message that the sandbox got. `id` counts within its channel."""

    channel: Channel
    id: int
    to: str
    sender: str | None
    subject: str | None
    text: str | None
    html: str | None
    headers: dict[str, Any] | None
    trigger_id: UUID
    job_id: str
    at: datetime


def present_sandbox_message(message: SandboxMessage) -> dict[str, Any]:
    """Return one message as the list shows it."""
    return {
        "channel": message.channel.value,
        "to": message.to,
        "from": message.sender,
        "subject": message.subject,
        "text": message.text,
        "html": message.html,
        "headers": message.headers or {},
        "trigger_id": str(message.trigger_id),
        "job_id": message.job_id,
        "at": instant(message.at),
    }
