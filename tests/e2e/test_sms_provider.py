"""SMS through Twilio's API: a double that answers in its shapes, and callbacks signed by its own validator."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

import pytest
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from broker import Broker
from doubles import HANG_UP, Twilio, running
from sluice_local.stack import Stack
from tenant import Tenant, new_number, new_tenant

pytestmark = pytest.mark.e2e

ACCOUNT_SID: Final = "AC" + "0" * 32
AUTH_TOKEN: Final = "an auth token"
SENDER: Final = "+15005550006"
CAUGHT_UP: Final = ("channel-sms-receipts", "status-deliveries")


@pytest.fixture
async def tenant(stack: Stack) -> AsyncIterator[Tenant]:
    async with new_tenant(stack) as made:
        yield made


@pytest.fixture
async def twilio() -> AsyncIterator[Twilio]:
    async with running(Twilio) as double:
        yield double


@pytest.fixture
async def account(tenant: Tenant, twilio: Twilio) -> str:
    """The id of the account that the tenant's SMS leave through."""
    return await twilio_account(tenant, twilio)


async def twilio_account(tenant: Tenant, twilio: Twilio, **more: Any) -> str:
    config = {"account_sid": ACCOUNT_SID, "from": SENDER, "base_url": twilio.base_url}
    return await tenant.account("twilio", config, {"auth_token": AUTH_TOKEN}, channel="sms", **more)


async def somebody(tenant: Tenant) -> tuple[str, str]:
    """Create a contact; return its external id and its number."""
    phone = new_number()
    return await tenant.contact(phone_number=phone), phone


def status(sid: str, state: str, **more: str) -> dict[str, str]:
    """Return the fields of a status callback."""
    return {
        "MessageSid": sid, "SmsSid": sid, "AccountSid": ACCOUNT_SID, "From": SENDER, "To": "+14155550123",
        "MessageStatus": state, "SmsStatus": state, "ApiVersion": "2010-04-01", **more,
    }  # fmt: skip


def inbound(sender: str, text: str, **more: str) -> dict[str, str]:
    """Return the fields of a message that somebody wrote."""
    sid = f"SM{uuid4().hex}"
    return {
        "MessageSid": sid, "SmsSid": sid, "AccountSid": ACCOUNT_SID, "From": sender, "To": SENDER, "Body": text,
        "NumMedia": "0", "NumSegments": "1", "ApiVersion": "2010-04-01", **more,
    }  # fmt: skip


async def call_back(tenant: Tenant, url: str, form: Mapping[str, str], token: str = AUTH_TOKEN) -> int:
    """Post a callback as Twilio does, signed with `token`; return the HTTP status."""
    signature = RequestValidator(token).compute_signature(url, dict(form))
    async with tenant.public.post(url, data=form, headers={"X-Twilio-Signature": signature}) as answer:
        if answer.status == 200:
            assert answer.content_type == "text/xml"
            assert "<Response/>" in await answer.text()
        return answer.status


async def settled(tenant: Tenant) -> None:
    """Wait until everything that came in by now has been counted."""
    async with Broker(tenant.stack.connections.kafka) as broker:
        await broker.caught_up(CAUGHT_UP)


async def test_a_message_goes_out_as_twilio_wants_it_and_a_signed_receipt_delivers_it(
    tenant: Tenant, twilio: Twilio, account: str
) -> None:
    ada, phone = await somebody(tenant)
    template = await tenant.template("sms", text="Hi {{ name }} & co: 100 % Grüße")
    trigger = await tenant.send("sms", ada, "transactional", template_key=template)
    job = await tenant.final(trigger, ada)
    (request,) = twilio.requests
    callback = request["StatusCallback"]
    assert request == {
        "path": f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json",
        "To": phone,
        "From": SENDER,
        "Body": "Hi Ada L & co: 100 % Grüße",
        "StatusCallback": callback,
    }
    assert callback.startswith(f"{tenant.stack.base_url}/callbacks/sms/{account}?ref=")
    assert twilio.headers[0]["Authorization"].startswith("Basic ")
    assert (job["status"], job["message_status"], job["segments"]) == ("sent", "accepted", 1)
    (sid,) = twilio.sids
    assert job["provider_id"] == sid
    assert (await tenant.analytics(trigger))["awaiting_receipt"] == 1

    assert await call_back(tenant, callback, status(sid, "delivered", RawDlrDoneDate="2511240225")) == 200
    analytics = await tenant.analytics(trigger, delivered=1)
    assert (analytics["sent"], analytics["awaiting_receipt"]) == (1, 0)


async def test_a_forged_callback_is_refused_and_moves_nothing(tenant: Tenant, twilio: Twilio, account: str) -> None:
    ada, _ = await somebody(tenant)
    trigger = await tenant.send("sms", ada, "transactional", text="Hello")
    await tenant.final(trigger, ada)
    callback, sid = twilio.requests[0]["StatusCallback"], twilio.sids[0]
    delivered = status(sid, "delivered")

    assert await call_back(tenant, callback, delivered, token="guessed") == 403
    signature = RequestValidator(AUTH_TOKEN).compute_signature(callback, status(sid, "sent"))
    for headers in ({}, {"X-Twilio-Signature": ""}, {"X-Twilio-Signature": signature}):
        async with tenant.public.post(callback, data=delivered, headers=headers) as answer:
            assert answer.status == 403
    elsewhere = callback.replace(account, str(uuid4()))
    assert await call_back(tenant, elsewhere, delivered) == 404

    assert await call_back(tenant, callback, status(sid, "sent")) == 200
    job = await tenant.job(trigger, ada, lambda job: job["message_status"] != "accepted")
    assert job["message_status"] == "sent"
    assert (await tenant.analytics(trigger))["delivered"] == 0


async def test_a_strangers_account_cannot_speak_of_our_messages(
    tenant: Tenant, twilio: Twilio, account: str, stack: Stack
) -> None:
    ada, _ = await somebody(tenant)
    trigger = await tenant.send("sms", ada, "transactional", text="Hello")
    await tenant.final(trigger, ada)
    callback, sid = twilio.requests[0]["StatusCallback"], twilio.sids[0]
    async with new_tenant(stack) as stranger:
        foreign = callback.replace(account, await twilio_account(stranger, twilio))
        assert await call_back(stranger, foreign, status(sid, "delivered")) == 200
    await settled(tenant)
    assert (await tenant.job(trigger, ada))["message_status"] == "accepted"


@pytest.mark.parametrize(
    ("story", "end", "negative"),
    [(("queued", "sent", "delivered"), "delivered", 0), (("sent", "undelivered"), "undelivered", 1)],
)
async def test_callbacks_that_come_repeated_and_reversed_end_in_the_same_state(
    tenant: Tenant, twilio: Twilio, account: str, story: tuple[str, ...], end: str, negative: int
) -> None:
    error = {"ErrorCode": "30003"} if negative else {}
    for order in (story, story[::-1], (*story, *story[::-1], *story)):
        ada, _ = await somebody(tenant)
        trigger = await tenant.send("sms", ada, "marketing", text="Sale")
        await tenant.final(trigger, ada)
        callback, sid = twilio.requests[-1]["StatusCallback"], twilio.sids[-1]
        for state in order:
            assert await call_back(tenant, callback, status(sid, state, **(error if state == end else {}))) == 200
        await settled(tenant)
        job = await tenant.job(trigger, ada)
        assert (job["status"], job["message_status"]) == ("sent", end)
        analytics = await tenant.analytics(trigger)
        assert (analytics["sent"], analytics["failed"]) == (1, negative)
        assert (analytics["delivered"], analytics["awaiting_receipt"]) == (1 - negative, 0)


async def test_one_who_answers_stop_is_left_alone_until_start(tenant: Tenant, twilio: Twilio, account: str) -> None:
    ada, phone = await somebody(tenant)
    door = f"{tenant.stack.base_url}/callbacks/sms/{account}"
    first = await tenant.send("sms", ada, "marketing", text="Sale")
    await tenant.final(first, ada)

    assert await call_back(tenant, door, inbound(phone, "please stop, it is loud")) == 200
    await tenant.job(first, ada, lambda job: job["engagements"] == ["replied"])
    assert await tenant.suppressed("sms") == {}
    assert await call_back(tenant, door, inbound(phone, " Stop ")) == 200
    await tenant.job(first, ada, lambda job: job["engagements"] == ["replied", "unsubscribed"])
    assert await tenant.suppressed("sms") == {phone: "stop"}
    for category in ("marketing", "transactional"):
        second = await tenant.send("sms", ada, category, text="Sale")
        job = await tenant.final(second, ada)
        assert (job["status"], job["filter_code"]) == ("filtered", "suppressed_stop")

    assert await call_back(tenant, door, inbound(phone, "START")) == 200
    await settled(tenant)
    assert await tenant.suppressed("sms") == {}
    third = await tenant.send("sms", ada, "marketing", text="Sale")
    assert (await tenant.final(third, ada))["status"] == "sent"
    assert len(twilio.requests) == 2


async def test_one_who_changes_their_mind_at_once_is_taken_at_their_last_word(
    tenant: Tenant, twilio: Twilio, account: str
) -> None:
    door = f"{tenant.stack.base_url}/callbacks/sms/{account}"
    wishes = {}
    for words in (("STOP", "START"), ("START", "STOP"), ("STOP", "START", "STOP"), ("STOP", "START", "STOP", "START")):
        ada, phone = await somebody(tenant)
        trigger = await tenant.send("sms", ada, "transactional", text="Hello")
        await tenant.final(trigger, ada)
        for word in words:
            assert await call_back(tenant, door, inbound(phone, word)) == 200
        wishes[phone] = words[-1]
    await settled(tenant)
    assert (await tenant.suppressed("sms")).keys() == {phone for phone, word in wishes.items() if word == "STOP"}


async def test_a_429_is_waited_out_as_long_as_twilio_asks_and_burns_no_attempt(
    tenant: Tenant, twilio: Twilio, account: str
) -> None:
    ada, _ = await somebody(tenant)
    twilio.refuses(429, 20429, Retry_After="2")
    trigger = await tenant.send("sms", ada, "transactional", text="Hello")
    job = await tenant.final(trigger, ada)
    assert (job["status"], job["attempts"]) == ("sent", 1)
    waited = [event for event in job["timeline"] if event["event"] == "held"]
    assert [event["code"] for event in waited] == ["rate"]
    first, second = twilio.times
    assert second - first >= 2


async def test_a_number_that_is_none_is_failed_and_suppressed(tenant: Tenant, twilio: Twilio, account: str) -> None:
    ada, phone = await somebody(tenant)
    twilio.refuses(400, 21211)
    trigger = await tenant.send("sms", ada, "transactional", text="Hello")
    job = await tenant.final(trigger, ada)
    assert (job["status"], job["failure_code"]) == ("failed", "recipient_rejected")
    assert "21211" in job["failure_reason"]
    assert await tenant.suppressed("sms") == {phone: "hard_bounce"}
    again = await tenant.send("sms", ada, "transactional", text="Hello")
    assert (await tenant.final(again, ada))["filter_code"] == "suppressed_hard_bounce"
    assert len(twilio.requests) == 1


async def test_a_campaigns_message_in_doubt_is_given_up_until_a_receipt_proves_it(
    tenant: Tenant, twilio: Twilio, account: str
) -> None:
    ada, _ = await somebody(tenant)
    twilio.answers.append(HANG_UP)
    trigger = await tenant.send("sms", ada, "marketing", text="Sale")
    job = await tenant.final(trigger, ada)
    assert (job["status"], job["failure_code"]) == ("failed", "uncertain")
    assert (await tenant.api.finished(trigger))["summary"]["failed"] == 1

    (request,) = twilio.requests
    assert await call_back(tenant, request["StatusCallback"], status(f"SM{uuid4().hex}", "delivered")) == 200
    job = await tenant.job(trigger, ada, lambda job: job["message_status"] == "delivered")
    assert job["status"] == "sent"
    over = await tenant.api.until(f"/api/v1/triggers/{trigger}", lambda body: body["summary"]["sent"] == 1)
    assert (over["summary"]["failed"], over["status"]) == (0, "completed")
    assert (await tenant.analytics(trigger))["delivered"] == 1
    assert len(twilio.requests) == 1


async def test_a_code_in_doubt_is_sent_again(tenant: Tenant, twilio: Twilio, account: str) -> None:
    ada, _ = await somebody(tenant)
    twilio.answers.append(HANG_UP)
    trigger = await tenant.send("sms", ada, "authentication", text="Your code is 123456")
    job = await tenant.final(trigger, ada)
    assert (job["status"], job["attempts"]) == ("sent", 2)
    first, second = twilio.requests
    assert first["Body"] == second["Body"]
    # The one in doubt did arrive, and its receipt speaks of the same job.
    assert await call_back(tenant, first["StatusCallback"], status(f"SM{uuid4().hex}", "delivered")) == 200
    await tenant.analytics(trigger, delivered=1, sent=1)


async def test_a_refused_account_keeps_its_messages_until_it_is_put_right(tenant: Tenant, twilio: Twilio) -> None:
    account = await twilio_account(tenant, twilio)
    ada, _ = await somebody(tenant)
    twilio.refuses(401, 20003)
    trigger = await tenant.send("sms", ada, "transactional", text="Hello")
    held = await tenant.job(trigger, ada, lambda job: job["status"] == "held")
    assert (held["hold_code"], held["attempts"]) == ("provider_unavailable", 0)
    change = {"secrets": {"auth_token": "another token"}}
    current = await tenant.api.call("GET", f"/api/v1/providers/{account}")
    answer = await tenant.api.call(
        "PATCH", f"/api/v1/providers/{account}", json=change, headers={"If-Match": current.headers["ETag"]}
    )
    assert answer.status == 200, answer
    assert "another token" not in str(answer.body)
    tenant.stack.advance_clock(timedelta(seconds=11))
    assert (await tenant.final(trigger, ada))["status"] == "sent"


async def test_a_slow_account_gets_no_more_than_its_rate(tenant: Tenant, twilio: Twilio) -> None:
    await twilio_account(tenant, twilio, rate_per_second=20)
    tag = uuid4().hex[:8]
    people = [{"phone_number": new_number()} for _ in range(100)]
    await tenant.contacts(tag, people)
    began = asyncio.get_running_loop().time()
    trigger = await tenant.broadcast("sms", tag, "marketing", text="Sale")
    over = await tenant.api.finished(trigger)
    assert over["summary"]["sent"] == 100
    assert Counter(request["To"] for request in twilio.requests) == Counter(one["phone_number"] for one in people)
    # A busy machine lets requests arrive late, and then close together, but never before their time.
    for place, time in enumerate(sorted(twilio.times)):
        assert time - began >= (place - 30) / 20
