"""The plan follows from the trigger and the workflow alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.plan import Plan, UnplannableTriggerError, make_plan
from sluice_catalog.models import WorkflowStep, WorkflowVersion
from sluice_contracts.identifiers import execution_id_for
from sluice_contracts.messages.content import InlineSms
from sluice_contracts.messages.trigger import ContactRecipients, DirectSend, TriggerAccepted, WorkflowStart
from sluice_contracts.vocabulary import Category, Channel, FlowType, Lane, WorkflowType

NOW = datetime(2026, 11, 23, 10, 0, 0, 123_456, tzinfo=UTC)
WORKSPACE = UUID(int=1)
channels = st.sampled_from(list(Channel))


def trigger(
    number: int = 7, plan: DirectSend | WorkflowStart | None = None, at: datetime | None = None
) -> TriggerAccepted:
    return TriggerAccepted(
        trigger_id=UUID(int=number),
        workspace_id=WORKSPACE,
        accepted_at=NOW,
        lane=Lane.BULK,
        category=Category.MARKETING,
        plan=plan or DirectSend(channel=Channel.SMS, content=InlineSms(text="Hello")),
        recipients=ContactRecipients(external_ids=["c0"]),
        trigger_at=at,
    )


START = WorkflowStart(workflow_id=UUID(int=3), version=2, name="Series")


@st.composite
def workflows(draw: st.DrawFn) -> WorkflowVersion:
    steps = [
        WorkflowStep(f"step-{order}", f"Step {order}", channel, f"t{order}", delay_minutes=delay)
        for order, (channel, delay) in enumerate(
            draw(st.lists(st.tuples(channels, st.integers(0, 10_000)), min_size=1, max_size=6)), start=1
        )
    ]
    return WorkflowVersion(
        UUID(int=3), WORKSPACE, 2, "Series", WorkflowType.STEPS, Category.MARKETING, steps=tuple(steps)
    )


@given(workflows(), st.integers(1, 2**64))
def test_steps_are_planned_from_the_start_of_the_trigger(workflow: WorkflowVersion, number: int) -> None:
    plan = make_plan(trigger(number, START), workflow, NOW)
    assert [item.step_order for item in plan.executions] == list(range(1, len(workflow.steps) + 1))
    for item, step in zip(plan.executions, workflow.steps, strict=True):
        assert item.scheduled_for == plan.starts_at + timedelta(minutes=step.delay_minutes)
        assert item.execution_id == execution_id_for(UUID(int=number), item.step_order, step.channel)
        assert item.template_key == step.template_key
    assert len({item.execution_id for item in plan.executions}) == len(plan.executions)
    first = plan.stages[plan.first_stage][0]
    assert all(first.scheduled_for <= item.scheduled_for for item in plan.executions)


@given(workflows())
def test_a_plan_that_was_stored_is_the_same_plan(workflow: WorkflowVersion) -> None:
    plan = make_plan(trigger(plan=START), workflow, NOW)
    assert Plan.model_validate_json(plan.model_dump_json()) == plan
    assert make_plan(trigger(plan=START), workflow, NOW) == plan
    assert make_plan(trigger(plan=START), workflow, plan.planned_at) == plan


def test_a_direct_send_is_one_execution_with_its_content() -> None:
    plan = make_plan(trigger(), None, NOW)
    (execution,) = plan.executions
    assert execution.content == InlineSms(text="Hello")
    assert execution.execution_id == execution_id_for(UUID(int=7), 1, Channel.SMS)
    announced = plan.announcement()
    assert announced.flow_type is FlowType.DIRECT_CHANNEL
    assert announced.workflow_execution_id is None
    assert announced.starts_at == announced.planned_at == NOW.replace(microsecond=123_000)


def test_a_template_group_is_one_stage_with_an_execution_for_each_channel() -> None:
    group = WorkflowVersion(
        UUID(int=3),
        WORKSPACE,
        2,
        "OTP",
        WorkflowType.TEMPLATE_GROUP,
        Category.AUTHENTICATION,
        template_group_id=UUID(int=4),
        templates=((Channel.EMAIL, "otp_email"), (Channel.SMS, "otp_us")),
    )
    plan = make_plan(trigger(plan=START), group, NOW)
    assert list(plan.stages) == [1]
    assert [(item.channel, item.template_key) for item in plan.executions] == list(group.templates)
    announced = plan.announcement()
    assert announced.template_group_id == UUID(int=4)
    assert announced.workflow_execution_id is not None


def test_a_time_in_the_past_means_now_and_one_to_come_is_kept() -> None:
    later = NOW + timedelta(hours=1)
    assert make_plan(trigger(at=later), None, NOW).starts_at == later.replace(microsecond=123_456)
    assert make_plan(trigger(at=NOW - timedelta(hours=1)), None, NOW).starts_at == NOW.replace(microsecond=123_000)


@pytest.mark.parametrize(
    ("workflow", "code"),
    [
        (None, "workflow_gone"),
        (
            WorkflowVersion(UUID(int=3), UUID(int=99), 2, "Theirs", WorkflowType.STEPS, Category.MARKETING),
            "workflow_gone",
        ),
        (WorkflowVersion(UUID(int=3), WORKSPACE, 2, "Empty", WorkflowType.STEPS, Category.MARKETING), "workflow_empty"),
    ],
)
def test_what_cannot_be_planned_says_why(workflow: WorkflowVersion | None, code: str) -> None:
    with pytest.raises(UnplannableTriggerError) as caught:
        make_plan(trigger(plan=START), workflow, NOW)
    assert caught.value.code == code
