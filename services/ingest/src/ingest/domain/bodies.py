"""The bodies of Trigger API V2's requests: their shape. What they mean is decided in `acceptance`.

Names that callers of the reference write differently are read too: `tag`, `triggerAt`, `html`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, SkipValidation, StrictBool

from ingest.domain.values import (
    MAX_EXCLUDED,
    MAX_ITEMS,
    MAX_RECIPIENTS,
    Address,
    Line,
    Moment,
    Name,
    Names,
    Source,
    Values,
)
from sluice_contracts.vocabulary import Category, Channel


class RecipientType(StrEnum):
    """Whom a request is for."""

    CONTACT = "contact"
    CONTACTS = "contacts"
    TAG = "tag"
    SEGMENT = "segment"
    LIST = "list"
    ALL = "all"
    DIRECT_SMS = "direct_sms"
    DIRECT_EMAIL = "direct_email"
    DIRECT_WHATSAPP = "direct_whatsapp"


def _in_lower_case(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


ConversationCategory = Annotated[
    Literal["marketing", "utility", "authentication"],
    BeforeValidator(_in_lower_case),
    Field(description="WhatsApp's own word for `category`, in either case."),
]


class RequestBody(BaseModel):
    """A request body: unknown fields are refused by name."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RecipientFields(RequestBody):
    """The fields that name recipients; `recipient_type` says which one of the others is needed."""

    recipient_type: RecipientType
    contact_external_id: Name | None = None
    contact_external_ids: Annotated[list[Name], Field(min_length=1, max_length=MAX_RECIPIENTS)] | None = None
    tags: Names | None = Field(  # type: ignore[pydantic-alias]
        default=None, validation_alias=AliasChoices("tags", "tag"), description="All must match. Also `tag`."
    )
    segment_id: Name | None = Field(default=None, description="A segment's id or its key.")
    list_id: Name | None = Field(default=None, description="A list's id or its key.")
    excluded_contacts: Annotated[list[Name], Field(max_length=MAX_EXCLUDED)] = Field(
        default_factory=list, description="External ids of contacts that are filtered out."
    )


class CommonFields(RecipientFields):
    """What every send and every workflow trigger can say beside its recipients."""

    variables: Values = Field(default_factory=dict)
    category: Category | None = Field(
        default=None,
        description="Decides the lane and the gates. Without it, the category of the template or workflow; without "
        "one of those, `transactional` for recipients named one by one and `marketing` for an audience.",
    )
    campaign_name: Name | None = None
    metadata: Values = Field(default_factory=dict)
    trigger_at: Moment | None = Field(  # type: ignore[pydantic-alias]
        default=None,
        validation_alias=AliasChoices("trigger_at", "triggerAt"),
        description="When to begin, at most 365 days ahead; at once where it is past. Also `triggerAt`.",
    )
    expires_at: Moment | None = Field(default=None, description="What is not sent by then is filtered out.")
    dry_run: StrictBool = Field(default=False, description="Go through every gate and send nothing.")


class SendBody(CommonFields):
    """What sends on all channels share."""

    template_key: Name | None = Field(default=None, description="A stored template, instead of inline content.")


class SmsSend(SendBody):
    """`POST /api/v1/messages/sms/send`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"recipient_type": "contact", "contact_external_id": "user_123", "template_key": "otp_us"},
                {"recipient_type": "direct_sms", "direct_sms": "+14155550123", "text": "Your code is 123456"},
            ]
        }
    )

    direct_sms: Address | None = None
    text: Source | None = None
    sms_identity_id: Name | None = Field(default=None, description="The provider account to send from, by its id.")


class EmailSend(SendBody):
    """`POST /api/v1/messages/email/send`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"recipient_type": "contact", "contact_external_id": "user_123", "template_key": "welcome"},
                {
                    "recipient_type": "direct_email",
                    "direct_email": "ada@example.com",
                    "subject": "Hello",
                    "content": "<p>Hello {{ first_name }}</p>",
                },
            ]
        }
    )

    direct_email: Address | None = None
    direct_first_name: Line | None = None
    direct_last_name: Line | None = None
    subject: Line | None = None
    content: Source | None = Field(  # type: ignore[pydantic-alias]
        default=None, validation_alias=AliasChoices("content", "html"), description="HTML. Also `html`."
    )
    plain_text_content: Source | None = None
    from_email: Address | None = None
    from_name: Line | None = None
    reply_to: Address | None = None


class WhatsAppSend(SendBody):
    """`POST /api/v1/messages/whatsapp/send`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"recipient_type": "contact", "contact_external_id": "user_123", "template_key": "otp_wa"},
                {
                    "recipient_type": "direct_whatsapp",
                    "direct_whatsapp": "+14155550123",
                    "template_name": "hello_world",
                    "language": "en_US",
                },
            ]
        }
    )

    direct_whatsapp: Address | None = None
    template_name: Name | None = None
    language: Name | None = None
    components: Annotated[list[Values], Field(max_length=20)] | None = None
    text: Source | None = Field(default=None, description="A free text; the provider takes it inside a window only.")
    conversation_category: ConversationCategory | None = None
    whatsapp_identity_id: Name | None = Field(default=None, description="The provider account to send from, by its id.")


class ChannelVariables(RequestBody):
    """Variables for one channel alone, over those for all."""

    email: Values | None = None
    sms: Values | None = None
    whatsapp: Values | None = None

    def by_channel(self) -> dict[str, dict[str, Any]]:
        """Return those that were given."""
        return {channel: values for channel, values in self if values}


class WorkflowTrigger(CommonFields):
    """`POST /api/v1/workflows/trigger`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"workflow_name": "Welcome Series", "recipient_type": "contact", "contact_external_id": "user_123"}
            ]
        }
    )

    workflow_name: Name | None = None
    workflow_id: Name | None = Field(default=None, description="The workflow's id or its key.")
    direct_sms: Address | None = None
    direct_email: Address | None = None
    direct_whatsapp: Address | None = None
    channel_variables: ChannelVariables = Field(default_factory=ChannelVariables)


SEND_BODIES: dict[Channel, type[SendBody]] = {
    Channel.SMS: SmsSend,
    Channel.EMAIL: EmailSend,
    Channel.WHATSAPP: WhatsAppSend,
}


class SmsItem(SmsSend):
    """One SMS of a bulk call."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "channel": "sms",
                    "recipient_type": "contact",
                    "contact_external_id": "user_123",
                    "template_key": "otp_us",
                }
            ]
        }
    )

    channel: Literal["sms"]


class EmailItem(EmailSend):
    """One email of a bulk call."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "channel": "email",
                    "recipient_type": "contact",
                    "contact_external_id": "user_123",
                    "template_key": "welcome",
                }
            ]
        }
    )

    channel: Literal["email"]


class WhatsAppItem(WhatsAppSend):
    """One WhatsApp message of a bulk call."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "channel": "whatsapp",
                    "recipient_type": "contact",
                    "contact_external_id": "user_123",
                    "template_key": "otp_wa",
                }
            ]
        }
    )

    channel: Literal["whatsapp"]


SendItem = SmsItem | EmailItem | WhatsAppItem


class BulkSends(RequestBody):
    """`POST /api/v1/messages/bulk`. The items are validated one by one, so that a bad one fails alone."""

    messages: Annotated[list[SkipValidation[SendItem]], Field(min_length=1, max_length=MAX_ITEMS)]


class BulkTriggers(RequestBody):
    """`POST /api/v1/workflows/trigger/bulk`. The items are validated one by one, so that a bad one fails alone."""

    triggers: Annotated[list[SkipValidation[WorkflowTrigger]], Field(min_length=1, max_length=MAX_ITEMS)]


ITEMS: dict[str, type[SendItem]] = {
    "sms": SmsItem,
    "email": EmailItem,
    "whatsapp": WhatsAppItem,
}
