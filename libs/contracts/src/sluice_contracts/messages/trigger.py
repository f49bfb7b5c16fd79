"""Topics `triggers.priority` and `triggers.bulk`: accepted triggers, and requests about triggers. Key: trigger_id."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import Field, TypeAdapter

from sluice_contracts.base import Instant, JsonObject, Message, Part
from sluice_contracts.messages.content import Content, Sender
from sluice_contracts.messages.profile import ContactProfile
from sluice_contracts.vocabulary import Category, Channel, FlowType, Lane


class ContactRecipients(Part):
    """Contacts by the caller's own ids; one that is not there is filtered `contact_not_found`."""

    kind: Literal["contacts"] = "contacts"
    external_ids: list[str]


class AddressRecipients(Part):
    """Bare addresses, as the caller wrote them, without a contact."""

    kind: Literal["addresses"] = "addresses"
    channel: Channel
    addresses: list[str]


class TagRecipients(Part):
    """Every active contact that carries all of `tags`."""

    kind: Literal["tags"] = "tags"
    tags: list[str]


class SegmentRecipients(Part):
    """Every active contact that the segment's filter matches."""

    kind: Literal["segment"] = "segment"
    segment_id: UUID


class ListRecipients(Part):
    """Every active member of a list."""

    kind: Literal["list"] = "list"
    list_id: UUID


class AllRecipients(Part):
    """Every active contact of the workspace."""

    kind: Literal["all"] = "all"


class UnionRecipients(Part):
    """Every active contact that is named by the caller's own ids or is a member of one of the lists, each once."""

    kind: Literal["union"] = "union"
    external_ids: list[str] = Field(default_factory=list)
    list_ids: list[UUID] = Field(default_factory=list)


Recipients = Annotated[
    ContactRecipients
    | AddressRecipients
    | TagRecipients
    | SegmentRecipients
    | ListRecipients
    | AllRecipients
    | UnionRecipients,
    Field(discriminator="kind"),
]


class TriggeringEvent(Part):
    """The event that a trigger rule answered with this trigger. `chain` counts the events that led to it."""

    event_id: UUID
    name: str
    rule_id: UUID
    chain: int = 0


class DirectSend(Part):
    """One message on one channel."""

    kind: Literal["direct"] = "direct"
    channel: Channel
    content: Content


class WorkflowStart(Part):
    """One run of a workflow, at the version that was active when the request was accepted."""

    kind: Literal["workflow"] = "workflow"
    workflow_id: UUID
    version: int
    name: str


class TriggerAccepted(Message):
    """One accepted request, whole: whoever reads it needs to ask nobody what the caller said.

    `profiles` are written to the catalog before the recipients are looked up. `stream_id` is the stream that it came in
    through.
    `once_for_good` says that its id was chosen by the caller and counts even when all else of it has been forgotten.
    """

    TYPE: ClassVar[str] = "trigger.accepted.v1"
    KEY: ClassVar[tuple[str, ...]] = ("trigger_id",)
    type: Literal["trigger.accepted.v1"] = "trigger.accepted.v1"
    trigger_id: UUID
    workspace_id: UUID
    accepted_at: Instant
    lane: Lane
    category: Category
    trigger_source: str = "direct_api"
    stream_id: UUID | None = None
    once_for_good: bool = False
    campaign_name: str | None = None
    plan: Annotated[DirectSend | WorkflowStart, Field(discriminator="kind")]
    recipients: Recipients
    excluded_contacts: list[str] = Field(default_factory=list)
    profiles: list[ContactProfile] = Field(default_factory=list)
    event: TriggeringEvent | None = None
    variables: JsonObject = Field(default_factory=dict)
    channel_variables: dict[Channel, JsonObject] = Field(default_factory=dict)
    metadata: JsonObject = Field(default_factory=dict)
    sender: Sender = Field(default_factory=Sender)
    trigger_at: Instant | None = None
    expires_at: Instant | None = None
    dry_run: bool = False

    @property
    def flow_type(self) -> FlowType:
        """The shape that a caller sees."""
        return FlowType.DIRECT_CHANNEL if self.plan.kind == "direct" else FlowType.WORKFLOW

    @property
    def trigger_type(self) -> str:
        """The channel's name, or "workflow"."""
        return str(self.plan.channel) if self.plan.kind == "direct" else "workflow"


class TriggerActionRequested(Message):
    """Somebody asks that a trigger be cancelled, paused or resumed. It may already be over: then nothing happens."""

    TYPE: ClassVar[str] = "trigger.action_requested.v1"
    KEY: ClassVar[tuple[str, ...]] = ("trigger_id",)
    type: Literal["trigger.action_requested.v1"] = "trigger.action_requested.v1"
    trigger_id: UUID
    workspace_id: UUID
    requested_at: Instant
    action: Literal["cancel", "pause", "resume"]


class RetryRequested(Message):
    """Somebody asks that these failed jobs of one page of an execution be tried again, as `epoch`.

    The same request twice names the same epoch, and so the same work.
    """

    TYPE: ClassVar[str] = "trigger.retry_requested.v1"
    KEY: ClassVar[tuple[str, ...]] = ("trigger_id",)
    type: Literal["trigger.retry_requested.v1"] = "trigger.retry_requested.v1"
    trigger_id: UUID
    workspace_id: UUID
    requested_at: Instant
    execution_id: UUID
    page: int
    epoch: int
    seqs: list[int]


class RepeatRequested(Message):
    """Somebody asks to hear again how a trigger stands, and that commands that nobody has answered be sent again now.

    An operator does, and so does a reader for whom the trigger has stood still for long. Only those commands that were
    opened before `opened_before` and have been sent are sent again. A worker answers a repeat from its ledger, so this
    makes nobody get a message twice.
    """

    TYPE: ClassVar[str] = "trigger.repeat_requested.v1"
    KEY: ClassVar[tuple[str, ...]] = ("trigger_id",)
    type: Literal["trigger.repeat_requested.v1"] = "trigger.repeat_requested.v1"
    trigger_id: UUID
    workspace_id: UUID
    requested_at: Instant
    opened_before: Instant


TriggerMessage = Annotated[
    TriggerAccepted | TriggerActionRequested | RetryRequested | RepeatRequested, Field(discriminator="type")
]

_adapter: TypeAdapter[TriggerMessage] = TypeAdapter(TriggerMessage)


def decode_trigger(value: bytes) -> TriggerMessage:
    """Read a record's value.

    Raises pydantic.ValidationError when it is none of the messages of these topics.
    """
    return _adapter.validate_json(value)
