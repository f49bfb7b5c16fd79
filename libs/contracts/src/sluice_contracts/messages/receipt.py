"""Topics `receipts.<channel>`: what providers and recipients say later. Key: the job reference or message id."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import Field, TypeAdapter

from sluice_contracts.base import Instant, Message
from sluice_contracts.vocabulary import Channel, Engagement


class CallbackReceived(Message):
    """One provider callback whose signature was good, as it came; the provider's own module reads it.

    `body` is the raw body in base64. `headers` holds only those that a provider declares it reads, in lower case.
    """

    TYPE: ClassVar[str] = "callback.received.v1"
    type: Literal["callback.received.v1"] = "callback.received.v1"
    channel: Channel
    workspace_id: UUID
    account_id: UUID
    provider: str
    received_at: Instant
    content_type: str = ""
    query: dict[str, str] = Field(default_factory=dict)
    headers: dict[str, str] = Field(default_factory=dict)
    body: str = ""


class TrackingReceived(Message):
    """A recipient opened, clicked or unsubscribed through one of our own signed links; `reference` is the job's."""

    TYPE: ClassVar[str] = "tracking.received.v1"
    KEY: ClassVar[tuple[str, ...]] = ("reference",)
    type: Literal["tracking.received.v1"] = "tracking.received.v1"
    channel: Channel
    received_at: Instant
    reference: str
    engagement: Engagement
    by_machine: bool = False
    link: str | None = None


ReceiptMessage = Annotated[CallbackReceived | TrackingReceived, Field(discriminator="type")]

_adapter: TypeAdapter[ReceiptMessage] = TypeAdapter(ReceiptMessage)


def decode_receipt(value: bytes) -> ReceiptMessage:
    """Read a record's value.

    Raises pydantic.ValidationError when it is none of the messages of these topics.
    """
    return _adapter.validate_json(value)
