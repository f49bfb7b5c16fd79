"""What `triggers.*` and `executions` say, in any order and any number of times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from sluice_contracts.messages.content import InlineSms
from sluice_contracts.messages.execution import (
    CohortCounted,
    ExecutionCommanded,
    ExecutionMessage,
    ExecutionStarted,
    PlannedExecution,
    TriggerControlled,
    TriggerFailed,
    TriggerPlanned,
)
from sluice_contracts.messages.trigger import (
    AddressRecipients,
    AllRecipients,
    ContactRecipients,
    DirectSend,
    TriggerAccepted,
    WorkflowStart,
)
from sluice_contracts.vocabulary import Category, Channel, FlowType, Lane, WorkflowType
from status_api.domain.facts import ExecutionFacts, TriggerFacts, fold_accepted, fold_executions, join

WORKSPACE = UUID(int=7)
START = datetime(2026, 1, 1, tzinfo=UTC)

ids = st.integers(1, 2).map(lambda value: UUID(int=value))
times = st.integers(0, 5).map(lambda seconds: START + timedelta(seconds=seconds))
about = {"trigger_id": ids, "workspace_id": st.just(WORKSPACE)}


def _planned(**values: Any) -> TriggerPlanned:
    execution = PlannedExecution(
        execution_id=UUID(int=values["trigger_id"].int + 10),
        step_id="step-1",
        step_order=1,
        step_name="Welcome",
        channel=Channel.EMAIL,
        scheduled_for=values["starts_at"],
    )
    return TriggerPlanned(
        **values, flow_type=FlowType.WORKFLOW, workflow_type=WorkflowType.STEPS, executions=[execution]
    )


execution_messages: st.SearchStrategy[ExecutionMessage] = st.one_of(
    st.builds(_planned, **about, planned_at=times, starts_at=times),
    st.builds(ExecutionStarted, **about, execution_id=ids, started_at=times, expected=st.integers(0, 5)),
    st.builds(ExecutionCommanded, **about, execution_id=ids, at=times, total=st.integers(0, 5), cancelled=st.just(0)),
    st.builds(CohortCounted, **about, at=times, total_contacts=st.integers(0, 5), final=st.booleans()),
    st.builds(TriggerControlled, **about, at=times, change=st.sampled_from(["cancelled", "paused", "resumed"])),
    st.builds(TriggerFailed, **about, at=times, code=st.sampled_from("ab"), detail=st.sampled_from("xy")),
)


def one_by_one(messages: list[ExecutionMessage]) -> tuple[list[TriggerFacts], list[ExecutionFacts]]:
    """As the tables do it: each message by itself, joined to what is there."""
    triggers: dict[UUID, TriggerFacts] = {}
    executions: dict[UUID, ExecutionFacts] = {}
    for message in messages:
        about_triggers, about_executions = fold_executions([message])
        for trigger in about_triggers:
            join(triggers.setdefault(trigger.trigger_id, trigger), trigger)
        for execution in about_executions:
            join(executions.setdefault(execution.execution_id, execution), execution)
    return [triggers[name] for name in sorted(triggers)], [executions[name] for name in sorted(executions)]


@given(st.data(), st.lists(execution_messages, min_size=1, max_size=8))
def test_any_order_repetition_and_batching_ends_in_the_same_facts(
    data: st.DataObject, messages: list[ExecutionMessage]
) -> None:
    repeated = messages + data.draw(st.lists(st.sampled_from(messages), max_size=4))
    shuffled = data.draw(st.permutations(repeated))
    # An execution belongs to one trigger for ever; drawn ids may pair them otherwise, which no message ever does.
    for facts in (fold_executions(messages), fold_executions(shuffled), one_by_one(list(shuffled))):
        for execution in facts[1]:
            execution.trigger_id = execution.execution_id
        assert facts == _normalised(messages)


def _normalised(messages: list[ExecutionMessage]) -> tuple[list[TriggerFacts], list[ExecutionFacts]]:
    triggers, executions = fold_executions(messages)
    for execution in executions:
        execution.trigger_id = execution.execution_id
    return triggers, executions


def accepted(**values: Any) -> TriggerAccepted:
    defaults: dict[str, Any] = {
        "trigger_id": UUID(int=1),
        "workspace_id": WORKSPACE,
        "accepted_at": START,
        "lane": Lane.PRIORITY,
        "category": Category.TRANSACTIONAL,
        "plan": DirectSend(channel=Channel.SMS, content=InlineSms(text="Hi")),
        "recipients": ContactRecipients(external_ids=["a", "b", "a"]),
    }
    return TriggerAccepted(**defaults | values)


def test_a_request_sent_twice_keeps_the_time_of_the_first() -> None:
    later = accepted(accepted_at=START + timedelta(seconds=5))
    (facts,) = fold_accepted([later, accepted()])
    assert facts.accepted_at == START


def test_a_contact_that_is_named_twice_is_one_contact() -> None:
    (facts,) = fold_accepted([accepted()])
    assert facts.requested_contacts == 2


def test_the_size_of_an_audience_is_not_known_from_its_name() -> None:
    (facts,) = fold_accepted([accepted(recipients=AllRecipients())])
    assert facts.requested_contacts is None


def test_a_bare_address_counts_as_a_contact() -> None:
    recipients = AddressRecipients(channel=Channel.SMS, addresses=["+14155550100"])
    (facts,) = fold_accepted([accepted(recipients=recipients)])
    assert (facts.requested_contacts, facts.channel, facts.flow_type) == (1, "sms", "direct_channel")


def test_a_workflow_is_known_by_name_before_it_is_planned() -> None:
    plan = WorkflowStart(workflow_id=UUID(int=5), version=1, name="Welcome Series")
    (facts,) = fold_accepted([accepted(plan=plan)])
    assert (facts.flow_type, facts.channel, facts.workflow_name) == ("workflow", None, "Welcome Series")


def test_metadata_has_one_form_whatever_the_order_of_its_keys() -> None:
    (one,) = fold_accepted([accepted(metadata={"b": 1, "a": 2})])
    (other,) = fold_accepted([accepted(metadata={"a": 2, "b": 1})])
    assert one.metadata == other.metadata == '{"a":2,"b":1}'
