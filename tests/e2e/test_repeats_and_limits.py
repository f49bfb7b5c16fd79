"""Repeats and limits at every door of the real stack, as Novu documents them."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

import asyncpg
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
        held["trigger_at"] = (datetime.now(UTC) + timedelta(days=90)).isoformat()
        trigger = (await api.post("/api/v1/sms/send", held))["trigger_id"]
        await api.until(f"/api/v1/triggers/{trigger}", bool)
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

    @property
    def as_stream(self) -> dict[str, str]:
        """The headers of somebody who has the stream's token and nothing else."""
        return {"Authorization": self._token, "X-API-Key": ""}

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
            headers |= self.as_stream
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


@pytest.mark.parametrize("door", ["send", "novu", "pocketflows"])
async def test_what_another_process_is_busy_with_is_in_progress_and_then_taken_in(
    call: Calls, stack: Stack, door: str
) -> None:
    """The claim is that of a process between a request and its answer, as it would lie there."""
    key, answered = uuid4().hex, uuid4().hex
    await call(door, "one", answered)
    answers = await asyncpg.connect(stack.connections.postgres)
    try:
        kept = "SELECT EXISTS (SELECT FROM answers.answers WHERE key = $1)"
        await wait_until(lambda: answers.fetchval(kept, answered))
        await answers.execute(
            "INSERT INTO answers.claims SELECT workspace_id, $2, fingerprint, '2099-01-01' FROM answers.answers "
            "WHERE key = $1",
            answered,
            key,
        )
        busy = await call(door, "one", key)
        assert (busy.status, busy.headers["Retry-After"]) == (409, "1")
        assert (await call(door, "two", key)).status == 422
        await answers.execute("DELETE FROM answers.claims WHERE key = $1", key)
        first = await call(door, "one", key)
        assert first.status < 300
        again = await call(door, "one", key)
        assert (again.raw, again.headers["Idempotency-Replay"]) == (first.raw, "true")
        await wait_until(lambda: answers.fetchval(kept, key))
        assert await answers.fetchval("SELECT count(*) FROM answers.claims WHERE key = $1", key) == 0
    finally:
        await answers.close()


async def test_a_request_that_died_with_its_process_is_in_progress_for_ten_seconds_and_then_taken_in_once(
    call: Calls, stack: Stack
) -> None:
    """It waits for the broker while its process is killed."""
    key = uuid4().hex
    answers = await asyncpg.connect(stack.connections.postgres)
    try:
        stack.kill("kafka", signal.SIGSTOP)
        dying = asyncio.create_task(call("send", "dying", key))
        try:
            claimed = "SELECT EXISTS (SELECT FROM answers.claims WHERE key = $1)"
            await wait_until(lambda: answers.fetchval(claimed, key))
            stack.kill("ingest")
            # Ten seconds may be over before a busy machine has started it again.
            await answers.execute("UPDATE answers.claims SET until = until + interval '1 hour' WHERE key = $1", key)
        finally:
            stack.kill("kafka", signal.SIGCONT)
        seen: list[Response] = [await dying]

        async def is_answered(status: int) -> bool:
            seen.append(await call("send", "dying", key))
            return seen[-1].status == status

        await wait_until(lambda: is_answered(409), describe=lambda: str(seen[-1]))
        assert seen[-1].headers["Retry-After"] == "1"
        stack.advance_clock(timedelta(hours=1, seconds=11))
        await wait_until(lambda: is_answered(200), describe=lambda: str(seen[-1]))
        assert {answer.status for answer in seen[1:]} <= {200, 409, 502, 503}
        again = await call("send", "dying", key)
        assert (again.raw, again.headers["Idempotency-Replay"]) == (seen[-1].raw, "true")
        await call.tenant.api.finished(again.body["trigger_id"])
    finally:
        await answers.close()


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


async def test_a_workspace_that_is_used_up_is_a_429_and_leaves_others_alone(call: Calls, stack: Stack) -> None:
    async with new_tenant(stack) as busy:
        nothing = {"messages": [0] * 1000}
        answers = await asyncio.gather(
            *(busy.api.call("POST", "/api/v1/messages/bulk", json=nothing) for _ in range(50))
        )
        refused = [answer for answer in answers if answer.status == 429]
        assert refused
        assert {answer.status for answer in answers} <= {200, 429}
        for answer in refused:
            assert int(answer.headers["Retry-After"]) >= 1
            assert int(answer.headers["RateLimit-Remaining"]) < 1000
            assert answer.headers["Content-Type"] == "application/problem+json"
    assert (await call("send", "still", uuid4().hex)).status == 200


async def test_every_post_and_patch_there_is_refuses_a_key_that_is_too_long(call: Calls) -> None:
    document = await call.tenant.api.get("/api/openapi.json")
    asked = 0
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method not in {"post", "patch"} or not operation.get("security"):
                continue
            headers = {"Idempotency-Key": "k" * 256}
            if path.startswith("/event_send"):
                headers |= call.as_stream
            named = re.sub(r"\{[^}]+\}", uuid4().hex, path.replace("{stream_id}", "in"))
            answer = await call.tenant.api.call(method.upper(), named, json={}, headers=headers)
            assert answer.status == 400, (method, path, answer.status, answer.body)
            asked += 1
    assert asked > 50


async def test_after_a_day_a_key_is_free_and_a_callers_own_name_still_counts(call: Calls, stack: Stack) -> None:
    api, key, name = call.tenant.api, uuid4().hex, uuid4().hex

    async def named(key: str) -> Response:
        body = {"name": "hello", "to": "ada", "transactionId": name}
        return await api.call("POST", "/v1/events/trigger", json=body, headers={"Idempotency-Key": key})

    first = await call("pocketflows", "one", key)
    await named(uuid4().hex)
    ours = f"/v1/notifications?transactionId={name}"
    activity = await api.until(ours, lambda body: len(body["data"]) == 1)
    assert (await call("pocketflows", "two", key)).status == 422
    stack.advance_clock(timedelta(hours=24, minutes=1))
    other = first

    async def is_free() -> bool:
        nonlocal other
        other = await call("pocketflows", "two", key)
        return other.status == 200

    await wait_until(is_free)
    assert (other.body["name"], other.body["id"] == first.body["id"]) == ("two", False)
    again = await named(uuid4().hex)
    assert (again.status, again.body["data"]["status"]) == (201, "processed")
    # Behind it on the same way: by now the repeat has been read.
    await api.finished((await call("send", "last", uuid4().hex)).body["trigger_id"])
    assert [one["_id"] for one in (await api.get(ours))["data"]] == [activity["data"][0]["_id"]]


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
