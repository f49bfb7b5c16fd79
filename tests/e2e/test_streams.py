"""Streams and CommPeak's door on the whole stack: each documented call, and those that must not get through."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from api_client import DEADLINE_SECONDS, ApiClient, Response, wait_until
from programs import program
from sluice_local.stack import Stack
from tenant import Tenant, new_tenant

pytestmark = pytest.mark.e2e

DOCUMENTED = {
    "contact": {"phone_number": "+14155550123", "name": "Ada L", "email": "ada@example.com"},
    "property1": "one",
    "property2": "two",
}
STREAMS = "/api/v1/streams"
UNREACHABLE = {"account_sid": "AC" + "0" * 32, "from": "+15005550006", "base_url": "http://127.0.0.1:9"}
"""The configuration of an account whose provider nobody reaches."""
RUN = {
    "shell": ["sh"],
    "javascript": ["node"],
    "python": [sys.executable],
    "php": ["php"],
    "go": ["go", "run"],
}
"""How the sample of each language is run."""
SOURCES = {"shell": "s.sh", "javascript": "s.mjs", "python": "s.py", "php": "s.php", "go": "s.go"}
OPEN_TO_TOKENS = {f"{STREAMS}/{{stream_id}}/events", "/event_send/", "/event_send"}


@pytest.fixture(scope="module")
def key(stack: Stack) -> str:
    """The key of the workspace that the tests of this module share."""
    return stack.create_workspace(f"streams-{uuid4().hex[:8]}")


@pytest.fixture
async def tenant(stack: Stack, key: str) -> AsyncIterator[Tenant]:
    async with (
        ApiClient(stack.base_url, key) as api,
        aiohttp.ClientSession(stack.base_url, timeout=aiohttp.ClientTimeout(total=DEADLINE_SECONDS)) as public,
    ):
        yield Tenant(stack, api, public)


async def sms(tenant: Tenant, text: str) -> str:
    return await tenant.template("sms", text=text)


async def open_stream(tenant: Tenant, **fields: Any) -> dict[str, Any]:
    """Create a stream that is ready, with its token."""
    body = {"name": f"Stream {uuid4().hex[:8]}", "type": "transactional", "status": "ready"} | fields
    stream = await tenant.api.post(STREAMS, body)
    return dict(stream)


async def call(tenant: Tenant, token: str, path: str, body: Any, method: str = "POST", **headers: str) -> Response:
    """Call with a token and nothing else, as somebody who was given no more than that."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with tenant.public.request(method, path, json=body, headers={"Authorization": token, **named}) as answer:
        return Response(answer.status, answer.headers, await answer.json(content_type=None), await answer.read())


async def fire(tenant: Tenant, stream: dict[str, Any], body: Any = DOCUMENTED, **headers: str) -> Response:
    return await call(tenant, stream["token"], f"{STREAMS}/{stream['key']}/events", body, **headers)


async def unreachable_account(tenant: Tenant) -> str:
    """Create an account whose messages wait for ever; return its id."""
    more = {"name": uuid4().hex, "channel": "sms", "is_default": False}
    return await tenant.account("twilio", UNREACHABLE, {"auth_token": "t" * 32}, **more)


async def refused(tenant: Tenant, stream: dict[str, Any]) -> None:
    """Wait until a stream's token opens nothing any more."""

    async def is_over() -> bool:
        return (await fire(tenant, stream)).status == 401

    await wait_until(is_over)


async def send(tenant: Tenant, stream: dict[str, Any], *messages: Any) -> Response:
    return await call(tenant, stream["token"], "/event_send/", {"messages": list(messages)})


async def received(tenant: Tenant, trigger_id: str) -> list[dict[str, Any]]:
    """Return what the sandbox got for a trigger that is over."""
    await tenant.api.finished(trigger_id)
    page = await tenant.api.get(f"/api/v1/sandbox/messages?trigger_id={trigger_id}")
    return list(page["messages"])


async def statistics(tenant: Tenant, stream: dict[str, Any], condition: Any) -> Any:
    return await tenant.api.until(f"{STREAMS}/{stream['id']}/statistics", condition)


async def test_the_documented_event_upserts_its_contact_and_fills_the_message(tenant: Tenant) -> None:
    template = await sms(tenant, "Hello {{ name }}: {{property1}}, {{property2}}")
    stream = await open_stream(tenant, key="strm_1234abcd", template_key=template)
    answer = await fire(tenant, stream)
    assert (answer.status, answer.body["status"]) == (200, "success")
    (message,) = await received(tenant, answer.body["trigger_id"])
    assert (message["to"], message["text"]) == ("+14155550123", "Hello Ada L: one, two")
    contact = await tenant.api.get("/api/v1/contacts/external/+14155550123")
    assert (contact["name"], contact["email"], contact["phone_number"]) == ("Ada L", "ada@example.com", "+14155550123")
    # The same person again, by another name: still one contact.
    renamed = DOCUMENTED | {"contact": DOCUMENTED["contact"] | {"name": "Ada Lovelace"}}  # type: ignore[operator]
    again = await fire(tenant, stream, renamed)
    (message,) = await received(tenant, again.body["trigger_id"])
    assert message["text"] == "Hello Ada Lovelace: one, two"
    changed = await tenant.api.get("/api/v1/contacts/external/+14155550123")
    assert (changed["id"], changed["name"]) == (contact["id"], "Ada Lovelace")


async def test_a_stream_that_is_not_there_is_the_documented_404(tenant: Tenant) -> None:
    answer = await tenant.api.call("POST", f"{STREAMS}/strm_00000000/events", json=DOCUMENTED)
    assert (answer.status, answer.body["detail"]) == (404, "There is no such stream.")


async def test_a_stream_runs_its_workflow_with_the_events_properties(tenant: Tenant) -> None:
    email = await tenant.template("email", subject="Order {{ order.id }}", html="<p>{{ property1 }}</p>")
    text = await sms(tenant, "Order {{ order.id }} of {{ first_name }}")
    steps = [
        {"step_id": "mail", "step_name": "Mail", "channel": "email", "template_key": email},
        {"step_id": "text", "step_name": "Text", "channel": "sms", "template_key": text},
    ]
    name = f"Orders {uuid4().hex[:6]}"
    await tenant.api.post("/api/v1/workflows", {"name": name, "type": "steps", "status": "active", "steps": steps})
    stream = await open_stream(tenant, workflow_id=name)
    contact = {"phone_number": "+14155550124", "email": "grace@example.com", "first_name": "Grace"}
    answer = await fire(tenant, stream, {"contact": contact, "order": {"id": 7}, "property1": "x"})
    trigger_id = answer.body["trigger_id"]
    summary = await tenant.api.finished(trigger_id)
    assert (summary["trigger_source"], summary["flow_type"]) == ("stream", "workflow")
    messages = {one["to"]: one for one in await received(tenant, trigger_id)}
    assert messages["grace@example.com"]["subject"] == "Order 7"
    assert messages["+14155550124"]["text"] == "Order 7 of Grace"


@pytest.mark.parametrize(
    ("kind", "channel", "category"),
    [
        ("marketing", "sms", "marketing"),
        ("transactional", "sms", "transactional"),
        ("otp", "sms", "authentication"),
        ("two_way", "sms", "utility"),
        ("whatsapp", "whatsapp", "utility"),
    ],
)
async def test_a_stream_of_each_type_sends_on_its_channel_and_in_its_category(
    tenant: Tenant, kind: str, channel: str, category: str
) -> None:
    said = {"text": "Hi {{ name }}"}
    if channel == "whatsapp":
        said = {"template_name": "hello", "language": "en_US", "body": "Hi {{ name }}"}
    stream = await open_stream(tenant, type=kind, template_key=await tenant.template(channel, **said))
    assert (stream["type"], stream["category"]) == (kind, category)
    trigger_id = (await fire(tenant, stream)).body["trigger_id"]
    (message,) = await received(tenant, trigger_id)
    assert (message["channel"], message["to"]) == (channel, DOCUMENTED["contact"]["phone_number"])  # type: ignore[index]
    # The text of the stream's own message goes the same way.
    await tenant.api.post(f"{STREAMS}/{stream['id']}/event-templates", {"key": "hello", "text": "Hello {{ who }}"})
    answer = await send(
        tenant, stream, {"recipient_phone": "+14155550123", "event_key": "hello", "variables": {"who": "Ada"}}
    )
    (result,) = answer.body["messages"]
    (message,) = await received(tenant, result["trigger_id"])
    assert (message["channel"], message["text"]) == (channel, "Hello Ada")


async def test_an_event_with_an_address_that_is_none_is_taken_in_and_says_so(tenant: Tenant) -> None:
    stream = await open_stream(tenant, template_key=await sms(tenant, "Hello {{ name }}"))
    half = {"contact": {"phone_number": "+14155550136", "email": "nobody", "name": "Ada"}}
    answer = await fire(tenant, stream, half)
    assert (answer.status, [one["field"] for one in answer.body["warnings"]]) == (200, ["contact.email"])
    (message,) = await received(tenant, answer.body["trigger_id"])
    assert (message["to"], message["text"]) == ("+14155550136", "Hello Ada")
    mark = uuid4().hex[:8]
    answer = await fire(tenant, stream, {"contact": {"phone_number": f"nobody {mark}"}})
    assert answer.status == 200
    job = await tenant.final(answer.body["trigger_id"], f"unreachable:nobody {mark}")
    assert (job["status"], job["filter_code"]) == ("filtered", "no_address_for_channel")


async def test_ten_thousand_properties_and_nested_values_arrive(tenant: Tenant) -> None:
    stream = await open_stream(tenant, template_key=await sms(tenant, "{{ property9999 }} {{ order.lines[1].sku }}"))
    properties = {f"property{number}": f"value {number}" for number in range(10_000)}
    nested = {"order": {"lines": [{"sku": "a"}, {"sku": "b"}]}}
    answer = await fire(tenant, stream, DOCUMENTED | properties | nested)
    (message,) = await received(tenant, answer.body["trigger_id"])
    assert message["text"] == "value 9999 b"
    deep: Any = {}
    for _ in range(100):
        deep = {"deep": deep}
    assert (await fire(tenant, stream, DOCUMENTED | {"deep": deep})).status == 422


async def test_a_one_time_password_goes_first_and_expires(tenant: Tenant) -> None:
    stream = await open_stream(tenant, type="otp", template_key=await sms(tenant, "{{ code }}"))
    assert (stream["category"], stream["expires_after_seconds"]) == ("authentication", None)
    body = {"contact": {"phone_number": "+14155550125"}, "code": "123456"}
    (message,) = await received(tenant, (await fire(tenant, stream, body)).body["trigger_id"])
    assert message["text"] == "123456"
    assert (await tenant.api.get(f"{STREAMS}/{stream['id']}"))["status"] == "ready"


async def test_a_one_time_password_that_waited_too_long_is_not_sent(tenant: Tenant) -> None:
    account = await unreachable_account(tenant)
    template = await sms(tenant, "{{ code }}")
    stream = await open_stream(
        tenant, type="otp", expires_after_seconds=1, template_key=template, provider_account_id=account
    )
    body = {"contact": {"external_id": "late", "phone_number": "+14155550134"}, "code": "123456"}
    job = await tenant.final((await fire(tenant, stream, body)).body["trigger_id"], "late")
    assert (job["status"], job["filter_code"]) == ("filtered", "expired_before_send")


async def test_a_token_is_shown_once_and_after_a_reset_both_work_for_a_while(tenant: Tenant, stack: Stack) -> None:
    stream = await open_stream(tenant, template_key=await sms(tenant, "Hello"))
    shown = await tenant.api.get(f"{STREAMS}/{stream['id']}")
    assert "token" not in shown
    assert stream["token"] not in str(shown)
    assert shown["tokens"][0]["hint"].startswith("st_live_…")
    reset = await tenant.api.post(f"{STREAMS}/{stream['id']}/token", {"overlap_seconds": 3600})
    fresh = stream | {"token": reset["token"]}
    assert len(reset["tokens"]) == 2
    assert [(await fire(tenant, one)).status for one in (stream, fresh)] == [200, 200]
    stack.advance_clock(timedelta(hours=2))
    await refused(tenant, stream)
    assert (await fire(tenant, fresh)).status == 200
    at_once = await tenant.api.post(f"{STREAMS}/{stream['id']}/token", {"overlap_seconds": 0})
    assert [token["expires_at"] for token in at_once["tokens"]] == [None]
    await refused(tenant, fresh)


async def test_a_token_opens_its_stream_and_nothing_else(tenant: Tenant, stack: Stack) -> None:
    template = await sms(tenant, "Hello")
    ours, sibling = await open_stream(tenant, template_key=template), await open_stream(tenant, template_key=template)
    async with new_tenant(stack) as other:
        foreign = await open_stream(other, template_key=await sms(other, "Hello"))
    for stream in (sibling, foreign):
        for reference in (stream["id"], stream["key"]):
            answer = await call(tenant, ours["token"], f"{STREAMS}/{reference}/events", DOCUMENTED)
            assert (answer.status, answer.body["detail"]) == (404, "There is no such stream.")
    document = await tenant.api.get("/api/openapi.json")
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if operation.get("security") and path not in OPEN_TO_TOKENS:
                named = path.replace("{stream_id}", ours["key"]).replace("{", "").replace("}", "")
                answer = await call(tenant, ours["token"], named, {}, method.upper())
                assert answer.status == 401, (method, path, answer.status)


async def test_an_address_that_is_not_allowed_gets_403_and_is_counted(tenant: Tenant) -> None:
    template = await sms(tenant, "Hello")
    stream = await open_stream(tenant, template_key=template, allowed_ips=["203.0.113.0/24", "2001:db8::/32"])
    for forged in (
        {},
        {"X_Forwarded_For": "203.0.113.9"},
        {"X_Real_IP": "203.0.113.9"},
        {"Forwarded": "for=203.0.113.9"},
    ):
        answer = await fire(tenant, stream, **forged)
        assert (answer.status, answer.body["code"]) == (403, "address_not_allowed")
    assert (await send(tenant, stream, {})).status == 403
    body = await statistics(tenant, stream, lambda body: body["events"]["refused"] >= 5)
    assert body["events"]["refusals"] == [
        {"reason": "address_not_allowed", "address": "127.0.0.1", "refused": 5,
         "last_at": body["events"]["refusals"][0]["last_at"]}
    ]  # fmt: skip
    changed = await tenant.api.call("PATCH", f"{STREAMS}/{stream['id']}", json={"allowed_ips": ["127.0.0.0/8", "::1"]})
    assert changed.body["allowed_ips"] == ["127.0.0.0/8", "::1/128"]
    assert (await fire(tenant, stream)).status == 200


async def test_a_draft_and_a_disabled_stream_refuse_with_a_sentence_and_a_deleted_one_is_gone(tenant: Tenant) -> None:
    stream = await open_stream(tenant, status="draft", template_key=await sms(tenant, "Hello"))
    path = f"{STREAMS}/{stream['id']}"
    answer = await fire(tenant, stream)
    assert (answer.status, answer.body["code"]) == (409, "draft")
    assert "is a draft" in answer.body["detail"]
    ready = await tenant.api.call("PATCH", path, json={"status": "ready"}, headers={"If-Match": '"1"'})
    assert (ready.status, ready.headers["ETag"]) == (200, '"2"')
    assert (await tenant.api.call("PATCH", path, json={"name": "x"}, headers={"If-Match": '"1"'})).status == 412
    assert (await fire(tenant, stream)).status == 200
    await tenant.api.call("PATCH", path, json={"status": "disabled"})
    answer = await fire(tenant, stream)
    assert (answer.status, answer.body["code"]) == (409, "disabled")
    assert (await send(tenant, stream, {})).status == 409
    assert (await tenant.api.call("DELETE", path)).status == 204
    assert (await fire(tenant, stream)).status == 401
    assert (await tenant.api.call("POST", f"{path}/events", json=DOCUMENTED)).status == 404
    assert (await tenant.api.call("GET", path)).status == 404


async def test_streams_are_listed_by_name_status_and_tag_page_by_page(stack: Stack) -> None:
    async with new_tenant(stack) as tenant:
        template = await sms(tenant, "Hello")
        made = [
            await open_stream(tenant, name=name, status=status, tags=tags, template_key=template)
            for name, status, tags in (
                ("Spring sale", "ready", ["sale"]),
                ("Codes", "draft", ["login"]),
                ("Autumn Sale", "disabled", ["sale", "login"]),
            )
        ]

        async def names(query: str) -> list[str]:
            return [one["name"] for one in (await tenant.api.get(f"{STREAMS}{query}"))["data"]]

        assert await names("") == ["Spring sale", "Codes", "Autumn Sale"]
        assert await names("?name=sale") == ["Spring sale", "Autumn Sale"]
        assert await names("?tag=login") == ["Codes", "Autumn Sale"]
        assert await names("?status=ready") == ["Spring sale"]
        assert await names("?status=draft&tag=sale") == []
        assert await names("?status=sending") == []
        first = await tenant.api.get(f"{STREAMS}?limit=2")
        assert first["pagination"]["has_more"]
        cursor = first["pagination"]["next_cursor"]
        second = await tenant.api.get(f"{STREAMS}?limit=2&cursor={cursor}")
        assert [one["id"] for one in first["data"] + second["data"]] == [one["id"] for one in made]
        assert (await tenant.api.call("GET", f"{STREAMS}?status=paused")).status == 422


async def test_a_stream_is_sending_while_something_of_it_is_on_its_way(tenant: Tenant) -> None:
    account = await unreachable_account(tenant)
    stream = await open_stream(tenant, template_key=await sms(tenant, "Hello"), provider_account_id=account)
    path = f"{STREAMS}/{stream['id']}"
    assert (await tenant.api.get(path))["status"] == "ready"
    trigger_id = (await fire(tenant, stream)).body["trigger_id"]
    await tenant.api.until(path, lambda body: body["status"] == "sending")
    listed = await tenant.api.get(f"{STREAMS}?status=sending")
    assert stream["id"] in [one["id"] for one in listed["data"]]
    await tenant.api.post(f"/api/v1/triggers/{trigger_id}/cancel", {})
    await tenant.api.finished(trigger_id)
    # When something came in last is written down every few moments.
    await tenant.api.until(path, lambda body: body["status"] == "ready" and body["last_activity"] is not None)


async def test_the_statistics_are_those_of_the_messages(tenant: Tenant) -> None:
    stream = await open_stream(tenant, template_key=await sms(tenant, "Hello {{ needed }}"))
    numbers = ("+14155550131", "+15005550002", "+15005550001")
    answers = [await fire(tenant, stream, {"contact": {"phone_number": number}, "needed": "you"}) for number in numbers]
    answers.append(await fire(tenant, stream, {"contact": {"phone_number": "+14155550132"}}))
    assert (await fire(tenant, stream, {"contact": {}})).status == 422
    await tenant.api.post(f"{STREAMS}/{stream['id']}/test", {"needed": "you"})
    for answer in answers:
        await tenant.api.finished(answer.body["trigger_id"])

    def is_told(body: Any) -> bool:
        messages, events = body["messages"], body["events"]
        return (messages["delivered"], messages["undelivered"]) == (1, 1) and (
            (events["accepted"], events["refused"]) == (4, 1)
        )

    body = await statistics(tenant, stream, is_told)
    messages = body["messages"]
    assert {name: messages[name] for name in ("total", "sent", "failed", "filtered", "cancelled", "open")} == {
        "total": 4, "sent": 2, "failed": 1, "filtered": 1, "cancelled": 0, "open": 0,
    }  # fmt: skip
    assert messages["sent"] == messages["delivered"] + messages["undelivered"] + messages["awaiting_receipt"]
    assert [(one["reason"], one["refused"]) for one in body["events"]["refusals"]] == [("invalid", 1)]
    assert sum(day["accepted"] for day in body["events"]["by_day"]) == 4
    earlier = await tenant.api.get(f"{STREAMS}/{stream['id']}/statistics?from=2020-01-01&to=2020-01-31")
    assert (earlier["events"]["accepted"], earlier["messages"]["total"]) == (0, 0)


async def test_a_stream_has_limits_of_its_own(tenant: Tenant) -> None:
    template = await sms(tenant, "Hello")
    slow = await open_stream(tenant, template_key=template, limits={"per_second": 0.01, "burst": 2})
    answers = [await fire(tenant, slow) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert (answers[0].headers["RateLimit-Limit"], answers[0].headers["RateLimit-Remaining"]) == ("2", "1")
    assert int(answers[2].headers["Retry-After"]) > 0
    daily = await open_stream(tenant, template_key=template, limits={"per_day": 2})
    answers = [await fire(tenant, daily) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert answers[2].body["code"] == "daily_limit"
    for stream, reason in ((slow, "rate_limited"), (daily, "daily_limit")):
        body = await statistics(tenant, stream, lambda body: body["events"]["refused"] == 1)
        assert [one["reason"] for one in body["events"]["refusals"]] == [reason]


async def test_an_event_is_repeated_by_its_key_and_not_done_twice(tenant: Tenant) -> None:
    stream = await open_stream(tenant, template_key=await sms(tenant, "Hello"))
    first = await fire(tenant, stream, Idempotency_Key="order-7")
    again = await fire(tenant, stream, Idempotency_Key="order-7")
    assert (again.body, again.headers["Idempotency-Replay"]) == (first.body, "true")
    other = await fire(tenant, stream, DOCUMENTED | {"property1": "else"}, Idempotency_Key="order-7")
    assert other.status == 422
    sibling = await open_stream(tenant, template_key=await sms(tenant, "Hello"))
    assert (await fire(tenant, sibling, Idempotency_Key="order-7")).body["trigger_id"] != first.body["trigger_id"]
    assert len(await received(tenant, first.body["trigger_id"])) == 1


async def test_a_test_goes_through_the_sandbox_or_to_a_contact_and_is_marked(tenant: Tenant) -> None:
    stream = await open_stream(tenant, status="draft", template_key=await sms(tenant, "Code {{ code }}"))
    path = f"{STREAMS}/{stream['key']}/test"
    answer = await tenant.api.post(path, {"code": "42"})
    assert (answer["status"], answer["test"], answer["sandbox"]) == ("success", True, True)
    (message,) = await received(tenant, answer["trigger_id"])
    assert message["text"] == "Code 42"
    assert (await tenant.api.get(f"/api/v1/triggers/{answer['trigger_id']}"))["trigger_source"] == "stream_test"
    given = await tenant.api.post(path, {"contact": {"phone_number": "+14155550126"}, "code": "43"})
    (message,) = await received(tenant, given["trigger_id"])
    assert (message["to"], message["text"], given["sandbox"]) == ("+14155550126", "Code 43", False)


async def test_a_test_in_the_sandbox_leaves_a_real_provider_alone(stack: Stack) -> None:
    async with new_tenant(stack) as tenant:
        secrets = {"auth_token": "t" * 32}
        await tenant.account("twilio", UNREACHABLE, secrets, channel="sms")
        stream = await open_stream(tenant, template_key=await sms(tenant, "Hello"))
        answer = await tenant.api.post(f"{STREAMS}/{stream['key']}/test", {})
        assert len(await received(tenant, answer["trigger_id"])) == 1
        demo = await open_stream(tenant, sandbox=True, template_key=await sms(tenant, "Hello"))
        assert len(await received(tenant, (await fire(tenant, demo)).body["trigger_id"])) == 1


@pytest.mark.parametrize("language", RUN)
async def test_the_samples_run_as_they_are_shown(tenant: Tenant, language: str, tmp_path: Path) -> None:
    name, *command = RUN[language]
    runner = program(name)
    template = await sms(tenant, "{{ first_name }}: {{ code }} for {{ order.id }}")
    stream = await open_stream(tenant, template_key=template, sender="Sluice")
    await tenant.api.post(f"{STREAMS}/{stream['key']}/event-templates", {"key": "login", "text": "{{ code }}"})
    shown = await tenant.api.get(f"{STREAMS}/{stream['key']}/samples")
    assert shown["fields"] == ["code", "order.id"]
    assert shown["events"]["url"] == f"{tenant.stack.base_url}{STREAMS}/{stream['key']}/events"
    assert shown["event_send"]["body"]["messages"][0]["event_key"] == "login"
    for request in (shown["events"], shown["event_send"]):
        samples = {sample["language"]: sample["code"] for sample in request["samples"]}
        assert samples.keys() == RUN.keys()
        file = tmp_path / SOURCES[language]
        file.write_text(samples[language].replace("YOUR_STREAM_TOKEN", stream["token"]))
        ran = await asyncio.to_thread(
            subprocess.run, [runner, *command, str(file)], capture_output=True, text=True, timeout=400, check=False
        )
        assert ran.returncode == 0, (language, ran.stderr)
        assert "success" in ran.stdout, (language, ran.stdout)
    body = await statistics(tenant, stream, lambda body: body["events"]["accepted"] == 2)
    assert body["events"]["refused"] == 0


async def test_a_streams_messages_are_kept_by_event_key(tenant: Tenant) -> None:
    stream = await open_stream(tenant, type="otp")
    path = f"{STREAMS}/{stream['id']}/event-templates"
    made = await tenant.api.post(path, {"key": "login", "name": "Login", "text": "Your code is {{ code }} ✓"})
    assert (made["variables"], made["segments"], made["encoding"]) == (["code"], 1, "UCS-2")
    assert (await tenant.api.call("POST", path, json={"key": "login", "text": "x"})).status == 409
    assert (await tenant.api.call("POST", path, json={"key": "bad", "text": "{{ open"})).status == 422
    assert (await tenant.api.call("POST", path, json={"key": "bad", "template_key": "nobody"})).status == 422
    etag = (await tenant.api.call("GET", f"{path}/login")).headers["ETag"]
    changed = await tenant.api.call("PATCH", f"{path}/login", json={"text": "{{ code }}"}, headers={"If-Match": etag})
    assert (changed.status, changed.body["revision"], changed.body["segments"]) == (200, 2, 1)
    assert [one["key"] for one in (await tenant.api.get(path))["data"]] == ["login"]
    assert (await tenant.api.call("DELETE", f"{path}/login")).status == 204
    assert (await tenant.api.call("GET", f"{path}/login")).status == 404


async def test_a_bulk_keeps_its_order_and_does_not_fail_for_one_bad_message(tenant: Tenant) -> None:
    stream = await open_stream(tenant, sender="Sluice")
    await tenant.api.post(
        f"{STREAMS}/{stream['id']}/event-templates", {"key": "shipped", "text": "{{ order }} is on its way"}
    )
    mark = uuid4().hex[:8]
    answer = await send(
        tenant, stream,
        {"internal_id": f"{mark}-1", "sender": "Shop", "recipient_phone": "+14155550127", "message_content": "{{ a }}"},
        {"internal_id": f"{mark}-2", "recipient_phone": "nobody", "message_content": "x"},
        {"internal_id": f"{mark}-3", "recipient_phone": 14155550128, "event_key": "shipped", "variables": {"order": 7}},
        {"internal_id": f"{mark}-4", "recipient_phone": "+14155550127", "event_key": "nobody"},
        {"internal_id": f"{mark}-5", "recipient_phone": "+14155550129", "message_content": "last"},
    )  # fmt: skip
    body = answer.body
    assert (answer.status, body["status"], body["accepted"], body["rejected"]) == (200, "partial", 3, 2)
    assert [one["internal_id"] for one in body["messages"]] == [f"{mark}-{place}" for place in range(1, 6)]
    assert [one["status"] for one in body["messages"]] == ["accepted", "rejected", "accepted", "rejected", "accepted"]
    texts = []
    for one in body["messages"]:
        if one["status"] == "accepted":
            (message,) = await received(tenant, one["trigger_id"])
            texts.append((message["to"], message["from"], message["text"]))
    assert texts == [
        ("+14155550127", "Shop", "{{ a }}"),
        ("+14155550128", "Sluice", "7 is on its way"),
        ("+14155550129", "Sluice", "last"),
    ]


async def test_an_internal_id_sent_again_is_not_a_second_message(tenant: Tenant) -> None:
    stream = await open_stream(tenant)
    message = {"internal_id": uuid4().hex, "recipient_phone": "+14155550133", "message_content": "once"}
    answers = [await send(tenant, stream, message, message) for _ in range(3)]
    ids = {one["trigger_id"] for answer in answers for one in answer.body["messages"]}
    assert len(ids) == 1
    trigger_id = ids.pop()
    assert len(await received(tenant, trigger_id)) == 1
    # The repeats are read by now: what comes behind them on the same way has been sent.
    last = await send(tenant, stream, message | {"internal_id": uuid4().hex, "message_content": "last"})
    await received(tenant, last.body["messages"][0]["trigger_id"])
    assert len(await received(tenant, trigger_id)) == 1


async def test_another_workspace_sees_and_changes_nothing_of_a_stream(tenant: Tenant, stack: Stack) -> None:
    stream = await open_stream(tenant, template_key=await sms(tenant, "Hello"))
    await tenant.api.post(f"{STREAMS}/{stream['id']}/event-templates", {"key": "login", "text": "x"})
    async with ApiClient(stack.base_url, stack.create_workspace(f"other-{uuid4().hex[:8]}")) as stranger:
        for reference in (stream["id"], stream["key"]):
            for method, path, body in (
                ("GET", "", None),
                ("PATCH", "", {"name": "mine"}),
                ("DELETE", "", None),
                ("POST", "/token", {}),
                ("POST", "/test", {}),
                ("POST", "/events", DOCUMENTED),
                ("GET", "/samples", None),
                ("GET", "/statistics", None),
                ("GET", "/event-templates", None),
                ("POST", "/event-templates", {"key": "x", "text": "x"}),
                ("GET", "/event-templates/login", None),
                ("PATCH", "/event-templates/login", {"text": "y"}),
                ("DELETE", "/event-templates/login", None),
            ):
                answer = await stranger.call(method, f"{STREAMS}/{reference}{path}", json=body)
                assert answer.status == 404, (method, path, answer.status, answer.body)
        assert (await stranger.get(STREAMS))["data"] == []
    assert (await tenant.api.get(f"{STREAMS}/{stream['id']}"))["revision"] == 1


async def test_an_address_is_the_contact_who_has_it_with_all_that_they_asked_for(tenant: Tenant) -> None:
    external_id = await tenant.contact(phone_number="+14155550135", attributes={"plan": "pro"})
    stream = await open_stream(tenant, template_key=await sms(tenant, "{{ contact.attributes.plan }} {{ last_name }}"))
    body = {"contact": {"phone_number": "+14155550135", "last_name": "Lovelace"}}
    trigger_id = (await fire(tenant, stream, body)).body["trigger_id"]
    (message,) = await received(tenant, trigger_id)
    assert message["text"] == "pro Lovelace"
    assert (await tenant.final(trigger_id, external_id))["status"] == "sent"
    assert (await tenant.api.call("GET", "/api/v1/contacts/external/+14155550135")).status == 404
