"""Events, trigger rules and waits on the whole stack: what happens to a contact starts a workflow, or says why not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from sluice_local.stack import Stack
from tenant import Tenant, new_number, new_tenant

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]


class Rules:
    """Workflows, the rules that start them, and events."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant = tenant
        self.api = tenant.api

    async def workflow(self, *steps: dict[str, Any], text: str = "Hello") -> str:
        """Publish a workflow of one SMS, or of `steps`; return its name."""
        name = f"workflow {uuid4().hex[:8]}"
        key = f"sms_{uuid4().hex[:8]}"
        variants = [{"country": None, "locale": None, "text": text}]
        template = {"key": key, "name": key, "channel": "sms", "category": "transactional", "variants": variants}
        await self.api.post("/api/v1/templates", template)
        plain = {"step_id": "sms", "step_name": "SMS", "channel": "sms", "template_key": key}
        whole = [step if "type" in step else {**plain, **step} for step in steps or ({},)]
        body = {"name": name, "type": "steps", "status": "active", "category": "transactional", "steps": whole}
        await self.api.post("/api/v1/workflows", body)
        return name

    async def rule(self, event: str, workflow: str, **fields: Any) -> str:
        body = {"name": f"rule {uuid4().hex[:8]}", "event": event, "workflow": workflow, "status": "active", **fields}
        return str((await self.api.post("/api/v1/trigger-rules", body))["id"])

    async def happen(
        self, event: str, contact: str | dict[str, Any], data: Any = None, **fields: Any
    ) -> dict[str, Any]:
        """Send an event; return what became of it once that is known."""
        who = {"contact_external_id": contact} if isinstance(contact, str) else {"contact": contact}
        sent = await self.api.post("/api/v1/events", {"event": event, "data": data or {}, **who, **fields})
        assert sent["success"] is True
        return await self.api.until(f"/api/v1/events/{sent['event_id']}", bool)

    async def texts(self, to: str, count: int) -> list[str]:
        """Wait until `count` messages have gone to a number; return what they say, oldest first."""
        path = f"/api/v1/sandbox/messages?channel=sms&to={to.replace('+', '%2B')}"
        page = await self.api.until(path, lambda body: len(body["messages"]) >= count)
        assert len(page["messages"]) == count
        return [message["text"] for message in reversed(page["messages"])]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rules(stack: Stack) -> AsyncIterator[Rules]:
    async with new_tenant(stack) as tenant:
        yield Rules(tenant)


async def test_an_event_about_somebody_new_starts_the_workflow_with_what_was_sent(rules: Rules) -> None:
    workflow = await rules.workflow(text="{{ first_name }} paid {{ total }}")
    rule = await rules.rule(
        "order.paid",
        workflow,
        filter="event.data.order.total > 10.0 && contact.attributes.plan == 'pro'",
        mapping=[{"variable": "total", "path": "$.order.total", "type": "string"}],
    )
    to = new_number()
    ada = {"external_id": uuid4().hex, "phone_number": to, "first_name": "Ada", "attributes": {"plan": "pro"}}
    event = await rules.happen("order.paid", ada, {"order": {"total": 49.5}})
    assert (event["outcome"], event["rules"][0]["rule_id"]) == ("triggered", rule)
    assert await rules.texts(to, 1) == ["Ada paid 49.5"]
    trigger_id = event["rules"][0]["trigger_id"]
    trigger = await rules.api.finished(trigger_id)
    assert (trigger["status"], trigger["trigger_source"]) == ("completed", "event")
    ledger = await rules.api.get(f"/api/v1/triggers/{trigger_id}/ledger")
    assert (ledger["open"], ledger["unaccounted"]) == (0, 0)


async def test_why_an_event_started_nothing_can_be_read(rules: Rules) -> None:
    workflow = await rules.workflow()
    name = f"signed.up.{uuid4().hex[:6]}"
    await rules.rule(name, workflow, filter="event.data.nothing == 1")
    await rules.rule(name, workflow, mapping=[{"variable": "age", "path": "$.age", "type": "number"}])
    ada = await rules.tenant.contact(phone_number=new_number())
    event = await rules.happen(name, ada, {"age": "old"})
    assert event["outcome"] == "refused"
    assert sorted(rule["code"] for rule in event["rules"]) == ["filter_failed", "mapping_failed"]
    assert any('"age"' in rule["detail"] for rule in event["rules"])
    unmatched = await rules.happen("nobody.listens", ada)
    assert (unmatched["outcome"], unmatched["rules"]) == ("unmatched", [])
    page = await rules.api.get("/api/v1/events?outcome=unmatched&event=nobody.listens")
    assert [one["event_id"] for one in page["data"]] == [unmatched["event_id"]]
    assert (await rules.api.call("GET", f"/api/v1/events/{uuid4()}")).status == 404


async def test_a_contact_enters_once_where_the_rule_says_so(rules: Rules) -> None:
    name = f"first.{uuid4().hex[:6]}"
    await rules.rule(name, await rules.workflow(), once_per_contact=True)
    await rules.rule(name, await rules.workflow(), reentry_gap_minutes=60)
    to = new_number()
    ada = await rules.tenant.contact(phone_number=to)
    assert (await rules.happen(name, ada))["outcome"] == "triggered"
    again = await rules.happen(name, ada)
    assert sorted(rule["code"] for rule in again["rules"]) == ["once_per_contact", "too_soon"]
    assert len(await rules.texts(to, 2)) == 2


async def test_a_draft_or_inactive_rule_starts_nothing(rules: Rules) -> None:
    name = f"quiet.{uuid4().hex[:6]}"
    workflow = await rules.workflow()
    await rules.rule(name, workflow, status="draft")
    rule = await rules.rule(name, workflow)
    await rules.api.call("PATCH", f"/api/v1/trigger-rules/{rule}", json={"status": "inactive"})
    ada = await rules.tenant.contact(phone_number=new_number())
    assert (await rules.happen(name, ada))["outcome"] == "unmatched"


async def test_what_happens_to_contacts_is_an_event(rules: Rules) -> None:
    mark = uuid4().hex[:6]
    await rules.api.post(
        "/api/v1/segments",
        {"name": f"Gold {mark}", "key": f"gold-{mark}", "filter": "contact.attributes.plan == 'gold'"},
    )
    created = await rules.workflow(text="created")
    tagged = await rules.workflow(text="tagged {{ tag }}")
    entered = await rules.workflow(text="entered {{ segment }}")
    made = [
        await rules.rule("contact.created", created, filter=f"'{mark}' in contact.tags"),
        await rules.rule(
            "contact.tag_added",
            tagged,
            filter=f"event.data.tag == 'vip' && '{mark}' in contact.tags",
            mapping=[{"variable": "tag", "path": "$.tag"}],
        ),
        await rules.rule(
            "segment.entered",
            entered,
            filter=f"event.data.segment == 'gold-{mark}'",
            mapping=[{"variable": "segment", "path": "$.name"}],
        ),
    ]
    to = new_number()
    ada = await rules.tenant.contact(phone_number=to, tags=[mark])
    assert await rules.texts(to, 1) == ["created"]
    await rules.api.post(f"/api/v1/contacts/external/{ada}/tags", {"add": ["vip"]})
    assert sorted(await rules.texts(to, 2)) == ["created", "tagged vip"]
    await rules.api.call("PATCH", f"/api/v1/contacts/external/{ada}", json={"attributes": {"plan": "gold"}})
    assert sorted(await rules.texts(to, 3)) == ["created", f"entered Gold {mark}", "tagged vip"]
    for rule in made:
        await rules.api.call("DELETE", f"/api/v1/trigger-rules/{rule}")


async def test_a_workflow_that_answers_its_own_replies_does_not_run_for_ever(rules: Rules) -> None:
    rule = await rules.rule("message.replied", await rules.workflow(text="You said something"))
    ada = await rules.tenant.contact(phone_number="+15005550008")
    await rules.tenant.send("sms", ada, "transactional", text="Hello?")
    path = "/api/v1/events?event=message.replied&limit=200"
    page = await rules.api.until(path, lambda body: "chain_too_long" in str(body), seconds=60)
    assert sum(event["outcome"] == "triggered" for event in page["data"]) == 10
    await rules.api.call("DELETE", f"/api/v1/trigger-rules/{rule}")


async def test_a_bulk_of_events_starts_a_workflow_for_each(rules: Rules) -> None:
    name = f"bulk.{uuid4().hex[:6]}"
    await rules.rule(name, await rules.workflow(text="bulk"))
    numbers = [new_number() for _ in range(20)]
    items = [{"event": name, "contact": {"phone_number": to}} for to in numbers]
    sent = await rules.api.post("/api/v1/events/bulk", {"events": [*items, {"event": name}]})
    assert (sent["accepted"], sent["failed"]) == (20, 1)
    for to in set(numbers):
        assert set(await rules.texts(to, numbers.count(to))) == {"bulk"}


async def test_a_run_waits_for_its_contacts_event_and_goes_on_with_what_it_says(rules: Rules) -> None:
    paid, left = f"paid.{uuid4().hex[:6]}", f"left.{uuid4().hex[:6]}"
    waiting = {"type": "wait_for_event", "step_id": "pay", "step_name": "Pay", "event": paid, "timeout_minutes": 60}
    waiting["correlation"] = {"variable": "cart", "path": "$.cart.id"}
    thanks = {
        "step_id": "thanks",
        "step_name": "Thanks",
        "channel": "sms",
        "condition": "steps.pay.outcome == 'received'",
    }
    workflow = await rules.workflow({}, waiting, thanks, text="{{ steps.pay.data.cart.sum | default: 'cart' }}")
    await rules.rule(left, workflow, mapping=[{"variable": "cart", "path": "$.cart.id"}])
    to = new_number()
    ada = await rules.tenant.contact(phone_number=to)
    event = await rules.happen(left, ada, {"cart": {"id": "c-1"}})
    trigger_id = event["rules"][0]["trigger_id"]
    assert await rules.texts(to, 1) == ["cart"]
    other = await rules.happen(paid, ada, {"cart": {"id": "c-2"}})
    assert other["outcome"] == "unmatched"
    summary = await rules.api.get(f"/api/v1/triggers/{trigger_id}")
    assert summary["status"] == "processing"
    mine = await rules.happen(paid, ada, {"cart": {"id": "c-1", "sum": "49 EUR"}})
    assert (mine["outcome"], mine["waits"]) == ("awaited", 1)
    assert await rules.texts(to, 2) == ["cart", "49 EUR"]
    assert (await rules.api.finished(trigger_id))["status"] == "completed"
    ledger = await rules.api.get(f"/api/v1/triggers/{trigger_id}/ledger")
    assert (ledger["open"], ledger["unaccounted"]) == (0, 0)


async def test_an_event_before_the_wait_counts_and_a_waiting_run_can_be_cancelled(rules: Rules) -> None:
    begun, seen = f"begun.{uuid4().hex[:6]}", f"seen.{uuid4().hex[:6]}"
    late = {"type": "wait_for_event", "step_id": "wait", "step_name": "Wait", "event": seen, "timeout_minutes": 600}
    last = {"step_id": "last", "step_name": "Last", "channel": "sms"}
    await rules.rule(begun, await rules.workflow({}, late, last, text="step"))
    to, other = new_number(), new_number()
    ada, bob = [await rules.tenant.contact(phone_number=address) for address in (to, other)]
    trigger = (await rules.happen(begun, bob))["rules"][0]["trigger_id"]
    await rules.happen(begun, ada)
    await rules.happen(seen, ada)
    assert await rules.texts(to, 2) == ["step", "step"]
    assert await rules.texts(other, 1) == ["step"]
    await rules.api.post(f"/api/v1/triggers/{trigger}/cancel", {})
    assert (await rules.api.finished(trigger))["status"] in {"cancelled", "completed"}
    ledger = await rules.api.get(f"/api/v1/triggers/{trigger}/ledger")
    assert (ledger["open"], ledger["unaccounted"]) == (0, 0)
    assert (await rules.happen(seen, bob))["outcome"] == "unmatched"
