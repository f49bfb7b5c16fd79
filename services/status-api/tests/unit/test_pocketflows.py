"""The Trigger object of Pocketflows: as the reference has it, with numbers of our own counting."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from sluice_catalog.businesses import Business
from sluice_catalog.conditions import EVENT_AND_CONTACT, compile_condition
from sluice_catalog.definitions.pocketflows import PocketflowsTrigger
from sluice_contracts.vocabulary import Channel
from status_api.domain.workflow_counts import StepCounts, WorkflowCounts
from status_api.doors.pocketflows.objects import shown

NOW = datetime(2026, 11, 23, tzinfo=UTC)
STEPS = [
    {"type": "email", "email_template_id": "welcome"},
    {"type": "custom", "custom_step_id": "poke"},
    {"type": "custom", "custom_step_id": "poke"},
    {"type": "sms", "sms_template_id": "later", "delay_minutes": 5},
]
SAID = {"project_defined_event": "order_paid", "name": "Paid", "steps": STEPS, "attributed_revenue": 123}


def trigger(**said: Any) -> PocketflowsTrigger:
    return PocketflowsTrigger(UUID(int=1), UUID(int=2), None, "draft", None, SAID | said, 1, NOW, NOW)


def counts(step: int, channel: Channel, **numbers: int) -> StepCounts:
    zeros = dict.fromkeys(("first", "last", "sent", "delivered", "opened", "clicked", "undelivered", "bounced"), 0)
    return StepCounts(f"step-{step}", channel, **zeros | numbers)


def test_the_object_has_the_keys_of_the_reference_in_their_order() -> None:
    body = shown(trigger(), WorkflowCounts())
    assert list(body) == [
        "id", "created_at", "updated_at", "name", "project_defined_event", "internal_event_definition", "trigger",
        "steps", "status", "filter", "email_address", "phone_number", "attributed_revenue", "statistics",
    ]  # fmt: skip
    assert list(body["steps"][0]) == ["type", "custom_step_id", "email_template_id"]
    assert body["trigger"] is None
    assert body["attributed_revenue"] == 123
    assert body["created_at"] == "2026-11-23T00:00:00.000Z"


def test_an_event_of_ours_stands_where_internal_events_do() -> None:
    body = shown(trigger(project_defined_event="contact.created"), WorkflowCounts())
    assert body["project_defined_event"] is None
    assert body["internal_event_definition"] == {"type": "customer_created", "segment": None}


def test_statistics_are_what_was_counted() -> None:
    counted = WorkflowCounts(
        9,
        (
            counts(1, Channel.EMAIL, first=8, sent=7, delivered=5, opened=4, clicked=3, undelivered=1, bounced=1),
            counts(2, Channel.SMS, sent=6),
            counts(3, Channel.WHATSAPP, sent=5),
            counts(4, Channel.SMS, last=2, sent=2),
        ),
    )
    assert shown(trigger(), counted)["statistics"] == {
        "total_customers_enrolled": 9,
        "total_customers_started": 8,
        "total_customers_finished": 2,
        "emails": {"sent": 7, "delivered": 5, "opened": 4, "soft_bounced": 1, "hard_bounced": 1, "clicked": 3},
        "custom_steps": [{"custom_step": "poke", "sent": 11}],
    }


@settings(deadline=None)
@given(st.text(min_size=1, max_size=20).filter(lambda key: key.isprintable()), st.text(max_size=20))
def test_the_condition_of_a_business_holds_of_its_own_events_alone(key: str, other: str) -> None:
    business = Business(UUID(int=2), key)
    assert business.condition is not None
    condition = compile_condition(business.condition, EVENT_AND_CONTACT)
    assert condition.evaluate(event={"data": business.marks()}, contact={}) is True
    if other != key:
        assert condition.evaluate(event={"data": {"business": other}}, contact={}) is False
    assert condition.evaluate(event={"data": {}}, contact={}) is not True


def test_every_event_is_the_workspaces_own() -> None:
    assert Business(UUID(int=2), None).condition is None
