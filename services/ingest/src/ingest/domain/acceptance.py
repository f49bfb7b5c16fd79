"""From a request to the one record that everything downstream works from. Decides alone: no I/O, `now` is given."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from orjson import Fragment

from ingest.domain import naming
from ingest.domain.bodies import CommonFields, EmailSend, SendBody, WhatsAppSend, WorkflowTrigger
from ingest.domain.contents import content_of
from ingest.domain.definitions_view import DefinitionsView
from ingest.domain.lanes import effective_category, lane_for
from ingest.domain.recipients import Addressees, recipients_of
from ingest.domain.refusal import RefusedError, WrongField
from sluice_catalog.addresses import normalise_email
from sluice_catalog.models import WorkflowReference
from sluice_contracts.base import JsonObject, fragment
from sluice_contracts.messages.content import Sender
from sluice_contracts.messages.trigger import TriggerAccepted, WorkflowStart
from sluice_contracts.vocabulary import Category, Channel, Lane

FURTHEST: Final = timedelta(days=365)
_NO_SENDER: Final = fragment(Sender())
_IDENTITIES: Final = {Channel.SMS: "sms_identity_id", Channel.WHATSAPP: "whatsapp_identity_id"}
"""The field of a body that names the provider account to send from."""


@dataclass(slots=True, eq=False)
class Acceptance:
    """A trigger ready to be appended: `value` is the whole of it, a TriggerAccepted as it travels.

    `trigger_id` is in words, and so is `job_id`, its only job's public id, None where there may be several.
    """

    trigger_id: str
    lane: Lane
    value: bytes
    job_id: str | None = None

    @classmethod
    def of(cls, trigger: TriggerAccepted, job_id: str | None) -> Acceptance:
        """Return the acceptance of a message that has been made."""
        return cls(str(trigger.trigger_id), trigger.lane, trigger.encode(), job_id)


@dataclass(slots=True, eq=False)
class Circumstances:
    """What is known of a request beside its body. `written_now` is `now` in words, where many have it in common."""

    workspace_id: UUID
    trigger_id: UUID
    now: datetime
    written_now: str | None = None


def accept_send(
    body: SendBody, channel: Channel, circumstances: Circumstances, definitions: DefinitionsView
) -> Acceptance:
    """Return the trigger for one message on one channel.

    Raises RefusedError with every field that is wrong in one respect.
    """
    _check_times(body, circumstances.now)
    recipients = recipients_of(body, circumstances.workspace_id, definitions)
    common = common_of_send(body, channel, circumstances, recipients, definitions)
    trigger_id = str(circumstances.trigger_id)
    value = TriggerAccepted.written(trigger_id=trigger_id, **common, **own_of_send(body, channel, recipients))
    return Acceptance(trigger_id, common["lane"], value, only_job(circumstances.trigger_id, channel, recipients))


def common_of_send(
    body: SendBody,
    channel: Channel,
    circumstances: Circumstances,
    recipients: Addressees,
    definitions: DefinitionsView,
) -> dict[str, Any]:
    """Return the fields of a trigger that do not depend on whom of a kind it is for, and with which values.

    Raises RefusedError.
    """
    workspace_id = circumstances.workspace_id
    chosen = content_of(body, channel, workspace_id, definitions)
    category = effective_category(_asked_category(body, channel), chosen.category, recipients)
    common = _common(body, circumstances, category)
    common["lane"] = lane_for(category, recipients)
    common["campaign_name"] = body.campaign_name or naming.campaign_name(channel, chosen.name)
    common["plan"] = chosen.plan
    _variables(body, channel)  # Where a name and the sender are wrong, the caller is told of the name.
    common["sender"] = _sender(body, channel, workspace_id, definitions)
    return common


def own_of_send(body: SendBody, channel: Channel, recipients: Addressees) -> dict[str, Any]:
    """Return the other fields but `trigger_id`. Raises RefusedError."""
    return _own(body, recipients, _variables(body, channel))


def only_job(trigger_id: UUID, channel: Channel, recipients: Addressees) -> str | None:
    """Return the public id of a direct send's only job, None where it may have several."""
    return naming.only_job(trigger_id, channel) if recipients.named == 1 else None


def accept_workflow(body: WorkflowTrigger, circumstances: Circumstances, definitions: DefinitionsView) -> Acceptance:
    """Return the trigger for one run of a workflow, frozen at the version that is active now.

    Raises RefusedError: 422 where the body is wrong or names no workflow, 409 where the workflow is not active.
    """
    workspace_id = circumstances.workspace_id
    _check_times(body, circumstances.now)
    recipients = recipients_of(body, workspace_id, definitions)
    workflow = _workflow(body, workspace_id, definitions)
    if workflow.status != "active" or workflow.version is None:
        message = f"the workflow {workflow.name!r} is {workflow.status}, not active"
        raise RefusedError([WrongField(_workflow_field(body), message)], status=409, missing=True)
    category = effective_category(body.category, workflow.category, recipients)
    lane = lane_for(category, recipients)
    trigger_id = str(circumstances.trigger_id)
    value = TriggerAccepted.written(
        trigger_id=trigger_id,
        **_common(body, circumstances, category),
        lane=lane,
        campaign_name=body.campaign_name or workflow.name,
        plan=WorkflowStart(workflow_id=workflow.workflow_id, version=workflow.version, name=workflow.name),
        **_own(body, recipients, body.variables),
        channel_variables=body.channel_variables.by_channel(),
    )
    return Acceptance(trigger_id, lane, value)


def _common(body: CommonFields, circumstances: Circumstances, category: Category) -> dict[str, Any]:
    return {
        "workspace_id": circumstances.workspace_id,
        "accepted_at": circumstances.written_now or circumstances.now,
        "category": category,
        "trigger_at": body.trigger_at,
        "expires_at": body.expires_at,
        "dry_run": body.dry_run,
    }


def _own(body: CommonFields, recipients: Addressees, variables: JsonObject) -> dict[str, Any]:
    return {
        "recipients": recipients.written,
        "excluded_contacts": body.excluded_contacts,
        "metadata": body.metadata,
        "variables": variables,
    }


def _check_times(body: CommonFields, now: datetime) -> None:
    wrong = []
    if body.trigger_at is not None and body.trigger_at > now + FURTHEST:
        wrong.append(WrongField("trigger_at", f"is more than {FURTHEST.days} days ahead"))
    if body.expires_at is not None and body.expires_at <= max(now, body.trigger_at or now):
        wrong.append(WrongField("expires_at", "is not after the trigger begins"))
    if wrong:
        raise RefusedError(wrong)


def _asked_category(body: SendBody, channel: Channel) -> Category | None:
    # To ask a model of which class it is takes longer than all the rest.
    if channel is not Channel.WHATSAPP or not isinstance(body, WhatsAppSend) or body.conversation_category is None:
        return body.category
    conversation = Category(body.conversation_category)
    if body.category not in {None, conversation}:
        raise RefusedError([WrongField("conversation_category", "says another category than `category`")])
    return conversation


def _variables(body: SendBody, channel: Channel) -> dict[str, Any]:
    return _direct_names(body) | body.variables if channel is Channel.EMAIL else body.variables


def _direct_names(body: SendBody) -> dict[str, Any]:
    if not isinstance(body, EmailSend):
        return {}
    names = {"first_name": body.direct_first_name, "last_name": body.direct_last_name}
    given = {name: value for name, value in names.items() if value is not None}
    if given and body.direct_email is None:
        raise RefusedError([WrongField(f"direct_{name}", "goes with recipient_type direct_email") for name in given])
    return given


def _sender(body: SendBody, channel: Channel, workspace_id: UUID, definitions: DefinitionsView) -> Sender | Fragment:
    field = _IDENTITIES.get(channel)
    if field is not None:
        identity = getattr(body, field)
        if identity is None:
            return _NO_SENDER
        return Sender(account_id=_account(field, identity, channel, workspace_id, definitions))
    if not isinstance(body, EmailSend):
        return _NO_SENDER
    addresses = {"from_email": body.from_email, "reply_to": body.reply_to}
    wrong = [name for name, text in addresses.items() if text is not None and normalise_email(text) is None]
    if wrong:
        raise RefusedError([WrongField(name, "is not an email address") for name in wrong])
    return Sender(from_email=body.from_email, from_name=body.from_name, reply_to=body.reply_to)


def _account(field: str, identity: str, channel: Channel, workspace_id: UUID, definitions: DefinitionsView) -> UUID:
    try:
        account_id = UUID(identity)
    except ValueError:
        raise RefusedError([WrongField(field, "is not the id of a provider account")]) from None
    account = definitions.provider_account(account_id)
    if account is None or account.workspace_id != workspace_id or account.channel is not channel:
        raise RefusedError([WrongField(field, f"there is no such provider account for {channel.value}")], missing=True)
    return account_id


def _workflow(body: WorkflowTrigger, workspace_id: UUID, definitions: DefinitionsView) -> WorkflowReference:
    if (body.workflow_name is None) is (body.workflow_id is None):
        raise RefusedError([WrongField("workflow_name", "either workflow_name or workflow_id is needed")])
    named = body.workflow_name or body.workflow_id or ""
    found = definitions.workflow(workspace_id, named)
    if found is None:
        raise RefusedError([WrongField(_workflow_field(body), f"there is no workflow {named!r}")], missing=True)
    return found


def _workflow_field(body: WorkflowTrigger) -> str:
    return "workflow_name" if body.workflow_name is not None else "workflow_id"
