"""Repeats and limits at every door of the real stack, as Novu documents them."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from typing import Any, Final
from uuid import uuid4

import pytest
import pytest_asyncio

from api_client import Response, wait_until
from sluice_local.stack import Stack
from tenant import Tenant, new_tenant

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

DOORS: Final = (
    "send",
    "workflow",
    "definition",
    "event",
    "stream",
    "commpeak",
    "novu",
    "pocketflows",
    "track",
    "cancel",
)


class Calls:
    """One call through each door. Its body is new with each text."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant = tenant
        self._paths: dict[str, str] = {}
        self._token = ""

    async def prepare(self) -> None:
        """Define what the calls use."""
        api = self.tenant.api
        template = await self.tenant.template("sms", text="Hi {{ text }}")
        step = {"step_id": "s", "step_name": "s", "channel": "sms", "template_key": template}
        await api.post("/api/v1/workflows", {"name": "Series", "type": "steps", "status": "active", "steps": [step]})
        novu = {"name": "Hello", "workflowId": "hello", "active": True}
        sms = {"name": "SMS", "type": "sms", "controlValues": {"body": "Hi"}}
        await api.post("/v2/workflows", novu | {"steps": [sms]})
        stream = {"key": "in", "name": "In", "type": "transactional", "status": "ready", "template_key": template}
        self._token = (await api.post("/api/v1/streams", stream))["token"]
        business = (await api.get("/api/v1/workspace"))["id"]
        held = {"recipient_type": "direct_sms", "direct_sms": "+14155550199", "text": "x"}
        held["trigger_at"] = "2026-12-31T00:00:00Z"
        trigger = (await api.post("/api/v1/sms/send", held))["trigger_id"]
        await api.get(f"/api/v1/triggers/{trigger}")
        self._paths = {
            "send": "/api/v1/sms/send",
            "workflow": "/api/v1/workflows/trigger",
            "definition": "/api/v1/contacts",
            "event": "/api/v1/events",
            "stream": "/api/v1/streams/in/events",
            "commpeak": "/event_send/",
            "novu": "/v1/events/trigger",
            "pocketflows": f"/businesses/{business}/triggers",
            "track": f"/businesses/{business}/track",
            "cancel": f"/api/v1/triggers/{trigger}/cancel",
        }

    async def __call__(self, door: str, text: str, key: str) -> Response:
        number = "+14155550188"
        bodies: dict[str, Any] = {
            "send": {"recipient_type": "direct_sms", "direct_sms": number, "text": text},
            "workflow": {
                "workflow_name": "Series",
                "recipient_type": "contact",
                "contact_external_id": "ada",
                "variables": {"text": text},
            },
            "definition": {"external_id": "ada", "name": text},
            "event": {"event": "seen", "contact_external_id": "ada", "data": {"text": text}},
            "stream": {"contact": {"phone_number": number}, "text": text},
            "commpeak": {"messages": [{"recipient_phone": number, "message_content": text}]},
            "novu": {"name": "hello", "to": "ada", "payload": {"text": text}},
            "pocketflows": {"project_defined_event": "seen", "name": text, "steps": []},
            "track": {"event": "seen", "data": {"customer": "ada", "text": text}},
            "cancel": None,
        }
        headers = {"Idempotency-Key": key}
        if door == "commpeak":
            headers |= {"Authorization": self._token, "X-API-Key": ""}
        return await self.tenant.api.call("POST", self._paths[door], json=bodies[door], headers=headers)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def call(stack: Stack) -> AsyncIterator[Calls]:
    async with new_tenant(stack) as tenant:
        calls = Calls(tenant)
        await calls.prepare()
        yield calls


@pytest.mark.parametrize("door", DOORS)
async def test_the_first_answer_is_given_again_at_every_door(call: Calls, door: str) -> None:
    key = uuid4().hex
    first = await call(door, "one", key)
    again = await call(door, "one", key)
    assert first.status < 300, first
    assert (again.status, again.raw) == (first.status, first.raw)
    assert "Idempotency-Replay" not in first.headers
    assert (again.headers["Idempotency-Replay"], again.headers["Idempotency-Key"]) == ("true", key)
    assert again.headers["Content-Type"] == first.headers["Content-Type"]
    if door != "cancel":
        assert (await call(door, "two", key)).status == 422
    assert (await call(door, "one", "k" * 256)).status == 400
    assert int(again.headers["RateLimit-Remaining"]) < int(again.headers["RateLimit-Limit"])


async def test_a_refusal_is_given_again_in_the_words_of_its_door(call: Calls) -> None:
    key = uuid4().hex
    api = call.tenant.api
    for _ in range(2):
        answer = await api.call(
            "POST", "/v1/events/trigger", json={"name": "nothing", "to": "ada"}, headers={"Idempotency-Key": key}
        )
        assert (answer.status, answer.body["message"]) == (422, "workflow_not_found")
    assert answer.headers["Idempotency-Replay"] == "true"


async def test_of_calls_at_once_one_is_done_and_the_others_wait_or_get_its_answer(call: Calls) -> None:
    key = uuid4().hex
    answers = await asyncio.gather(*(call("send", "at once", key) for _ in range(20)))
    done = [answer for answer in answers if answer.status == 200]
    waiting = [answer for answer in answers if answer.status == 409]
    assert len(done) + len(waiting) == 20
    assert len({answer.raw for answer in done}) == 1
    assert all(answer.headers["Retry-After"] == "1" for answer in waiting)
    again = await call("send", "at once", key)
    assert again.headers["Idempotency-Replay"] == "true"


async def test_a_bulk_costs_what_it_holds(call: Calls, stack: Stack) -> None:
    item = {"channel": "sms", "recipient_type": "direct_sms", "direct_sms": "+14155550177", "text": "x"}
    async with new_tenant(stack) as fresh:
        answer = await fresh.api.call("POST", "/api/v1/messages/bulk", json={"messages": [item] * 500})
        limit, left = (int(answer.headers[f"RateLimit-{name}"]) for name in ("Limit", "Remaining"))
        assert limit - left == 500
        single = await fresh.api.call("POST", "/api/v1/messages/bulk", json={"messages": "none"})
        assert single.status == 422
        events = [{"name": "nothing", "to": "x"}] * 100
        bulk = await fresh.api.call("POST", "/v1/events/trigger/bulk", json={"events": events})
        assert int(bulk.headers["RateLimit-Limit"]) - int(bulk.headers["RateLimit-Remaining"]) >= 100


async def test_a_stream_that_is_used_up_is_a_429_and_leaves_its_workspace_alone(call: Calls) -> None:
    stream = {"key": "slow", "name": "Slow", "type": "marketing", "status": "ready", "workflow_id": "Series"}
    await call.tenant.api.post("/api/v1/streams", stream | {"limits": {"per_second": 0.01, "burst": 2}})
    body = {"contact": {"phone_number": "+14155550166"}}
    answers = [await call.tenant.api.call("POST", "/api/v1/streams/slow/events", json=body) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert [answer.headers["RateLimit-Remaining"] for answer in answers[:2]] == ["1", "0"]
    assert int(answers[2].headers["Retry-After"]) > 1
    assert (await call("send", "still", uuid4().hex)).status == 200


async def test_a_repeat_while_postgres_is_away_is_the_same_trigger(call: Calls, stack: Stack) -> None:
    key = uuid4().hex
    stack.kill("postgres", signal.SIGKILL)
    stack.kill("ingest", signal.SIGKILL)
    ids: set[str] = set()

    async def accepted() -> bool:
        answer = await call("send", "away", key)
        if answer.status == 200:
            ids.add(answer.body["trigger_id"])
        return answer.status == 200

    await wait_until(accepted)
    await wait_until(accepted)
    assert len(ids) == 1
    path = f"/api/v1/sandbox/messages?channel=sms&trigger_id={ids.pop()}"

    async def sent() -> bool:
        answer = await call.tenant.api.call("GET", path)
        return answer.status == 200 and len(answer.body["messages"]) == 1

    await wait_until(sent, 60)
