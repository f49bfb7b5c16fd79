"""WhatsApp through Meta's Cloud API: a double that answers in its shapes, and webhooks signed as pywa checks them."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import AsyncIterator
from typing import Any, Final
from uuid import uuid4

import orjson
import pytest
from pywa.utils import webhook_updates_validator

from broker import Broker
from doubles import Meta, running
from sluice_local.stack import Stack
from tenant import Tenant, new_number, new_tenant

pytestmark = pytest.mark.e2e

PHONE_NUMBER_ID: Final = "106540352242922"
APP_SECRET: Final = "app secret"
VERIFY_TOKEN: Final = "verify me"
CAUGHT_UP: Final = ("channel-whatsapp-receipts", "status-deliveries")


@pytest.fixture
async def tenant(stack: Stack) -> AsyncIterator[Tenant]:
    async with new_tenant(stack) as made:
        yield made


@pytest.fixture
async def meta() -> AsyncIterator[Meta]:
    async with running(Meta) as double:
        yield double


@pytest.fixture
async def webhook(tenant: Tenant, meta: Meta) -> str:
    """Let the tenant's messages leave through Meta; return the path of the account's webhook."""
    config = {"phone_number_id": PHONE_NUMBER_ID, "base_url": meta.base_url, "graph_version": "v26.0"}
    secrets = {"access_token": "a token", "app_secret": APP_SECRET, "verify_token": VERIFY_TOKEN}
    return f"/callbacks/whatsapp/{await tenant.account('meta', config, secrets, channel='whatsapp')}"


async def somebody(tenant: Tenant) -> tuple[str, str]:
    """Create a contact; return its external id and its number without the plus, as Meta writes it."""
    number = new_number()
    return await tenant.contact(phone_number=number), number.removeprefix("+")


async def template(tenant: Tenant, *, is_approved: bool = True) -> str:
    """Create a template, which Meta has approved; return its key."""
    key = await tenant.template(
        "whatsapp", template_name="order_confirmation", language="en_US", body="Hi {{ name }}, order {{ order }}"
    )
    if is_approved:
        await tenant.api.post(f"/api/v1/templates/{key}/approve", {})
    return key


async def sent(tenant: Tenant, external_id: str, category: str = "transactional") -> str:
    """Send the template to a contact and wait until Meta has it; return the trigger's id."""
    trigger = await tenant.send(
        "whatsapp", external_id, category, template_key=await template(tenant), variables={"order": "A1"}
    )
    assert (await tenant.final(trigger, external_id))["status"] == "sent"
    return trigger


def change(field: str = "messages", **value: Any) -> dict[str, Any]:
    """Return one change of a webhook."""
    metadata = {"display_phone_number": "15550783881", "phone_number_id": PHONE_NUMBER_ID}
    return {"field": field, "value": {"messaging_product": "whatsapp", "metadata": metadata, **value}}


def body_of(*changes: dict[str, Any]) -> bytes:
    """Return a webhook's body."""
    return orjson.dumps({"object": "whatsapp_business_account", "entry": [{"id": "WABA", "changes": list(changes)}]})


def status(request: dict[str, Any], wamid: str, state: str, **more: Any) -> dict[str, Any]:
    """Return a status of the message that `request` sent."""
    return {
        "id": wamid, "status": state, "timestamp": str(int(time.time())), "recipient_id": request["to"],
        "biz_opaque_callback_data": request["biz_opaque_callback_data"], **more,
    }  # fmt: skip


def statuses(*given: dict[str, Any]) -> dict[str, Any]:
    contacts = [
        {"profile": {"name": "Ann"}, "wa_id": one["recipient_id"], "user_id": "US.13491208655302741918"}
        for one in given
    ]
    return change(contacts=contacts, statuses=list(given))


def written(sender: str, text: str, context: str | None = None) -> dict[str, Any]:
    """Return the change that says what somebody wrote."""
    message: dict[str, Any] = {
        "from": sender, "id": f"wamid.{uuid4().hex}", "timestamp": str(int(time.time())), "type": "text",
        "text": {"body": text},
    }  # fmt: skip
    if context is not None:
        message["context"] = {"from": "15550783881", "id": context}
    return change(contacts=[{"profile": {"name": "Ann"}, "wa_id": sender}], messages=[message])


async def call(tenant: Tenant, path: str, body: bytes, secret: str = APP_SECRET) -> int:
    """Post a webhook as Meta does, signed with `secret`; return the HTTP status."""
    signature = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    assert webhook_updates_validator(secret, body, signature)
    headers = {"X-Hub-Signature-256": signature, "Content-Type": "application/json"}
    async with tenant.public.post(path, data=body, headers=headers) as answer:
        return answer.status


async def settled(tenant: Tenant) -> None:
    """Wait until everything that came in by now has been counted."""
    async with Broker(tenant.stack.connections.kafka) as broker:
        await broker.caught_up(CAUGHT_UP)


async def test_meta_can_register_the_webhook_with_the_right_token_alone(tenant: Tenant, webhook: str) -> None:
    query = {"hub.mode": "subscribe", "hub.challenge": "1158201444", "hub.verify_token": VERIFY_TOKEN}
    async with tenant.public.get(webhook, params=query) as answer:
        assert (answer.status, await answer.text()) == (200, "1158201444")
    for wrong in ({"hub.verify_token": "guessed"}, {"hub.verify_token": ""}, {"hub.mode": "unsubscribe"}):
        async with tenant.public.get(webhook, params=query | wrong) as answer:
            assert answer.status == 403
            assert "1158201444" not in await answer.text()


async def test_a_template_goes_out_as_meta_wants_it_and_is_delivered_and_read(
    tenant: Tenant, meta: Meta, webhook: str
) -> None:
    ada, phone = await somebody(tenant)
    trigger = await sent(tenant, ada)
    (request,), (wamid,) = meta.requests, meta.wamids
    parameters = [{"type": "text", "text": text} for text in ("Ada L", "A1")]
    assert request == {
        "path": f"/v26.0/{PHONE_NUMBER_ID}/messages",
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": phone,
        "type": "template",
        "biz_opaque_callback_data": request["biz_opaque_callback_data"],
        "template": {
            "name": "order_confirmation",
            "language": {"policy": "deterministic", "code": "en_US"},
            "components": [{"type": "body", "parameters": parameters}],
        },
    }
    assert meta.headers[0]["Authorization"] == "Bearer a token"
    assert (await tenant.job(trigger, ada))["provider_id"] == wamid

    for state, delivered, read in (("sent", 0, 0), ("delivered", 1, 0), ("read", 1, 1)):
        assert await call(tenant, webhook, body_of(statuses(status(request, wamid, state)))) == 200
        await tenant.job(trigger, ada, lambda job, state=state: job["message_status"] == state)  # type: ignore[misc]
        analytics = await tenant.analytics(trigger)
        assert (analytics["delivered"], analytics["read"]) == (delivered, read)


async def test_a_template_that_meta_has_not_approved_is_not_sent(tenant: Tenant, meta: Meta, webhook: str) -> None:
    ada, _ = await somebody(tenant)
    key = await template(tenant, is_approved=False)
    trigger = await tenant.send("whatsapp", ada, "transactional", template_key=key, variables={"order": "A1"})
    assert (await tenant.final(trigger, ada))["filter_code"] == "template_not_approved"
    assert meta.requests == []


async def test_one_webhook_may_speak_of_many_messages_in_any_order_and_again(
    tenant: Tenant, meta: Meta, webhook: str
) -> None:
    ada, bob = await somebody(tenant), await somebody(tenant)
    first, second = await sent(tenant, ada[0]), await sent(tenant, bob[0])
    both = list(zip(meta.requests, meta.wamids, strict=True))
    body = body_of(
        statuses(*(status(*one, state) for one in both for state in ("read", "delivered", "sent"))),
        change("account_update", event="VERIFIED_ACCOUNT"),
        statuses(*(status(*one, "delivered") for one in both)),
    )
    for _ in range(2):
        assert await call(tenant, webhook, body) == 200
    await settled(tenant)
    for trigger in (first, second):
        analytics = await tenant.analytics(trigger)
        assert (analytics["sent"], analytics["delivered"], analytics["read"]) == (1, 1, 1)


async def test_a_wrong_signature_is_refused_and_moves_nothing(tenant: Tenant, meta: Meta, webhook: str) -> None:
    ada, _ = await somebody(tenant)
    trigger = await sent(tenant, ada)
    (request,), (wamid,) = meta.requests, meta.wamids
    body = body_of(statuses(status(request, wamid, "read")))
    assert await call(tenant, webhook, body, secret="guessed") == 403
    of_another = hmac.new(APP_SECRET.encode(), body + b" ", hashlib.sha256).hexdigest()
    for headers in ({}, {"X-Hub-Signature-256": ""}, {"X-Hub-Signature-256": f"sha256={of_another}"}):
        async with tenant.public.post(webhook, data=body, headers=headers) as answer:
            assert answer.status == 403
    assert await call(tenant, webhook, body_of(statuses(status(request, wamid, "delivered")))) == 200
    await settled(tenant)
    assert (await tenant.job(trigger, ada))["message_status"] == "delivered"


async def test_a_message_that_whatsapp_cannot_bring_is_failed_at_once_or_later(
    tenant: Tenant, meta: Meta, webhook: str
) -> None:
    ada, _ = await somebody(tenant)
    trigger = await sent(tenant, ada)
    (request,), (wamid,) = meta.requests, meta.wamids
    error = {
        "code": 131026, "title": "Message undeliverable", "message": "Message undeliverable",
        "error_data": {"details": "Message Undeliverable."}, "href": "https://developers.facebook.com/docs/",
    }  # fmt: skip
    assert await call(tenant, webhook, body_of(statuses(status(request, wamid, "failed", errors=[error])))) == 200
    analytics = await tenant.analytics(trigger, failed=1)
    assert (analytics["sent"], analytics["delivered"], analytics["awaiting_receipt"]) == (1, 0, 0)
    job = await tenant.job(trigger, ada)
    assert (job["status"], job["message_status"], job["message_code"]) == ("sent", "undelivered", "131026")

    meta.refuses(400, 131026)
    again = await tenant.send(
        "whatsapp", ada, "transactional", template_key=await template(tenant), variables={"order": "A2"}
    )
    job = await tenant.final(again, ada)
    assert (job["status"], job["failure_code"]) == ("failed", "recipient_rejected")
    assert "131026" in job["failure_reason"]
    # Somebody without WhatsApp may have it tomorrow.
    assert await tenant.suppressed("whatsapp") == {}


@pytest.mark.parametrize("quotes", [True, False])
async def test_an_answer_belongs_to_the_message_that_it_answers(
    tenant: Tenant, meta: Meta, webhook: str, quotes: bool
) -> None:
    ada, phone = await somebody(tenant)
    trigger = await sent(tenant, ada)
    context = meta.wamids[0] if quotes else None
    assert await call(tenant, webhook, body_of(written(phone, "Thank you!", context))) == 200
    await tenant.analytics(trigger, replied=1)
    assert (await tenant.job(trigger, ada))["engagements"] == ["replied"]


async def test_one_who_stops_marketing_is_left_alone_until_they_resume(
    tenant: Tenant, meta: Meta, webhook: str
) -> None:
    ada, phone = await somebody(tenant)
    trigger = await sent(tenant, ada, "marketing")
    assert await call(tenant, webhook, body_of(written(phone, "STOP"))) == 200
    await tenant.job(trigger, ada, lambda job: job["engagements"] == ["unsubscribed"])
    assert await tenant.suppressed("whatsapp") == {f"+{phone}": "stop"}

    def preference(value: str) -> bytes:
        wish = {
            "wa_id": phone, "detail": f"User requested to {value} marketing messages", "category": "marketing_messages",
            "value": value, "timestamp": str(int(time.time())),
        }  # fmt: skip
        return body_of(change("user_preferences", user_preferences=[wish]))

    assert await call(tenant, webhook, preference("resume")) == 200
    await settled(tenant)
    assert await tenant.suppressed("whatsapp") == {}
    assert await call(tenant, webhook, preference("stop")) == 200
    await settled(tenant)
    again = await tenant.send(
        "whatsapp", ada, "marketing", template_key=await template(tenant), variables={"order": "A2"}
    )
    assert (await tenant.final(again, ada))["filter_code"] == "suppressed_stop"


async def test_a_stop_counts_where_whatsapp_writes_the_number_otherwise_than_it_is_dialled(
    tenant: Tenant, meta: Meta, webhook: str
) -> None:
    dialled, known = "5531998765432", "553198765432"
    meta.wa_ids[dialled] = known
    ada = await tenant.contact(phone_number=f"+{dialled}")
    trigger = await sent(tenant, ada, "marketing")
    assert await call(tenant, webhook, body_of(written(known, "Stop"))) == 200
    await tenant.job(trigger, ada, lambda job: job["engagements"] == ["unsubscribed"])
    assert await tenant.suppressed("whatsapp") == {f"+{dialled}": "stop"}


async def test_a_rate_limit_of_the_number_is_waited_out_and_burns_no_attempt(
    tenant: Tenant, meta: Meta, webhook: str
) -> None:
    ada, _ = await somebody(tenant)
    meta.refuses(429, 130429)
    trigger = await sent(tenant, ada)
    job = await tenant.job(trigger, ada)
    assert job["attempts"] == 1
    assert [event["code"] for event in job["timeline"] if event["event"] == "held"] == ["rate"]
    assert meta.times[1] - meta.times[0] >= 2
