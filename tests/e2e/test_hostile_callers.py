"""What callers get who send nonsense or ask for what is not theirs: a problem document, never a 500, nothing done."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from api_client import ApiClient, Response, wait_until
from sluice_local.stack import Stack

pytestmark = pytest.mark.e2e

NONSENSE: dict[str, bytes] = {
    "nothing": b"",
    "half of an object": b'{"recipient_type": ',
    "a list": b"[]",
    "a number": b"1e999",
    "no UTF-8": b'{"name": "\xff\xfe"}',
    "a NUL": b'{"name": "a\\u0000b", "key": "a\\u0000b", "external_id": "\\u0000"}',
    "a lone surrogate": b'{"name": "\\ud800", "key": "\\ud800", "external_id": "\\ud800"}',
    "a huge number": b'{"name": ' + b"9" * 5000 + b"}",
    "deep nesting": b'{"variables": ' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}",
    "unknown fields": b'{"nobody_knows_this": 1}',
    "wrong types": b'{"name": {}, "key": [], "external_id": 7, "contacts": 1, "messages": "x", "text": false}',
}


@pytest.fixture
async def api(stack: Stack) -> AsyncIterator[ApiClient]:
    async with ApiClient(stack.base_url, stack.api_key) as client:
        yield client


async def operations(api: ApiClient) -> list[tuple[str, str, dict[str, Any]]]:
    """Return (method, path, description) of every operation in the OpenAPI document."""
    document = await api.get("/api/openapi.json")
    return [
        (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method in {"get", "post", "put", "patch", "delete"}
    ]


def filled(path: str, value: str) -> str:
    return re.sub(r"\{[^}]+\}", value, path)


def is_novus(path: str) -> bool:
    """Whether a path is behind Novu's door, which has errors of its own and takes fields that it does not know."""
    return path.startswith(("/v1/", "/v2/"))


def assert_problem(answer: Response, at: str) -> None:
    assert answer.status < 500, (at, answer.status, answer.body)
    if answer.status >= 400 and isinstance(answer.body, dict):
        if is_novus(at.partition(" ")[2]):
            assert {"statusCode", "timestamp", "path", "message"} <= answer.body.keys(), (at, answer.body)
            assert "Traceback" not in str(answer.body), at
            return
        assert answer.headers["Content-Type"].startswith("application/problem+json"), at
        assert {"type", "title", "status", "detail"} <= answer.body.keys(), (at, answer.body)
        assert "Traceback" not in str(answer.body), at


async def test_no_body_makes_any_operation_fail_with_a_500(api: ApiClient) -> None:
    for method, path, operation in await operations(api):
        if "requestBody" not in operation:
            continue
        for name, body in NONSENSE.items():
            headers = {"Content-Type": "application/json"}
            answer = await api.call(method, filled(path, str(uuid4())), data=body, headers=headers)
            assert_problem(answer, f"{method} {path} with {name}")
            # A PATCH of nothing changes nothing, and that is not an error; nor is what a compatible door ignores.
            ignored = is_novus(path) and name not in {"half of an object", "no UTF-8"}
            if not ((method == "PATCH" and name == "nothing") or ignored):
                assert 400 <= answer.status < 500, (method, path, name, answer.status, answer.body)


@pytest.mark.parametrize(
    "value", ["%00", "%ff", "..%2f..%2fetc", "' or 1=1 --", "9" * 300, "%F0%9F%92%A9", "-1", "null"]
)
async def test_no_path_makes_any_operation_fail_with_a_500(api: ApiClient, value: str) -> None:
    for method, path, _ in await operations(api):
        if "{" in path:
            answer = await api.call(method, filled(path, value), json={})
            assert_problem(answer, f"{method} {path} with {value}")


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=-1", "limit=1e9", "limit=x", "cursor=x", "cursor=%00", "nobody=1", "from=x"]
)
async def test_no_query_makes_any_operation_fail_with_a_500(api: ApiClient, query: str) -> None:
    async def ask(method: str, path: str) -> None:
        answer = await api.call(method, f"{filled(path, str(uuid4()))}?{query}")
        assert_problem(answer, f"{method} {path}?{query}")

    # At once, because a read of a trigger that is not there (yet) waits for it.
    await asyncio.gather(*(ask(method, path) for method, path, _ in await operations(api) if method == "GET"))


def secured(document: list[tuple[str, str, dict[str, Any]]]) -> Iterator[tuple[str, str]]:
    return ((method, filled(path, str(uuid4()))) for method, path, operation in document if operation.get("security"))


@pytest.mark.parametrize("key", [None, "", "sk_nobody", "ä", "sk_" + "a" * 5000])
async def test_every_operation_that_needs_a_credential_refuses_a_wrong_one(
    api: ApiClient, stack: Stack, key: str | None
) -> None:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    found = list(secured(await operations(api)))
    assert len(found) > 30
    async with aiohttp.ClientSession(stack.base_url) as nobody:
        for method, path in found:
            async with nobody.request(method, path, json={}, headers=headers) as answer:
                assert answer.status == 401, (method, path, answer.status, await answer.text())


async def test_a_key_without_a_scope_can_do_nothing_that_needs_it(api: ApiClient, stack: Stack) -> None:
    created = await api.post("/api/v1/api-keys", {"name": "reader", "scopes": ["status:read"]})
    async with ApiClient(stack.base_url, created["secret"]) as reader:

        async def is_known() -> bool:
            return (await reader.call("GET", "/api/v1/triggers")).status == 200

        await wait_until(is_known)
        send = {"recipient_type": "direct_sms", "direct_sms": "+14155550100", "text": "Hello"}
        for path, body in (
            ("/api/v1/sms/send", send),
            ("/api/v1/contacts", {"external_id": "x"}),
            ("/api/v1/api-keys", {}),
        ):
            answer = await reader.call("POST", path, json=body)
            assert answer.status in {403, 422}, (path, answer.status)
            assert answer.status == 403, (path, answer.body)


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"text": None}, 422, None),
        ({"surprise": 1}, 422, "surprise"),
        ({"recipient_type": "everybody"}, 422, "recipient_type"),
        ({"direct_sms": 14155550100}, 422, "direct_sms"),
        ({"trigger_at": "tomorrow"}, 422, "trigger_at"),
        ({"category": "spam"}, 422, "category"),
        ({"text": None, "template_key": "nobody_has_this"}, 422, "template_key"),
        ({"text": "{% for i in (1..100000000) %}x{% endfor %}"}, None, None),
    ],
)
async def test_a_send_that_is_wrong_says_what_is_wrong(
    api: ApiClient, change: dict[str, Any], status: int | None, field: str | None
) -> None:
    body = {"recipient_type": "direct_sms", "direct_sms": "+14155550100", "text": "Hello"} | change
    answer = await api.call(
        "POST", "/api/v1/sms/send", json={key: value for key, value in body.items() if value is not None}
    )
    if status is None:
        assert answer.status in {200, 422}
        if answer.status == 200:
            over = await api.finished(answer.body["trigger_id"])
            assert over["summary"]["sent"] == 0
        return
    assert answer.status == status, answer.body
    assert_problem(answer, str(change))
    if field is not None:
        assert field in {error["field"].split(".")[0] for error in answer.body["errors"]}, answer.body


async def test_a_body_over_the_limit_is_refused(api: ApiClient) -> None:
    body = {"recipient_type": "direct_sms", "direct_sms": "+14155550100", "text": "x" * 600_000}
    answer = await api.call("POST", "/api/v1/sms/send", json=body)
    assert answer.status == 413
    assert_problem(answer, "a large body")


async def test_a_request_that_is_too_long_to_be_read_is_a_problem_document(api: ApiClient) -> None:
    for path, headers, status in (
        ("/api/v1/triggers?q=" + "x" * 40_000, {}, 414),
        ("/v1/messages?transactionId=" + "x" * 40_000, {}, 414),
        ("/api/v1/contacts", {"X-Long": "x" * 9000}, 431),
    ):
        answer = await api.call("GET", path, headers=headers)
        assert answer.status == status, (path[:30], answer)
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert "X-Request-Id" in answer.headers
    many = "&".join(f"transactionId={uuid4()}" for _ in range(600))
    assert (await api.get(f"/v1/messages?{many}"))["data"] == []


async def test_a_template_that_explodes_is_refused_or_stopped_and_the_worker_lives(api: ApiClient) -> None:
    bombs = [
        "{% for a in (1..9999) %}{% for b in (1..9999) %}{{ a }}{% endfor %}{% endfor %}",
        "{{ 'a' " + "| replace: 'a', 'aaaaaaaaaa' " * 9 + "}}",
        "{% capture x %}{{ y }}{% endcapture %}" * 2000,
    ]
    for bomb in bombs:
        key = f"bomb_{uuid4().hex[:8]}"
        variants = [{"country": None, "locale": None, "text": bomb}]
        body = {"key": key, "name": key, "channel": "sms", "category": "marketing", "variants": variants}
        answer = await api.call("POST", "/api/v1/templates", json=body)
        assert answer.status in {201, 422}, answer.body
        if answer.status == 201:
            send = {
                "recipient_type": "direct_sms",
                "direct_sms": "+14155550100",
                "template_key": key,
                "variables": {"y": "z"},
            }
            sent = await api.post("/api/v1/sms/send", send)
            over = await api.finished(sent["trigger_id"])
            assert over["summary"]["sent"] == 0
    last = {"recipient_type": "direct_sms", "direct_sms": "+14155550100", "text": "still here"}
    sent = await api.post("/api/v1/sms/send", last)
    assert (await api.finished(sent["trigger_id"]))["summary"]["sent"] == 1


async def test_a_bad_item_of_a_bulk_fails_alone_and_the_order_is_kept(api: ApiClient) -> None:
    good = {"channel": "sms", "recipient_type": "direct_sms", "direct_sms": "+14155550100", "text": "Hello"}
    items = [good, good | {"surprise": 1}, good, good | {"template_key": "nobody", "text": None}, good]
    items[3] = {key: value for key, value in items[3].items() if value is not None}
    answer = await api.post("/api/v1/messages/bulk", {"messages": items})
    assert [bool(result["success"]) for result in answer["results"]] == [True, False, True, False, True]
    for result in answer["results"]:
        if result["success"]:
            assert (await api.finished(result["trigger_id"]))["summary"]["sent"] == 1


async def test_two_workspaces_never_see_each_others_things(api: ApiClient, stack: Stack) -> None:
    """Collect every id that one workspace owns and ask for each on every route with the other's key."""
    mark = uuid4().hex[:8]
    contact = await api.post("/api/v1/contacts", {"external_id": f"c{mark}", "email": f"{mark}@example.test"})
    variants = [{"country": None, "locale": None, "text": "Hello"}]
    body = {"key": f"t{mark}", "name": mark, "channel": "sms", "category": "marketing", "variants": variants}
    template = await api.post("/api/v1/templates", body)
    listed = await api.post("/api/v1/lists", {"name": mark})
    segment = await api.post("/api/v1/segments", {"name": mark, "filter": "contact.attributes.plan == 'pro'"})
    stream = await api.post("/api/v1/streams", {"name": mark, "type": "otp", "template_key": template["key"]})
    await api.post(f"/api/v1/streams/{stream['id']}/event-templates", {"key": f"e{mark}", "text": "Hello"})
    send = {"recipient_type": "direct_sms", "direct_sms": "+14155550100", "text": "Hello"}
    sent = await api.post("/api/v1/sms/send", send)
    await api.finished(sent["trigger_id"])
    direct = await api.get(f"/api/v1/triggers/{sent['trigger_id']}/direct")
    owned = [contact["id"], contact["external_id"], template["id"], template["key"], listed["id"], segment["id"]]
    owned += [sent["trigger_id"], direct["execution"]["id"], stream["id"], stream["key"]]
    async with ApiClient(stack.base_url, stack.create_workspace(f"other-{mark}")) as stranger:
        for method, path, operation in await operations(api):
            if "{" not in path or not operation.get("security"):
                continue
            for thing in owned:
                answer = await stranger.call(
                    method, filled(path, thing), json={} if "requestBody" in operation else None
                )
                # Novu answers 200 where there is nothing to cancel or delete, and makes what a PUT or POST names.
                if not is_novus(path):
                    assert answer.status not in range(200, 300), (method, path, thing, answer.body)
                assert mark not in str(answer.body).replace(thing, ""), (method, path, answer.body)
        for path in ("triggers", "contacts", "templates", "lists", "segments", "workflows", "streams"):
            assert mark not in str(await stranger.get(f"/api/v1/{path}"))
    for path in (
        f"contacts/{contact['id']}",
        f"templates/{template['key']}",
        f"lists/{listed['id']}",
        f"streams/{stream['id']}",
    ):
        await api.get(f"/api/v1/{path}")
