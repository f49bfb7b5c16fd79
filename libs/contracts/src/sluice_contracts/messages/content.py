"""What is to be said: a stored template by its version, or content that came with the request."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from sluice_contracts.base import Part


class TemplateContent(Part):
    """A stored template, frozen at one version."""

    kind: Literal["template"] = "template"
    template_id: UUID
    version: int
    key: str


class MissingTemplate(Part):
    """A template that was named and is not there (any more): every job is filtered `template_missing`."""

    kind: Literal["missing"] = "missing"
    key: str


class InlineSms(Part):
    """A text for SMS, Liquid allowed."""

    kind: Literal["sms"] = "sms"
    text: str


class InlineEmail(Part):
    """An email, Liquid allowed in each part."""

    kind: Literal["email"] = "email"
    subject: str
    html: str | None = None
    text: str | None = None


class InlineWhatsApp(Part):
    """A provider-side template by name and language, or a free text (allowed only inside the service window)."""

    kind: Literal["whatsapp"] = "whatsapp"
    template_name: str | None = None
    language: str | None = None
    body: str | None = None
    components: list[dict[str, Any]] = Field(default_factory=list)
    text: str | None = None


Content = Annotated[
    TemplateContent | MissingTemplate | InlineSms | InlineEmail | InlineWhatsApp, Field(discriminator="kind")
]


class SendWindow(Part):
    """When messages may go out, in the contact's own time zone.

    `days` are ISO weekdays 1-7, `opens` and `closes` are local "HH:MM"; a window that closes at or before it opens
    runs over midnight. Outside it a job waits for the next opening (`hold`) or is filtered (`drop`).
    """

    days: list[int] = Field(default_factory=lambda: [1, 2, 3, 4, 5, 6, 7])
    opens: str = "08:00"
    closes: str = "21:00"
    outside: Literal["hold", "drop"] = "hold"
    default_timezone: str = "UTC"


class Sender(Part):
    """Who a message is from, where the request or definition says so; what is None comes from the provider account.

    `sandbox` sends through the workspace's sandbox account of the channel, whatever `account_id` and the default say.
    """

    from_email: str | None = None
    from_name: str | None = None
    reply_to: str | None = None
    sender: str | None = None
    account_id: UUID | None = None
    sandbox: bool = False
