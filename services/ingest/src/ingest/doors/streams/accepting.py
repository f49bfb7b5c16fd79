"""From an event of a stream to a trigger. Decides alone: no I/O, `now` is given."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, Protocol
from uuid import UUID

from ingest.domain import naming
from ingest.domain.acceptance import Acceptance
from ingest.domain.definitions_view import DefinitionsView
from ingest.domain.lanes import lane_for
from ingest.domain.refusal import RefusedError, WrongField
from ingest.domain.values import MAX_EXTERNAL_ID
from ingest.doors.streams.bodies import EventContact
from ingest.doors.streams.refusals import NotReadyError
from sluice_catalog.addresses import normalise_email, normalise_phone
from sluice_catalog.models import TemplateReference
from sluice_catalog.streams import Stream, StreamEvent
from sluice_contracts.messages.content import Content, InlineSms, InlineWhatsApp, Sender, TemplateContent
from sluice_contracts.messages.profile import ContactProfile
from sluice_contracts.messages.trigger import (
    AddressRecipients,
    ContactRecipients,
    DirectSend,
    TriggerAccepted,
    WorkflowStart,
)
from sluice_contracts.vocabulary import Channel

SOURCE: Final = "stream"
TEST_SOURCE: Final = "stream_test"
UNREACHABLE: Final = "unreachable:"
"""How the external id of a contact begins who has no address and no other name: nobody else's does by chance."""

_SANDBOX_RECIPIENTS: Final = {
    Channel.SMS: "+15005550006",
    Channel.WHATSAPP: "+15005550006",
    Channel.EMAIL: "test@sandbox.test",
}


class StreamsView(DefinitionsView, Protocol):
    """What is known of streams in memory, beside other definitions."""

    def stream(self, workspace_id: UUID, reference: str, /) -> Stream | None:
        """Return a stream by its id or key."""
        ...

    def stream_event(self, stream_id: UUID, key: str, /) -> StreamEvent | None:
        """Return what a stream says for an event key."""
        ...


@dataclass(frozen=True, slots=True)
class Described:
    """The contact of an event, and the addresses of it that are none and were left out."""

    profile: ContactProfile
    unusable: tuple[WrongField, ...] = ()

    @property
    def warnings(self) -> dict[str, Any]:
        """What the answer to the event says of it, beside what is documented."""
        return {"warnings": [asdict(field) for field in self.unusable]} if self.unusable else {}


@dataclass(frozen=True, slots=True)
class Happening:
    """One event of a stream as it is taken in: its trigger's id, the moment, and what is special about it.

    `sender` goes before the stream's own. A test is marked as one, and goes through the sandbox where it says so.
    """

    stream: Stream
    trigger_id: UUID
    now: datetime
    variables: dict[str, Any]
    sender: str | None = None
    test: bool = False
    sandbox: bool = False


def current(stream: Stream, definitions: StreamsView) -> Stream:
    """Return the stream as it is known now.

    Raises NotReadyError where it takes nothing in.
    """
    known = definitions.stream(stream.workspace_id, str(stream.id)) or stream
    match known.status:
        case "disabled":
            raise NotReadyError("disabled", f"The stream {known.name!r} is disabled and takes nothing in.")
        case "draft":
            raise NotReadyError("draft", f"The stream {known.name!r} is a draft: set it to ready first.")
    return known


def described(contact: EventContact, default_country: str | None) -> Described:
    """Return what an event says about its contact, who is named by external id, phone number or email in this order.

    An address that is none is left out. Somebody who is named by nothing else is kept under what was said, so that the
    event has a contact, and its message a reason for not being sent. Raises RefusedError where nothing names anybody.
    """
    unusable = []
    phone = email = None
    if contact.phone_number is not None:
        phone = normalise_phone(contact.phone_number, default_country)
        if phone is None:
            unusable.append(WrongField("contact.phone_number", "is not a phone number"))
    if contact.email is not None:
        email = normalise_email(contact.email)
        if email is None:
            unusable.append(WrongField("contact.email", "is not an email address"))
    address = phone.e164 if phone else email
    said = contact.phone_number or contact.email
    if said is not None:
        said = f"{UNREACHABLE}{said}"[:MAX_EXTERNAL_ID]
    external_id = contact.external_id or address or said
    if external_id is None:
        raise RefusedError([WrongField("contact", "needs a phone_number, an email or an external_id")])
    profile = ContactProfile(
        external_id=external_id,
        email=email,
        phone_number=phone.e164 if phone else None,
        name=contact.name,
        first_name=contact.first_name,
        last_name=contact.last_name,
        locale=contact.locale,
        timezone=contact.timezone,
        tags=contact.tags or [],
        attributes=contact.attributes or {},
        known_by_address=contact.external_id is None and address is not None,
    )
    return Described(profile, tuple(unusable))


def profile_of(contact: EventContact, default_country: str | None) -> ContactProfile:
    """Return what is said about a contact where every address has to be one.

    Raises RefusedError where one is none, or nothing names the contact.
    """
    person = described(contact, default_country)
    if person.unusable:
        raise RefusedError(person.unusable)
    return person.profile


def accept_event(happening: Happening, profile: ContactProfile, definitions: StreamsView) -> Acceptance:
    """Return the trigger that runs the stream's workflow, or sends its template, for one contact.

    Raises NotReadyError where the stream has neither, or what it names cannot be used.
    """
    stream = happening.stream
    recipients = ContactRecipients(external_ids=[profile.external_id])
    plan = _workflow(stream, definitions) if stream.workflow_id else _direct(*own_content(stream, definitions))
    return _accepted(happening, plan, recipients, definitions, [profile])


def accept_message(
    happening: Happening,
    message: tuple[Channel, Content],
    to: AddressRecipients | ContactProfile,
    definitions: StreamsView,
) -> Acceptance:
    """Return the trigger that sends one message on its channel, to a bare address or a contact."""
    plan = _direct(*message)
    if isinstance(to, AddressRecipients):
        return _accepted(happening, plan, to, definitions, [])
    return _accepted(happening, plan, ContactRecipients(external_ids=[to.external_id]), definitions, [to])


def own_content(stream: Stream, definitions: DefinitionsView) -> tuple[Channel, Content]:
    """Return what a stream's own template says, and on which channel.

    Raises NotReadyError where it has none.
    """
    if stream.template_key is None:
        sentence = f"The stream {stream.name!r} has neither a workflow nor a template: it takes messages in only."
        raise NotReadyError("nothing_to_run", sentence)
    return _template(stream, stream.template_key, definitions)


def content_of_event(stream: Stream, event: StreamEvent, definitions: DefinitionsView) -> tuple[Channel, Content]:
    """Return what a stream says for an event key, and on which channel.

    Raises NotReadyError where the template behind it is gone.
    """
    if event.text is None:
        return _template(stream, event.template_key or "", definitions)
    return stream.type.channel, inline(stream.type.channel, event.text)


def inline(channel: Channel, text: str) -> Content:
    """Return a text, with Liquid in it, as the content of a message."""
    return InlineWhatsApp(text=text) if channel is Channel.WHATSAPP else InlineSms(text=text)


def sandbox_recipient(channel: Channel) -> AddressRecipients:
    """Return whom the sandbox always delivers to."""
    return AddressRecipients(channel=channel, addresses=[_SANDBOX_RECIPIENTS[channel]])


def _template(stream: Stream, key: str, definitions: DefinitionsView) -> tuple[Channel, Content]:
    template: TemplateReference | None = definitions.template(stream.workspace_id, key)
    if template is None:
        raise NotReadyError("template_missing", f"The template {key!r} of the stream {stream.name!r} is not there.")
    return template.channel, TemplateContent(
        template_id=template.template_id, version=template.version, key=template.key
    )


def _workflow(stream: Stream, definitions: DefinitionsView) -> WorkflowStart:
    workflow = definitions.workflow(stream.workspace_id, str(stream.workflow_id))
    if workflow is None:
        raise NotReadyError("workflow_missing", f"The workflow of the stream {stream.name!r} is not there.")
    if workflow.status != "active" or workflow.version is None:
        sentence = f"The workflow {workflow.name!r} of the stream {stream.name!r} is {workflow.status}, not active."
        raise NotReadyError("workflow_not_active", sentence)
    return WorkflowStart(workflow_id=workflow.workflow_id, version=workflow.version, name=workflow.name)


def _direct(channel: Channel, content: Content) -> DirectSend:
    return DirectSend(channel=channel, content=content)


def _accepted(
    happening: Happening,
    plan: WorkflowStart | DirectSend,
    recipients: ContactRecipients | AddressRecipients,
    definitions: DefinitionsView,
    profiles: list[ContactProfile],
) -> Acceptance:
    stream = happening.stream
    trigger = TriggerAccepted(
        trigger_id=happening.trigger_id,
        workspace_id=stream.workspace_id,
        accepted_at=happening.now,
        lane=lane_for(stream.category, recipients),
        category=stream.category,
        trigger_source=TEST_SOURCE if happening.test else SOURCE,
        stream_id=stream.id,
        campaign_name=stream.name,
        plan=plan,
        recipients=recipients,
        profiles=profiles,
        variables=happening.variables,
        metadata={"test": True} if happening.test else {},
        sender=_sender(happening, plan, definitions),
        expires_at=None if stream.expires_after is None else happening.now + stream.expires_after,
    )
    job_id = naming.only_job(trigger.trigger_id, plan.channel) if isinstance(plan, DirectSend) else None
    return Acceptance.of(trigger, job_id)


def _sender(happening: Happening, plan: WorkflowStart | DirectSend, definitions: DefinitionsView) -> Sender:
    stream = happening.stream
    account = None
    if stream.provider_account_id is not None and isinstance(plan, DirectSend):
        account = definitions.provider_account(stream.provider_account_id)
        if account is not None and (account.workspace_id, account.channel) != (stream.workspace_id, plan.channel):
            account = None
    return Sender(
        account_id=None if account is None else account.id,
        sender=happening.sender or stream.sender,
        sandbox=stream.sandbox or happening.sandbox,
    )
