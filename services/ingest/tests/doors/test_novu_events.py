"""What becomes of an event in Novu's words, decided without a database or a broker."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from ingest.domain.acceptance import Circumstances
from ingest.doors.novu.bodies import BroadcastBody, EventBody
from ingest.doors.novu.events import Actor, Decision, WorkflowNotFound, actor_of, decide
from sluice_catalog.models import NovuWorkflow, Tenant, WorkflowReference
from sluice_contracts.messages.trigger import AllRecipients, ContactRecipients, UnionRecipients, WorkflowStart
from sluice_contracts.novu import trigger_id_for_transaction
from sluice_contracts.vocabulary import Category, Lane
from sluice_runtime.http.problems import Problem

WORKSPACE = uuid4()
OURS = WorkflowReference(uuid4(), "Order shipped", "active", 3, Category.TRANSACTIONAL)
DEFINED = NovuWorkflow(uuid4(), "order-shipped", OURS.workflow_id, True, 2, False, None)
SCHEMA = {
    "type": "object",
    "required": ["user"],
    "properties": {
        "user": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
        "currency": {"type": "string", "default": "EUR"},
    },
}


@dataclass
class Definitions:
    """What a workspace has defined, in memory."""

    workflow_: WorkflowReference | None = OURS
    defined: NovuWorkflow | None = DEFINED
    lists: dict[str, UUID] = field(default_factory=lambda: {"eng": UUID(int=1), "ops": UUID(int=2)})
    tenants: dict[str, Tenant] = field(default_factory=lambda: {"acme": Tenant("acme", "Acme", {"plan": "pro"})})

    def template(self, workspace_id: UUID, key: str) -> None:
        return None

    def segment(self, workspace_id: UUID, key: str) -> None:
        return None

    def provider_account(self, account_id: UUID) -> None:
        return None

    def workflow(self, workspace_id: UUID, name: str) -> WorkflowReference | None:
        known = self.workflow_
        return known if known and name in {known.name, str(known.workflow_id)} else None

    def novu_workflow(self, workspace_id: UUID, name: str) -> NovuWorkflow | None:
        return self.defined if self.defined and name == self.defined.identifier else None

    def list(self, workspace_id: UUID, key: str) -> UUID | None:
        return self.lists.get(key)

    def tenant(self, workspace_id: UUID, key: str) -> Tenant | None:
        return self.tenants.get(key)


def decided(event: dict[str, Any], definitions: Definitions | None = None, actor: Actor | None = None) -> Decision:
    body = EventBody.model_validate({"name": "order-shipped", "to": "u1", **event})
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    circumstances = Circumstances(WORKSPACE, uuid4(), now)
    return decide(body, circumstances, definitions or Definitions(), actor or actor_of(body.actor, {}))


def trigger_of(event: dict[str, Any], definitions: Definitions | None = None) -> Any:
    decision = decided(event, definitions)
    assert decision.trigger is not None, decision
    return decision.trigger


def test_an_event_starts_the_workflow_that_its_name_identifies() -> None:
    trigger = trigger_of({"payload": {"n": 1}, "transactionId": "tx-1"})

    assert trigger.plan == WorkflowStart(workflow_id=OURS.workflow_id, version=3, name="Order shipped")
    assert trigger.recipients == ContactRecipients(external_ids=["u1"])
    assert trigger.variables == {"n": 1}
    assert (trigger.lane, trigger.trigger_source) == (Lane.PRIORITY, "novu")
    assert trigger.trigger_id == trigger_id_for_transaction(WORKSPACE, "tx-1")
    assert trigger.once_for_good


def test_a_workflow_of_ours_is_found_by_its_name() -> None:
    trigger = trigger_of({"name": "Order shipped"}, Definitions(defined=None))

    assert trigger.plan.workflow_id == OURS.workflow_id


def test_an_event_without_a_transaction_id_gets_one_that_names_its_trigger() -> None:
    decision = decided({})

    assert decision.trigger is not None
    assert decision.transaction_id.startswith("txn_")
    assert decision.trigger.trigger_id == trigger_id_for_transaction(WORKSPACE, decision.transaction_id)
    assert not decision.trigger.once_for_good
    assert decision.shown() == {
        "acknowledged": True,
        "status": "processed",
        "transactionId": decision.transaction_id,
    }


def test_recipients_of_all_kinds_are_told_apart_and_counted_once() -> None:
    trigger = trigger_of(
        {
            "to": [
                {"subscriberId": "u1", "email": "a@b.example", "phone": None, "firstName": "A", "avatar": "x.png",
                 "data": {"plan": "pro"}},
                "u2",
                "u1",
                {"type": "Topic", "topicKey": "eng", "exclude": ["u9", "u2"]},
                {"type": "Topic", "topicKey": "ops"},
            ]
        }
    )  # fmt: skip

    assert trigger.recipients == UnionRecipients(external_ids=["u1", "u2"], list_ids=[UUID(int=1), UUID(int=2)])
    assert trigger.excluded_contacts == ["u9"], "who is named gets the message, whatever a topic says"
    assert trigger.lane is Lane.BULK
    (person,) = trigger.profiles
    assert (person.external_id, person.email, person.first_name) == ("u1", "a@b.example", "A")
    assert person.phone_number is None
    assert person.attributes == {"plan": "pro", "avatar": "x.png"}


def test_who_acted_gets_nothing_through_a_topic_and_is_known_to_templates() -> None:
    trigger = trigger_of(
        {"to": {"topicKey": "eng", "type": "Topic"}, "actor": {"subscriberId": "boss", "firstName": "B"}}
    )

    assert trigger.excluded_contacts == ["boss"]
    assert [person.external_id for person in trigger.profiles] == ["boss"]
    assert trigger.variables["actor"] == {"subscriberId": "boss", "firstName": "B"}


def test_an_unknown_topic_is_nobody_and_may_have_been_made_a_moment_ago() -> None:
    decision = decided({"to": [{"type": "Topic", "topicKey": "nobody"}]})

    assert decision.status == "processed"
    assert decision.missing
    assert decision.trigger is not None
    assert decision.trigger.recipients == UnionRecipients()


@pytest.mark.parametrize("to", ["", [], [""], {"subscriberId": ""}, [{}], 7, {"type": "Subscriber"}])
def test_an_event_for_nobody_says_so(to: Any) -> None:
    decision = decided({"to": to})

    assert (decision.status, decision.trigger) == ("invalid_recipients", None)


def test_more_than_a_hundred_recipients_are_refused() -> None:
    with pytest.raises(Problem) as raised:
        decided({"to": [f"u{number}" for number in range(101)]})

    assert raised.value.status == 422


def test_a_broadcast_goes_to_everybody() -> None:
    body = BroadcastBody.model_validate({"name": "order-shipped", "payload": {}})
    decision = decide(body, Circumstances(WORKSPACE, uuid4(), datetime.now(UTC)), Definitions(), Actor())

    assert decision.trigger is not None
    assert decision.trigger.recipients == AllRecipients()
    assert decision.trigger.lane is Lane.BULK


def test_an_unknown_workflow_is_not_found() -> None:
    with pytest.raises(WorkflowNotFound):
        decided({"name": "nothing"})


def test_a_workflow_that_is_not_active_is_said_to_be_so() -> None:
    inactive = Definitions(workflow_=replace(OURS, status="inactive"))
    switched_off = Definitions(defined=replace(DEFINED, active=False))

    assert decided({}, inactive).status == "trigger_not_active"
    assert decided({}, switched_off).status == "trigger_not_active"


def test_a_workflow_without_steps_says_whether_it_has_any_at_all() -> None:
    none = Definitions(workflow_=None, defined=replace(DEFINED, workflow_id=None, steps=0))
    unsendable = Definitions(workflow_=None, defined=replace(DEFINED, workflow_id=None, steps=2))

    assert decided({}, none).status == "no_workflow_steps_defined"
    assert decided({}, unsendable).status == "no_workflow_active_steps_defined"


def test_a_tenant_that_nobody_knows_stops_the_event_and_one_that_is_described_does_not() -> None:
    assert decided({"tenant": "nobody"}).status == "no_tenant_found"
    assert decided({"tenant": {"identifier": "nobody"}}).status == "no_tenant_found"

    known = decided({"tenant": "acme"})
    described = decided({"tenant": {"identifier": "new", "name": "New", "data": {"k": 1}}})

    assert known.trigger is not None
    assert known.trigger.variables["tenant"] == {"identifier": "acme", "name": "Acme", "data": {"plan": "pro"}}
    assert known.tenant is None
    assert described.tenant == Tenant("new", "New", {"k": 1})


def test_a_payload_is_checked_by_its_workflows_schema_before_anything_but_the_workflow() -> None:
    strict = Definitions(defined=replace(DEFINED, active=False, payload_schema=SCHEMA))
    with pytest.raises(Problem) as raised:
        decided({"payload": {"user": {}}, "tenant": "nobody"}, strict)

    assert raised.value.status == 400
    assert raised.value.members["type"] == "PAYLOAD_VALIDATION_ERROR"
    (error,) = raised.value.members["errors"]
    assert (error["field"], error["message"]) == ("user.name", "must have required property 'name'")


def test_a_schemas_defaults_fill_what_a_payload_leaves_out() -> None:
    strict = Definitions(defined=replace(DEFINED, payload_schema=SCHEMA))

    assert trigger_of({"payload": {"user": {"name": "Ada"}}}, strict).variables["currency"] == "EUR"


def test_attachments_do_not_travel_and_a_whole_payload_does_where_it_is_asked_for() -> None:
    whole = Definitions(defined=replace(DEFINED, whole_payload=True))
    payload = {"n": 1, "attachments": [{"file": "x"}]}

    assert trigger_of({"payload": payload}).variables == {"n": 1}
    assert trigger_of({"payload": payload}, whole).variables == {"n": 1, "payload": {"n": 1}}


def test_a_context_is_known_to_templates_and_to_the_metadata() -> None:
    trigger = trigger_of({"context": {"org": "org-1", "t": {"id": "t1", "data": {"k": 1}}}, "overrides": {}})

    assert trigger.variables["context"] == {"org": {"id": "org-1"}, "t": {"id": "t1", "data": {"k": 1}}}
    assert trigger.metadata["novu"]["context"] == ["org:org-1", "t:t1"]


def test_overrides_say_who_messages_are_from() -> None:
    trigger = trigger_of(
        {
            "overrides": {
                "email": {"from": "Ada <ada@example.com>", "replyTo": "reply@example.com"},
                "sms": {"from": "SLUICE"},
                "fcm": {"data": {}},
            }
        }
    )

    assert (trigger.sender.from_email, trigger.sender.from_name) == ("ada@example.com", "Ada")
    assert (trigger.sender.reply_to, trigger.sender.sender) == ("reply@example.com", "SLUICE")
    with pytest.raises(Problem) as raised:
        decided({"overrides": {"email": {"from": "nobody"}}})
    assert raised.value.errors[0]["field"] == "overrides.email.from"
