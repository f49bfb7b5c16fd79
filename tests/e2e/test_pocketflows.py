"""Pocketflows' door on the real stack: triggers with statistics of our own, and tracked events that start them."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio

from api_client import wait_until
from shapes import assert_shape
from sluice_local.stack import Stack
from tenant import Tenant, new_tenant

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

DOCUMENTED_REQUEST = {
    "project_defined_event": "<string>",
    "name": "<string>",
    "filter": "<string>",
    "metadata": {},
    "attributed_revenue": 123,
    "steps": [{"type": "email", "custom_step_id": "<string>", "email_template_id": "<string>"}],
    "email_address": "<string>",
    "phone_number": "<string>",
    "excluded_customers": ["<string>"],
}
DOCUMENTED_ANSWER = {
    "id": "<string>",
    "created_at": "<string>",
    "updated_at": "<string>",
    "name": "<string>",
    "project_defined_event": "<string>",
    "internal_event_definition": {"type": None, "segment": None},
    "trigger": None,
    "steps": [{"type": "email", "custom_step_id": "<string>", "email_template_id": "<string>"}],
    "status": "draft",
    "filter": "<string>",
    "email_address": "<string>",
    "phone_number": "<string>",
    "attributed_revenue": 123,
    "statistics": {
        "total_customers_enrolled": 123,
        "total_customers_started": 123,
        "total_customers_finished": 123,
        "emails": {
            "sent": 123,
            "delivered": 123,
            "opened": 123,
            "soft_bounced": 123,
            "hard_bounced": 123,
            "clicked": 123,
        },
        "custom_steps": [{"custom_step": "<string>", "sent": 123}],
    },
}
EMAIL = {"subject": "Paid {{ total }}", "html": "<p>{{ first_name }}, you paid {{ total }}.</p>"}


class Shop:
    """A workspace with one business of its own and templates to send."""

    def __init__(self, tenant: Tenant) -> None:
        self.api = tenant.api
        self.tenant = tenant
        self.business = ""
        self.receipt = self.poke = ""

    async def open(self) -> None:
        """Define what the tests use."""
        self.business = (await self.api.get("/api/v1/workspace"))["id"]
        self.receipt = await self.tenant.template("email", **EMAIL)
        self.poke = await self.tenant.template("sms", text="{{ first_name }}, thanks for {{ total }}")

    async def trigger(self, event: str, business: str | None = None, **said: Any) -> Any:
        """Create an active trigger that sends an email and then an SMS."""
        steps = [
            {"type": "email", "email_template_id": self.receipt},
            {"type": "custom", "custom_step_id": self.poke},
        ]
        body = {"project_defined_event": event, "name": f"On {event}", "steps": steps, "status": "active", **said}
        return await self.api.post(f"/businesses/{business or self.business}/triggers", body)

    async def track(self, event: str, customer: Any, business: str | None = None, **data: Any) -> None:
        """Track an event."""
        body = {"event": event, "data": {"customer": customer, **data}}
        assert await self.api.post(f"/businesses/{business or self.business}/track", body) == {}

    async def statistics(self, trigger: Any, enrolled: int) -> Any:
        """Wait until as many customers are through, their email included, and return the statistics."""

        def are_through(body: Any) -> bool:
            found = body["statistics"]
            return bool(min(found["total_customers_finished"], found["emails"]["sent"]) >= enrolled)

        return (await self.api.until(f"/triggers/{trigger['id']}", are_through))["statistics"]


def customer(**fields: Any) -> dict[str, Any]:
    mark = uuid4().hex[:8]
    return {"id": mark, "email": f"{mark}@example.com", "phone_number": "+14155550123", "first_name": "Ada"} | fields


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(stack: Stack) -> AsyncIterator[Shop]:
    async with new_tenant(stack) as tenant:
        made = Shop(tenant)
        await made.open()
        yield made


async def test_the_documented_request_is_answered_as_documented(shop: Shop) -> None:
    credential = b64encode(f"{shop.api.key}:".encode()).decode()
    headers = {"Authorization": f"Basic {credential}", "X-API-Key": ""}
    path = f"/businesses/{shop.business}/triggers"
    answer = await shop.api.call("POST", path, json=DOCUMENTED_REQUEST, headers=headers)
    assert answer.status == 200
    expected = DOCUMENTED_ANSWER | {"statistics": DOCUMENTED_ANSWER["statistics"] | {"custom_steps": []}}
    assert answer.body["statistics"]["custom_steps"] == []
    answer.body["statistics"]["custom_steps"] = [{"custom_step": "", "sent": 0}]
    assert_shape(answer.body, DOCUMENTED_ANSWER)
    assert {name: answer.body[name] for name in ("status", "filter", "steps")} == {
        name: expected[name] for name in ("status", "filter", "steps")
    }
    assert (await shop.api.get(f"/triggers/{answer.body['id']}"))["name"] == "<string>"


async def test_a_draft_that_makes_no_sense_cannot_become_active(shop: Shop) -> None:
    draft = await shop.api.post(f"/businesses/{shop.business}/triggers", DOCUMENTED_REQUEST)
    path = f"/triggers/{draft['id']}"
    refused = await shop.api.call("POST", path, json={"status": "active"})
    assert refused.status == 422
    assert [error["field"] for error in refused.body["errors"]] == ["steps.0.email_template_id"]
    steps = [{"type": "email", "email_template_id": shop.receipt}]
    refused = await shop.api.call("POST", path, json={"status": "active", "steps": steps})
    assert {error["field"] for error in refused.body["errors"]} == {"project_defined_event", "filter"}
    assert (await shop.api.get(path))["status"] == "draft"
    listed = await shop.api.get(f"/businesses/{shop.business}/triggers?limit=200")
    refused = await shop.api.call(
        "POST", f"/businesses/{shop.business}/triggers", json=DOCUMENTED_REQUEST | {"status": "active"}
    )
    assert refused.status == 422
    assert await shop.api.get(f"/businesses/{shop.business}/triggers?limit=200") == listed
    changed = await shop.api.post(
        path, {"status": "active", "steps": steps, "project_defined_event": uuid4().hex, "filter": None}
    )
    assert (changed["status"], changed["filter"], changed["name"]) == ("active", None, "<string>")


async def test_a_tracked_event_starts_the_trigger_and_is_counted(shop: Shop) -> None:
    event = f"paid-{uuid4().hex[:8]}"
    trigger = await shop.trigger(event, filter="event.data.total > 10", attributed_revenue=9.5, metadata={"a": 1})
    assert trigger["attributed_revenue"] == 9.5
    ada, barred = customer(), customer()
    await shop.api.post(f"/triggers/{trigger['id']}", {"excluded_customers": [barred["id"]]})
    await shop.track(event, barred, total=20)
    await shop.track(event, customer(), total=5)
    await shop.track(event, ada, total=20)
    found = await shop.statistics(trigger, 1)
    assert found["total_customers_enrolled"] == found["total_customers_started"] == 1
    assert found["emails"]["sent"] == 1
    assert found["custom_steps"] == [{"custom_step": shop.poke, "sent": 1}]
    page = await shop.api.get("/api/v1/sandbox/messages?channel=email&limit=200")
    assert [message["subject"] for message in page["messages"] if message["to"] == ada["email"]] == ["Paid 20"]
    assert not [message for message in page["messages"] if message["to"] == barred["email"]]
    contact = await shop.api.get(f"/api/v1/contacts/external/{ada['id']}")
    assert contact["first_name"] == "Ada"


async def test_a_customer_that_is_known_is_named_by_its_id_alone(shop: Shop) -> None:
    event = f"seen-{uuid4().hex[:8]}"
    trigger = await shop.trigger(event)
    external_id = await shop.tenant.contact(email="bob@example.com", phone_number="+14155550124", first_name="Bob")
    await shop.track(event, external_id, total=1)
    assert (await shop.statistics(trigger, 1))["emails"]["sent"] == 1


async def test_a_trigger_that_is_not_active_answers_nothing(shop: Shop) -> None:
    event = f"idle-{uuid4().hex[:8]}"
    idle = await shop.trigger(event, name="Idle")
    inactive = await shop.api.post(f"/triggers/{idle['id']}", {"status": "inactive"})
    assert inactive["status"] == "inactive"
    active = await shop.trigger(event, name="Active")
    await shop.track(event, customer(), total=1)
    await shop.statistics(active, 1)
    assert (await shop.api.get(f"/triggers/{idle['id']}"))["statistics"]["total_customers_enrolled"] == 0


async def test_a_business_is_a_tenant_and_hears_of_its_own_events_alone(shop: Shop) -> None:
    await shop.api.post("/v1/tenants", {"identifier": "acme", "name": "Acme", "data": {}})
    event = f"deal-{uuid4().hex[:8]}"
    own, other = await shop.trigger(event, "acme"), await shop.trigger(event)
    listed = await shop.api.get("/businesses/acme/triggers")
    assert [trigger["id"] for trigger in listed["data"]] == [own["id"]]
    await shop.track(event, customer(), total=1)
    await shop.statistics(other, 1)
    await shop.track(event, customer(), "acme", total=1)
    await shop.statistics(own, 1)
    assert (await shop.api.get(f"/triggers/{own['id']}"))["statistics"]["total_customers_enrolled"] == 1


async def test_nobody_reaches_anothers_business_or_trigger(shop: Shop, stack: Stack) -> None:
    trigger = await shop.trigger(f"own-{uuid4().hex[:8]}")
    async with new_tenant(stack) as stranger:
        for method, path, body in (
            ("GET", f"/businesses/{shop.business}/triggers", None),
            ("POST", f"/businesses/{shop.business}/triggers", DOCUMENTED_REQUEST),
            ("POST", f"/businesses/{shop.business}/track", {"event": "x", "data": {"customer": "1"}}),
            ("GET", f"/triggers/{trigger['id']}", None),
            ("POST", f"/triggers/{trigger['id']}", {"status": "inactive"}),
        ):
            assert (await stranger.api.call(method, path, json=body)).status == 404
    nobody = await shop.api.call("GET", f"/triggers/{trigger['id']}", headers={"X-API-Key": "sk_wrong"})
    assert nobody.status == 401
    assert "Basic" in nobody.headers["WWW-Authenticate"]


async def test_a_repeated_key_creates_one_trigger_and_is_one_key_at_every_service(shop: Shop, stack: Stack) -> None:
    key = uuid4().hex
    headers = {"Idempotency-Key": key}
    path = f"/businesses/{shop.business}/triggers"
    first = await shop.api.call("POST", path, json=DOCUMENTED_REQUEST, headers=headers)
    again = await shop.api.call("POST", path, json=DOCUMENTED_REQUEST, headers=headers)
    assert (again.body, again.headers["Idempotency-Replay"]) == (first.body, "true")
    other = await shop.api.call("POST", path, json=DOCUMENTED_REQUEST | {"name": "Other"}, headers=headers)
    assert other.status == 422
    connection = await asyncpg.connect(stack.connections.postgres)
    try:
        kept = "SELECT EXISTS (SELECT FROM answers.answers WHERE key = $1)"
        await wait_until(lambda: connection.fetchval(kept, key))
    finally:
        await connection.close()
    tracked = {"event": "x", "data": {"customer": "1"}}
    used = await shop.api.call("POST", f"/businesses/{shop.business}/track", json=tracked, headers=headers)
    assert used.status == 422
