"""From an event in Novu's words to the trigger that it becomes, or to the word for why it becomes none.

Decides alone: no I/O, `now` is given. The checks come in Novu's order: workflow, payload, tenant, active, steps,
recipients.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parseaddr
from typing import Any, Final, Protocol
from uuid import UUID

from pydantic import ValidationError

from ingest.domain.acceptance import Circumstances
from ingest.domain.definitions_view import DefinitionsView
from ingest.domain.lanes import effective_category, lane_for
from ingest.doors.novu import payloads
from ingest.doors.novu.bodies import BroadcastBody, EventBody, EventFields, SubscriberBody
from ingest.doors.novu.people import profile, said_for_templates
from ingest.doors.novu.recipients import Addressed, addressed, is_subscriber_id
from sluice_catalog.addresses import normalise_email
from sluice_catalog.models import NovuWorkflow, Tenant, WorkflowReference
from sluice_contracts.messages.content import Sender
from sluice_contracts.messages.profile import ContactProfile
from sluice_contracts.messages.trigger import AllRecipients, Recipients, TriggerAccepted, WorkflowStart
from sluice_contracts.novu import new_transaction_id, trigger_id_for_transaction
from sluice_runtime.http.problems import invalid

PROCESSED: Final = "processed"
SOURCE: Final = "novu"
METADATA: Final = "novu"
"""Where in a trigger's metadata stands what this door's reads show again."""

_SEVERITIES: Final = frozenset({"high", "medium", "low", "none"})


class NovuView(DefinitionsView, Protocol):
    """The catalog in memory, with what was defined in Novu's words."""

    def tenant(self, workspace_id: UUID, key: str, /) -> Tenant | None:
        """Return a customer of the workspace."""
        ...

    def novu_workflow(self, workspace_id: UUID, name: str, /) -> NovuWorkflow | None:
        """Return a workflow by its identifier or Novu's id."""
        ...


class WorkflowNotFound(Exception):  # noqa: N818 - it is named as Novu names it
    """There is no workflow with this identifier; it may have been made a moment ago, elsewhere."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of an event. Without a trigger, `status` says why.

    `missing` says that it named something that is not in memory: it may have been made a moment ago. `tenant` is a
    customer whom the event describes and who is to be kept so.
    """

    status: str
    transaction_id: str
    trigger: TriggerAccepted | None = None
    missing: bool = False
    tenant: Tenant | None = None

    def shown(self) -> dict[str, Any]:
        """Return the answer."""
        return {"acknowledged": True, "status": self.status, "transactionId": self.transaction_id}


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acted: their id, what templates may see of them, and what the event says of them."""

    external_id: str | None = None
    values: Mapping[str, Any] | None = None
    profile: ContactProfile | None = None


def transaction_of(body: EventFields, circumstances: Circumstances) -> str:
    """Return the event's transaction id; one that has none gets one from the id that the request has."""
    return body.transaction_id or new_transaction_id(circumstances.trigger_id)


def actor_of(said: Any, known: Mapping[str, Mapping[str, Any]]) -> Actor:
    """Return who acted. `known` is what is known of people who are named by their ids alone."""
    if isinstance(said, dict):
        try:
            body = SubscriberBody.model_validate(said)
        except ValidationError:
            return Actor()
        return Actor(body.subscriber_id, said_for_templates(body), profile(body))
    if is_subscriber_id(said):
        return Actor(said, known.get(said, {"subscriberId": said}))
    return Actor()


def decide(body: EventBody | BroadcastBody, circumstances: Circumstances, view: NovuView, actor: Actor) -> Decision:
    """Return what becomes of an event.

    Raises WorkflowNotFound; Problem 400 where the payload is not as the workflow wants it, 422 where fields are wrong.
    """
    workspace_id = circumstances.workspace_id
    transaction_id = transaction_of(body, circumstances)
    defined, workflow = _workflow(body.name, workspace_id, view)
    payload = payloads.without_attachments(body.payload)
    if defined is not None and defined.payload_schema is not None:
        payload = payloads.validated(payload, defined.payload_schema)
    tenant, described = _tenant(body.tenant, workspace_id, view)
    if body.tenant is not None and tenant is None:
        return Decision("no_tenant_found", transaction_id, missing=True)
    if not _is_active(defined, workflow):
        return Decision("trigger_not_active", transaction_id, missing=True)
    if workflow is None or workflow.version is None:
        steps = defined is not None and defined.steps > 0
        status = "no_workflow_active_steps_defined" if steps else "no_workflow_steps_defined"
        return Decision(status, transaction_id, missing=True)
    found = Addressed()
    recipients: Recipients = AllRecipients()
    if isinstance(body, EventBody):
        found = addressed(body.to, lambda key: view.list(workspace_id, key))
        recipients = found.recipients
        if found.is_empty:
            return Decision("invalid_recipients", transaction_id)
    category = effective_category(None, workflow.category, recipients)
    profiles = found.profiles | ({} if actor.profile is None else {actor.profile.external_id: actor.profile})
    trigger = TriggerAccepted(
        trigger_id=trigger_id_for_transaction(workspace_id, transaction_id),
        workspace_id=workspace_id,
        accepted_at=circumstances.now,
        lane=lane_for(category, recipients),
        category=category,
        trigger_source=SOURCE,
        once_for_good=body.transaction_id is not None,
        campaign_name=workflow.name,
        plan=WorkflowStart(workflow_id=workflow.workflow_id, version=workflow.version, name=workflow.name),
        recipients=recipients,
        excluded_contacts=found.excluded(actor.external_id),
        profiles=list(profiles.values()),
        variables=_variables(body, payload, tenant, actor, whole=defined is not None and defined.whole_payload),
        metadata={METADATA: _metadata(body, transaction_id, tenant, actor, found)},
        sender=sender_of(body.overrides),
    )
    return Decision(PROCESSED, transaction_id, trigger, missing=bool(found.unknown), tenant=described)


def _workflow(name: str, workspace_id: UUID, view: NovuView) -> tuple[NovuWorkflow | None, WorkflowReference | None]:
    """Return the workflow in Novu's words, where it was defined so, and ours, where there is anything to send."""
    defined = view.novu_workflow(workspace_id, name)
    if defined is not None:
        ours = None if defined.workflow_id is None else view.workflow(workspace_id, str(defined.workflow_id))
        return defined, ours
    workflow = view.workflow(workspace_id, name)
    if workflow is None:
        raise WorkflowNotFound(name)
    return None, workflow


def _is_active(defined: NovuWorkflow | None, workflow: WorkflowReference | None) -> bool:
    if defined is not None and not defined.active:
        return False
    return workflow is None or workflow.status == "active"


def _tenant(said: Any, workspace_id: UUID, view: NovuView) -> tuple[Tenant | None, Tenant | None]:
    """Return the tenant, and once more where the event says something new of it."""
    if said is None:
        return None, None
    if isinstance(said, str):
        return view.tenant(workspace_id, said), None
    identifier = said.get("identifier")
    if not isinstance(identifier, str) or not identifier:
        return None, None
    known = view.tenant(workspace_id, identifier)
    name, data = said.get("name"), said.get("data")
    if name is None and data is None:
        return known, None
    whole = Tenant(
        identifier,
        name if isinstance(name, str) else known.name if known else None,
        data if isinstance(data, dict) else known.data if known else {},
    )
    return whole, None if whole == known else whole


def _variables(
    body: EventFields, payload: dict[str, Any], tenant: Tenant | None, actor: Actor, *, whole: bool
) -> dict[str, Any]:
    values = dict(payload)
    if whole:
        values["payload"] = payload
    if tenant is not None:
        values["tenant"] = {"identifier": tenant.key, "name": tenant.name, "data": tenant.data}
    if actor.values is not None:
        values["actor"] = dict(actor.values)
    if body.context:
        values["context"] = {name: _context(value) for name, value in body.context.items()}
    return values


def _context(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {"id": value}


def _metadata(
    body: EventFields, transaction_id: str, tenant: Tenant | None, actor: Actor, found: Addressed
) -> dict[str, Any]:
    severity = body.overrides.get("severity")
    kept = {
        "transactionId": transaction_id,
        "identifier": body.name,
        "tenant": tenant.key if tenant else None,
        "actor": actor.external_id,
        "to": None if found.topics else list(found.external_ids) or None,
        "topics": list(found.topics) or None,
        "context": [f"{name}:{_context(value).get('id')}" for name, value in body.context.items()] or None,
        "severity": severity if severity in _SEVERITIES else None,
    }
    return {name: value for name, value in kept.items() if value is not None}


def sender_of(overrides: Mapping[str, Any]) -> Sender:
    """Return who messages are from, where overrides for email and SMS say so; the rest of them is ignored.

    Raises Problem 422 where an address is none.
    """
    email, sms = _object(overrides.get("email")), _object(overrides.get("sms"))
    name, address = parseaddr(_text(email.get("from")) or "")
    reply_to = _text(email.get("replyTo"))
    for field, given in (("from", address), ("replyTo", reply_to)):
        if given and normalise_email(given) is None:
            raise invalid([{"field": f"overrides.email.{field}", "message": "is not an email address"}])
    return Sender(
        from_email=address or None,
        from_name=_text(email.get("senderName")) or name or None,
        reply_to=reply_to,
        sender=_text(sms.get("from")),
    )


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value and value.isprintable() else None
