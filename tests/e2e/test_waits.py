"""Steps that wait for events on the whole stack: each contact goes on when theirs comes or the time is over, once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from api_client import wait_until
from rules import Rules
from sluice_local.stack import Stack
from tenant import new_number, new_tenant

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rules(stack: Stack) -> AsyncIterator[Rules]:
    async with new_tenant(stack) as tenant:
        yield Rules(tenant)


async def waiting(rules: Rules, trigger_id: str, person: str, status: str) -> dict[str, Any]:
    """Wait until a contact's only wait has a status; return it as the contact's timeline shows it."""
    path = f"/api/v1/triggers/{trigger_id}/contacts/{person}"
    body: dict[str, Any] = {}

    async def is_so() -> bool:
        answer = await rules.api.call("GET", path)
        body.update(answer.body if answer.status == 200 else {})
        return [wait["status"] for wait in body.get("waits", ())] == [status]

    await wait_until(is_so, describe=lambda: str(body))
    return dict(body["waits"][0])


async def test_a_run_waits_for_its_contacts_event_and_goes_on_with_what_it_says(rules: Rules) -> None:
    paid, left = f"paid.{uuid4().hex[:6]}", f"left.{uuid4().hex[:6]}"
    correlation = {"variable": "cart", "path": "$.cart.id"}
    pay = rules.wait(paid, step_id="pay", correlation=correlation)
    thanks = {
        "step_id": "thanks",
        "step_name": "Thanks",
        "channel": "sms",
        "condition": "steps.pay.outcome == 'received'",
    }
    workflow = await rules.workflow({}, pay, thanks, text="{{ steps.pay.data.cart.sum | default: 'cart' }}")
    await rules.rule(left, workflow, mapping=[{"variable": "cart", "path": "$.cart.id"}])
    to = new_number()
    ada = await rules.tenant.contact(phone_number=to)
    event = await rules.happen(left, ada, {"cart": {"id": "c-1"}})
    trigger_id = event["rules"][0]["trigger_id"]
    assert await rules.texts(to, 1) == ["cart"]
    await waiting(rules, trigger_id, ada, "waiting")
    other = await rules.happen(paid, ada, {"cart": {"id": "c-2"}})
    assert other["outcome"] == "unmatched"
    await rules.api.until(f"/api/v1/triggers/{trigger_id}", lambda body: body["status"] == "processing")
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


async def test_who_waits_is_shown_until_when_and_then_how_it_ended(rules: Rules) -> None:
    begun, seen = f"begun.{uuid4().hex[:6]}", f"seen.{uuid4().hex[:6]}"
    last = {"step_id": "last", "step_name": "Last", "channel": "sms", "condition": "steps.wait.outcome == 'timed_out'"}
    await rules.rule(begun, await rules.workflow(rules.wait(seen), last, text="late"))
    to, other = new_number(), new_number()
    ada, bob = [await rules.tenant.contact(phone_number=address) for address in (to, other)]
    mine, theirs = [(await rules.happen(begun, who))["rules"][0]["trigger_id"] for who in (ada, bob)]
    await waiting(rules, theirs, bob, "waiting")
    wait = await waiting(rules, mine, ada, "waiting")
    assert (wait["event"], wait["step_id"], wait["ended_at"]) == (seen, "wait", None)
    assert wait["until"] > wait["since"]
    for part in ("workflow", "ledger"):
        (step,) = (await rules.api.get(f"/api/v1/triggers/{mine}/{part}"))["waits"]
        assert (step["event"], step["waiting"], step["received"], step["timed_out"]) == (seen, 1, 0, 0)
    event = await rules.happen(seen, ada)
    wait = await waiting(rules, mine, ada, "received")
    assert wait["event_id"] == event["event_id"]
    rules.tenant.stack.advance_clock(timedelta(minutes=61))
    await waiting(rules, theirs, bob, "timed_out")
    assert await rules.texts(other, 1) == ["late"]
    for trigger_id, received, late in ((mine, 1, 0), (theirs, 0, 1)):
        await rules.api.finished(trigger_id)
        (step,) = (await rules.api.get(f"/api/v1/triggers/{trigger_id}/workflow"))["waits"]
        assert (step["waiting"], step["received"], step["timed_out"]) == (0, received, late)
    messages = await rules.api.get(f"/api/v1/sandbox/messages?channel=sms&to={to.replace('+', '%2B')}")
    assert messages["messages"] == []


async def test_a_wait_ends_by_the_key_that_it_is_for_and_by_no_other(rules: Rules, stack: Stack) -> None:
    begun, paid = f"begun.{uuid4().hex[:6]}", f"paid.{uuid4().hex[:6]}"
    last = {"step_id": "last", "step_name": "Last", "channel": "sms"}
    step = rules.wait(paid, correlation={"variable": "order"})
    mapping = [{"variable": "order", "path": "$.order", "type": "string"}]
    await rules.rule(begun, await rules.workflow(step, last, text="paid"), mapping=mapping)
    to = new_number()
    ada, bob = await rules.tenant.contact(phone_number=to), await rules.tenant.contact()
    trigger_id = (await rules.happen(begun, ada, {"order": "o-1"}))["rules"][0]["trigger_id"]
    await waiting(rules, trigger_id, ada, "waiting")
    assert (await rules.happen(paid, ada))["waits"] == 0
    assert (await rules.happen(paid, ada, correlation_key="o-2"))["waits"] == 0
    async with new_tenant(stack) as other:
        theirs = Rules(other)
        ada_elsewhere = await other.contact(phone_number=new_number())
        assert (await theirs.happen(paid, ada_elsewhere, correlation_key="o-1"))["outcome"] == "unmatched"
    assert (await rules.happen(paid, bob, correlation_key="o-1"))["waits"] == 1
    assert (await rules.happen(paid, bob, correlation_key="o-1"))["waits"] == 0
    await waiting(rules, trigger_id, ada, "received")
    assert await rules.texts(to, 1) == ["paid"]


async def test_the_orchestrator_may_die_at_any_moment_and_everybody_goes_on_once(rules: Rules) -> None:
    """Some events come before their wait, some behind it, and half of the people wait in vain."""
    begun, seen, mark = f"begun.{uuid4().hex[:6]}", f"seen.{uuid4().hex[:6]}", uuid4().hex[:6]
    last = {"step_id": "last", "step_name": "Last", "channel": "sms"}
    text = "{{ steps.wait.outcome | default: 'first' }}"
    await rules.rule(begun, await rules.workflow({}, rules.wait(seen), last, text=text), once_per_contact=True)
    numbers = [new_number() for _ in range(300)]
    people = await rules.tenant.contacts(mark, [{"phone_number": number} for number in numbers])

    async def tell(event: str, some: list[str]) -> None:
        events = [{"event": event, "contact_external_id": person} for person in some]
        await rules.api.post("/api/v1/events/bulk", {"events": events})

    async def started() -> list[dict[str, Any]]:
        found, cursor = [], ""
        while True:
            page = await rules.api.get(f"/api/v1/events?event={begun}&outcome=triggered&limit=200{cursor}")
            found += page["data"]
            if not page["pagination"]["has_more"]:
                return found
            cursor = f"&cursor={page['pagination']['next_cursor']}"

    stack = rules.tenant.stack
    await tell(begun, people)
    await tell(seen, people[:75])
    for enough in (1, 100, 200):

        async def is_under_way(enough: int = enough) -> bool:
            return len(await started()) >= enough

        await wait_until(is_under_way, 90)
        stack.kill("orchestrator")
        await tell(begun, people)
    await tell(seen, people[75:150])
    stack.kill("orchestrator")

    async def counts() -> dict[str, int]:
        steps = []
        for one in await started():
            answer = await rules.api.call("GET", f"/api/v1/triggers/{one['rules'][0]['trigger_id']}/workflow")
            assert answer.status in {200, 404}, answer
            steps += answer.body.get("waits", [])
        return {name: sum(step[name] for step in steps) for name in ("waiting", "received", "timed_out")}

    async def settled(expected: dict[str, int]) -> None:
        found: dict[str, int] = {}

        async def is_so() -> bool:
            found.update(await counts())
            return found == expected

        await wait_until(is_so, 90, lambda: str(found))

    await settled({"waiting": 150, "received": 150, "timed_out": 0})
    stack.advance_clock(timedelta(minutes=61))
    stack.kill("orchestrator")
    await settled({"waiting": 0, "received": 150, "timed_out": 150})
    for place in (0, 74, 75, 149, 150, 299):
        end = "received" if place < 150 else "timed_out"
        # Whose event came before the wait has both steps at one moment, and a kill may hold the first one up.
        assert sorted(await rules.texts(numbers[place], 2)) == ["first", end]
