"""What somebody can do with a trigger that is under way: look at a contact, cancel, pause, resume, retry, repeat."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from api_client import ApiClient, wait_until
from sluice_local.stack import Stack
from tenant import Tenant, new_tenant

pytestmark = pytest.mark.e2e


@pytest.fixture
async def api(stack: Stack) -> AsyncIterator[ApiClient]:
    async with ApiClient(stack.base_url, stack.api_key) as client:
        yield client


@pytest.fixture
async def tenant(stack: Stack) -> AsyncIterator[Tenant]:
    """A workspace in which nobody has been suppressed yet."""
    async with new_tenant(stack) as made:
        yield made


async def audience(api: ApiClient, size: int) -> str:
    """Create `size` contacts that can get an SMS, under a tag of their own; return the tag."""
    mark = uuid4().hex[:10]
    contacts = [
        {"external_id": f"{mark}-{place}", "phone_number": f"+1415557{place:04d}", "tags": [mark]}
        for place in range(size)
    ]
    await api.add_contacts(contacts)
    return mark


def later(hours: int) -> str:
    return (datetime.now(UTC) + timedelta(days=30, hours=hours)).isoformat()


async def test_a_scheduled_send_can_be_cancelled_and_its_books_balance(api: ApiClient) -> None:
    tag = await audience(api, 3)
    body = {"recipient_type": "tag", "tags": [tag], "text": "Later", "trigger_at": later(1)}
    sent = await api.post("/api/v1/sms/send", body)
    path = f"/api/v1/triggers/{sent['trigger_id']}"
    waiting = await api.until(path, lambda body: body["scheduled_at"] is not None)
    assert waiting["status"] == "pending"
    await api.post(f"{path}/cancel", {})
    over = await api.finished(sent["trigger_id"])
    assert over["status"] == "cancelled"
    ledger = await api.get(f"{path}/ledger")
    assert (ledger["open"], ledger["unaccounted"]) == (0, 0)
    again = await api.call("POST", f"{path}/cancel", json={})
    assert again.status == 409


async def test_a_paused_trigger_rests_until_it_is_resumed(api: ApiClient) -> None:
    sent = await api.post(
        "/api/v1/sms/send",
        {"recipient_type": "direct_sms", "direct_sms": "+14155550177", "text": "Hello", "trigger_at": later(2)},
    )
    path = f"/api/v1/triggers/{sent['trigger_id']}"
    await api.until(path, lambda body: body["scheduled_at"] is not None)
    await api.post(f"{path}/pause", {})
    await api.post(f"{path}/resume", {})
    await api.post(f"{path}/cancel", {})
    assert (await api.finished(sent["trigger_id"]))["summary"]["sent"] == 0


async def test_a_contacts_timeline_shows_each_attempt_and_each_receipt(api: ApiClient) -> None:
    mark = uuid4().hex[:8]
    await api.post("/api/v1/contacts", {"external_id": mark, "phone_number": "+15005550003"})
    body = {"recipient_type": "contact", "contact_external_id": mark, "text": "Hello", "category": "transactional"}
    sent = await api.post("/api/v1/sms/send", body)
    assert (await api.finished(sent["trigger_id"]))["summary"]["sent"] == 1
    timeline = await api.until(
        f"/api/v1/triggers/{sent['trigger_id']}/contacts/{mark}", lambda body: "delivered" in str(body)
    )
    text = str(timeline)
    assert "retry" in text
    assert mark in text
    stranger = await api.call("GET", f"/api/v1/triggers/{sent['trigger_id']}/contacts/nobody")
    assert stranger.status == 404


async def test_failed_jobs_can_be_tried_again_and_only_they(tenant: Tenant) -> None:
    api = tenant.api
    mark = uuid4().hex[:8]
    contacts = [
        {"external_id": f"{mark}-bad", "phone_number": "+15005550001", "tags": [mark]},
        {"external_id": f"{mark}-good", "phone_number": "+14155550144", "tags": [mark]},
    ]
    await api.add_contacts(contacts)
    sent = await api.post("/api/v1/sms/send", {"recipient_type": "tag", "tags": [mark], "text": "Hello"})
    over = await api.finished(sent["trigger_id"])
    assert (over["summary"]["sent"], over["summary"]["failed"]) == (1, 1)
    path = f"/api/v1/triggers/{sent['trigger_id']}"
    await api.post(f"{path}/retry", {})
    # The address was suppressed when the provider refused it, so the second try is filtered with that reason.
    await api.until(f"{path}/ledger", lambda body: body["filtered"] == 1 and body["open"] == 0)
    again = await api.finished(sent["trigger_id"])
    assert (again["summary"]["sent"], again["summary"]["failed"], again["summary"]["filtered"]) == (1, 0, 1)
    page = await api.get(f"/api/v1/sandbox/messages?trigger_id={sent['trigger_id']}&channel=sms")
    assert len([message for message in page["messages"] if message["to"] == "+14155550144"]) == 1


async def test_the_same_idempotency_key_is_the_same_trigger(api: ApiClient) -> None:
    body = {"recipient_type": "direct_sms", "direct_sms": "+14155550155", "text": "Once"}
    headers = {"Idempotency-Key": uuid4().hex}
    first = await api.call("POST", "/api/v1/sms/send", json=body, headers=headers)
    second = await api.call("POST", "/api/v1/sms/send", json=body, headers=headers)
    other = await api.call("POST", "/api/v1/sms/send", json=body | {"text": "Twice"}, headers=headers)
    assert first.body == second.body
    assert second.headers["Idempotency-Replay"] == "true"
    assert other.status == 422
    await api.finished(first.body["trigger_id"])
    page = await api.get(f"/api/v1/sandbox/messages?trigger_id={first.body['trigger_id']}&channel=sms")
    assert len(page["messages"]) == 1


async def test_a_dashboard_that_polls_gets_304_until_something_moves(api: ApiClient) -> None:
    sent = await api.post(
        "/api/v1/sms/send", {"recipient_type": "direct_sms", "direct_sms": "+15005550005", "text": "Hello"}
    )
    await api.finished(sent["trigger_id"])
    path = f"/api/v1/triggers/{sent['trigger_id']}"
    known = await api.call("GET", path)

    async def nothing_has_moved() -> bool:
        nonlocal known
        answer = await api.call("GET", path, headers={"If-None-Match": known.headers["ETag"]})
        if answer.status == 200:
            assert answer.headers["ETag"] != known.headers["ETag"]
            known = answer
        return answer.status == 304

    await wait_until(nothing_has_moved)


@pytest.mark.parametrize(
    ("number", "state", "message"),
    [
        ("+15005550001", "failed", None),
        ("+15005550002", "sent", "undelivered"),
        ("+15005550003", "sent", "delivered"),
        ("+15005550004", "sent", "delivered"),
        ("+15005550005", "sent", "accepted"),
        ("+15005550007", "sent", "delivered"),
        ("+15005550008", "sent", "delivered"),
        ("+15005550009", "sent", "delivered"),
    ],
)
async def test_every_magic_number_does_what_it_says(
    api: ApiClient, number: str, state: str, message: str | None
) -> None:
    # A suppression that an earlier test left behind would answer instead.
    page = await api.get("/api/v1/suppressions?channel=sms&limit=200")
    for entry in page["data"]:
        if entry["address"] == number:
            await api.call("DELETE", f"/api/v1/suppressions/{entry['id']}")
    body = {"recipient_type": "direct_sms", "direct_sms": number, "text": "Hello", "category": "transactional"}
    sent = await api.post("/api/v1/sms/send", body)
    await api.finished(sent["trigger_id"])
    direct = await api.get(f"/api/v1/triggers/{sent['trigger_id']}/direct")

    async def arrived() -> bool:
        jobs = await api.get(direct["execution_details_endpoint"])
        (job,) = jobs["data"]["jobs"]
        return bool(job["status"] == state and job["message_status"] == message)

    await wait_until(arrived)


async def test_one_who_answers_stop_is_not_messaged_again(api: ApiClient) -> None:
    mark = uuid4().hex[:8]
    address = f"optout+{mark}@sandbox.test"
    await api.post("/api/v1/contacts", {"external_id": mark, "email": address})
    body = {
        "recipient_type": "contact", "contact_external_id": mark, "subject": "Sale", "content": "<p>Hi</p>",
        "category": "marketing",
    }  # fmt: skip
    first = await api.post("/api/v1/messages/send", body)
    await api.until(
        f"/api/v1/triggers/{first['trigger_id']}/direct", lambda body: body["analytics"]["unsubscribed"] == 1
    )
    second = await api.post("/api/v1/messages/send", body)
    over = await api.finished(second["trigger_id"])
    assert (over["summary"]["sent"], over["summary"]["filtered"]) == (0, 1)
