"""What is tracked in Pocketflows' words becomes an event of ours."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from ingest.doors.pocketflows.bodies import Tracked
from ingest.doors.pocketflows.mapping import event_of
from sluice_catalog.businesses import Business
from sluice_contracts.messages.event import EventOccurred
from sluice_contracts.messages.profile import ContactProfile

WORKSPACE = UUID(int=1)
NOW = datetime(2026, 11, 23, tzinfo=UTC)
DEEP: Any = json.loads("[" * 40 + "]" * 40)


def event(data: dict[str, Any], tenant: str | None = None) -> EventOccurred:
    body = Tracked.model_validate({"event": "order_paid", "data": data})
    return event_of(body, Business(WORKSPACE, tenant), UUID(int=5), NOW)


@pytest.mark.parametrize("customer", ["42", 42, {"id": "42"}, {"id": 42}])
def test_a_customer_is_an_id_or_an_object_with_one(customer: Any) -> None:
    made = event({"customer": customer, "total": 3})
    assert made.external_id == "42"
    assert made.profile == ContactProfile(external_id="42")
    assert made.data["total"] == 3
    assert (made.name, made.workspace_id, made.event_id) == ("order_paid", WORKSPACE, UUID(int=5))


def test_what_is_said_of_the_customer_is_written_down() -> None:
    customer = {"id": "42", "email": "ada@example.com", "first_name": "Ada", "plan": "pro", "last_name": None}
    made = event({"customer": customer})
    assert made.profile == ContactProfile(
        external_id="42", email="ada@example.com", first_name="Ada", attributes={"plan": "pro"}
    )
    assert made.data["customer"] == customer


def test_an_event_of_a_tenant_says_whose_it_is_whatever_its_data_say() -> None:
    assert event({"customer": "42"}).data == {"customer": "42"}
    assert event({"customer": "42", "business": "other"}, "acme").data["business"] == "acme"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"event": "x"},
        {"event": "", "data": {"customer": "42"}},
        {"event": "contact.created", "data": {"customer": "42"}},
        {"event": "x", "data": {}},
        {"event": "x", "data": {"customer": None}},
        {"event": "x", "data": {"customer": {"email": "ada@example.com"}}},
        {"event": "x", "data": {"customer": True}},
        {"event": "x", "data": {"customer": "42", "n": 2**70}},
        {
            "event": "x",
            "data": {
                "customer": "42",
                "deep": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]],
            },
        },
    ],
)
def test_what_names_no_event_or_no_customer_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Tracked.model_validate(body)
