"""Events and trigger rules on the whole stack: what happens to a contact starts a workflow, or says why not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import pytest
import pytest_asyncio

from api_client import wait_until
from rules import Rules
from sluice_local.stack import Stack
from tenant import new_number, new_tenant

ONLY_IN_STEPS = ("steps.", "variables.")
"""What conditions of a workflow's steps know, and filters of rules do not."""

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]


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


async def test_variables_have_the_types_and_defaults_of_their_mapping(rules: Rules) -> None:
    name = f"mapped.{uuid4().hex[:6]}"
    text = (
        "{{ id }} {{ sum | plus: 1 }} {% if vip %}vip{% endif %} {{ at }} {{ skus | join: '+' }} {{ plan }} {{ last }}"
    )
    mapping = [
        {"variable": "id", "path": "$.order.id", "type": "string"},
        {"variable": "sum", "path": "$.order.sum", "type": "number"},
        {"variable": "vip", "path": "$.vip", "type": "boolean"},
        {"variable": "at", "path": "$.order['paid at']", "type": "date"},
        {"variable": "skus", "path": "$.items[*].sku", "type": "json"},
        {"variable": "plan", "path": "$.plan", "type": "string", "default": "free"},
        {"variable": "last", "path": "$.items[-1].sku"},
    ]
    await rules.rule(name, await rules.workflow(text=text), mapping=mapping)
    to = new_number()
    ada = await rules.tenant.contact(phone_number=to)
    order = {"id": 77, "sum": "48.5", "paid at": 1_772_442_000}
    await rules.happen(name, ada, {"order": order, "vip": "true", "items": [{"sku": "a"}, {"sku": "b"}]})
    assert await rules.texts(to, 1) == ["77 49.5 vip 2026-03-02T09:00:00.000Z a+b free b"]


async def test_every_example_of_the_condition_library_can_be_the_filter_that_it_is_for(rules: Rules) -> None:
    library = await rules.api.get("/api/v1/expressions")
    assert {"field", "operator", "function"} <= {entry["kind"] for entry in library["data"]}
    workflow = await rules.workflow()
    tried = [entry for entry in library["data"] if not any(root in entry["example"] for root in ONLY_IN_STEPS)]
    assert len(tried) > 20
    for entry in tried:
        assert entry["type"]
        assert entry["description"]
        await rules.rule("never.comes", workflow, status="draft", filter=entry["example"])


async def test_a_contact_enters_again_only_after_the_gap_whatever_dies_meanwhile(rules: Rules) -> None:
    name = f"gap.{uuid4().hex[:6]}"
    await rules.rule(name, await rules.workflow(), reentry_gap_minutes=60)
    to = new_number()
    ada = await rules.tenant.contact(phone_number=to)
    assert (await rules.happen(name, ada))["outcome"] == "triggered"
    rules.tenant.stack.restart("orchestrator")
    again = await rules.happen(name, ada)
    assert [rule["code"] for rule in again["rules"]] == ["too_soon"]
    rules.tenant.stack.advance_clock(timedelta(minutes=61))

    async def enters() -> bool:
        # Each process learns by itself that the clock was moved, and until ingest has, an event is of the time before.
        return (await rules.happen(name, ada))["outcome"] == "triggered"

    await wait_until(enters)
    assert len(await rules.texts(to, 2)) == 2


async def test_a_bulk_of_contacts_is_as_many_events_and_another_workspaces_rules_see_none(
    rules: Rules, stack: Stack
) -> None:
    mark = uuid4().hex[:6]
    created = await rules.rule("contact.created", await rules.workflow(), filter=f"'{mark}' in contact.tags")
    tagged = await rules.rule("contact.tag_added", await rules.workflow(), filter=f"event.data.tag == '{mark}'")
    async with new_tenant(stack) as other:
        theirs = Rules(other)
        await theirs.rule("contact.created", await theirs.workflow())
        await rules.tenant.contacts(mark, [{"phone_number": new_number()} for _ in range(1200)])
        for event in ("contact.created", "contact.tag_added"):
            seen = await all_events(rules, event, mark, 1200)
            assert {one["outcome"] for one in seen} == {"triggered"}
        assert (await other.api.get("/api/v1/events"))["data"] == []
    for rule in (created, tagged):
        await rules.api.call("DELETE", f"/api/v1/trigger-rules/{rule}")


async def all_events(rules: Rules, event: str, mark: str, count: int) -> list[dict[str, object]]:
    """Wait for `count` events about the contacts of a tag; return them, and fail where there are more."""
    found: dict[str, dict[str, object]] = {}

    async def are_there() -> bool:
        cursor = ""
        while True:
            page = await rules.api.get(f"/api/v1/events?event={event}&limit=200{cursor}")
            mine = [one for one in page["data"] if one["contact_external_id"].startswith(mark)]
            found.update((one["event_id"], one) for one in mine)
            if not page["pagination"]["has_more"]:
                return len(found) >= count
            cursor = f"&cursor={page['pagination']['next_cursor']}"

    await wait_until(are_there, 60, lambda: f"{len(found)} events")
    assert len(found) == count
    return list(found.values())


async def test_a_rule_that_is_turned_off_under_way_starts_as_many_as_it_says(rules: Rules) -> None:
    name = f"off.{uuid4().hex[:6]}"
    rule = await rules.rule(name, await rules.workflow(text=name))
    mark = uuid4().hex[:6]
    people = await rules.tenant.contacts(mark, [{"phone_number": new_number()} for _ in range(600)])
    for first in (0, 300):
        events = [{"event": name, "contact_external_id": person} for person in people[first : first + 300]]
        await rules.api.post("/api/v1/events/bulk", {"events": events})
        await rules.api.call("PATCH", f"/api/v1/trigger-rules/{rule}", json={"status": "inactive"})
    seen = await all_events(rules, name, mark, 600)
    started = [one for one in seen if one["outcome"] == "triggered"]
    assert {one["outcome"] for one in seen} <= {"triggered", "unmatched"}
    assert len({one["rules"][0]["trigger_id"] for one in started}) == len(started)
