"""The bodies of `POST /event_send/`."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic.config import JsonDict

from ingest.domain.values import MAX_ITEMS, Address, Name, Source, Values


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


_EXAMPLE: Final[JsonDict] = {
    "internal_id": "order-1001",
    "sender": "Sluice",
    "recipient_phone": "+14155550123",
    "message_content": "Your order is on its way",
}


class Message(BaseModel):
    """One message. `internal_id` is the caller's own, unique in the stream: the same one again is the same message."""

    model_config = ConfigDict(extra="ignore", frozen=True, json_schema_extra={"examples": [_EXAMPLE]})

    internal_id: Annotated[Name | None, BeforeValidator(_as_text)] = None
    sender: Annotated[str, StringConstraints(pattern=r"^[ -~]{1,64}$")] | None = Field(
        default=None, description="Whom it is from: a number or a name. Else as the stream or its provider has it."
    )
    recipient_phone: Annotated[Address, BeforeValidator(_as_text)]
    message_content: Source | None = Field(default=None, description="The text, sent as it is.")
    event_key: Name | None = Field(  # type: ignore[pydantic-alias]
        default=None,
        validation_alias=AliasChoices("event_key", "event"),
        description="The stream's message by its event key, instead of `message_content`. Also `event`.",
    )
    variables: Values = Field(  # type: ignore[pydantic-alias]
        default_factory=dict,
        validation_alias=AliasChoices("variables", "template_variables"),
        description="What stands in `{{ }}` of the stream's message. Also `template_variables`.",
    )


class EventSend(BaseModel):
    """Messages, each judged alone: see `Message`."""

    model_config = ConfigDict(extra="ignore", json_schema_extra={"examples": [{"messages": [_EXAMPLE]}]})

    messages: Annotated[list[Any], Field(min_length=1, max_length=MAX_ITEMS)]


class MessageResult(BaseModel):
    """What became of one message; `error` says why it was rejected."""

    internal_id: str | int | None
    status: Literal["accepted", "rejected"]
    trigger_id: str | None = None
    job_id: str | None = None
    code: str | None = None
    error: str | None = None


class EventSendAnswer(BaseModel):
    """One result a message, in the order of the messages."""

    status: Literal["success", "partial", "failed"]
    accepted: int
    rejected: int
    messages: list[MessageResult]
