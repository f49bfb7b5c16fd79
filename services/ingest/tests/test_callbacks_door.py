"""Provider callbacks are verified, kept as they came, and answered as the provider wants it."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import pytest

from sluice_channel.signatures import (
    meta_signature,
    sandbox_secret,
    sandbox_signature,
    twilio_signature,
)
from sluice_contracts.messages.receipt import CallbackReceived
from sluice_contracts.vocabulary import Channel

FIELDS = {"MessageSid": "SM1", "MessageStatus": "delivered", "To": "+14155550123"}
FORM = "application/x-www-form-urlencoded"
PUBLIC = "https://api.example.com"


def path_of(account: Any) -> str:
    return f"/callbacks/{account.channel.value}/{account.id}"


async def test_a_callback_of_twilio_is_appended_and_answered_with_empty_twiml(service: Any) -> None:
    account = service.definitions.add_account(80, Channel.SMS, "twilio", auth_token="t")
    path = path_of(account) + "?ref=abc%20d&x=1"
    body = urlencode(FIELDS).encode()
    headers = {
        "Content-Type": FORM,
        "X-Twilio-Signature": twilio_signature(PUBLIC + path, FIELDS.items(), "t"),
        "I-Twilio-Idempotency-Token": "tok",
        "X-Secret": "no",
    }
    answer = await service.client.post(path, data=body, headers=headers)
    assert (answer.status, answer.content_type) == (200, "text/xml")
    assert "<Response/>" in await answer.text()
    [record] = service.publisher.records
    assert (record.topic, record.key) == ("receipts.sms", b"abc d")
    [received] = service.publisher.receipts()
    assert received == CallbackReceived(
        channel=Channel.SMS,
        workspace_id=account.workspace_id,
        account_id=account.id,
        provider="twilio",
        received_at=service.clock.now(),
        content_type=FORM,
        query={"ref": "abc d", "x": "1"},
        headers={"i-twilio-idempotency-token": "tok"},
        body=received.body,
    )
    assert b64decode(received.body) == body


async def test_callbacks_without_a_reference_travel_under_the_providers_message_id(service: Any) -> None:
    account = service.definitions.add_account(80, Channel.SMS, "twilio", auth_token="t")
    signature = twilio_signature(PUBLIC + path_of(account), FIELDS.items(), "t")
    headers = {"Content-Type": FORM, "X-Twilio-Signature": signature}
    await service.client.post(path_of(account), data=urlencode(FIELDS).encode(), headers=headers)
    assert service.publisher.records[0].key == b"SM1"


async def test_a_callback_to_the_address_for_callbacks_is_the_same(serve: Any) -> None:
    async with serve(callback_url="https://hooks.example.com") as service:
        account = service.definitions.add_account(80, Channel.SMS, "twilio", auth_token="t")
        for base, status in (("https://hooks.example.com", 200), (PUBLIC, 200), ("https://evil.example.com", 403)):
            signature = twilio_signature(base + path_of(account), FIELDS.items(), "t")
            headers = {"Content-Type": FORM, "X-Twilio-Signature": signature}
            answer = await service.client.post(path_of(account), data=urlencode(FIELDS).encode(), headers=headers)
            assert answer.status == status


async def test_meta_registers_its_webhook_and_signs_the_raw_body(service: Any) -> None:
    account = service.definitions.add_account(81, Channel.WHATSAPP, "meta", app_secret="s", verify_token="v")
    query = "?hub.mode=subscribe&hub.challenge=1158&hub.verify_token="
    answer = await service.client.get(path_of(account) + query + "v")
    assert (answer.status, await answer.text()) == (200, "1158")
    assert (await service.client.get(path_of(account) + query + "w")).status == 403
    body = b'{"object": "whatsapp_business_account",  "entry": []}'
    headers = {"Content-Type": "application/json", "X-Hub-Signature-256": meta_signature(body, "s")}
    answer = await service.client.post(path_of(account), data=body, headers=headers)
    assert answer.status == 200
    [received] = service.publisher.receipts()
    assert b64decode(received.body) == body
    assert service.publisher.records[0].topic == "receipts.whatsapp"
    assert (await service.client.post(path_of(account), data=body + b" ", headers=headers)).status == 403


async def test_the_sandbox_signs_with_the_installations_secret(service: Any) -> None:
    account = service.definitions.add_account(82, Channel.EMAIL, "sandbox")
    body = json.dumps({"reference": "r"}).encode()
    signature = sandbox_signature(body, sandbox_secret(b"s" * 32, account.id))
    headers = {"Content-Type": "application/json", "X-Sandbox-Signature": signature}
    assert (await service.client.post(path_of(account), data=body, headers=headers)).status == 200
    other = service.definitions.add_account(83, Channel.EMAIL, "sandbox")
    assert (await service.client.post(path_of(other), data=body, headers=headers)).status == 403


async def test_a_bounce_comes_with_the_accounts_token_which_is_not_kept(service: Any) -> None:
    account = service.definitions.add_account(84, Channel.EMAIL, "smtp", callback_token="tok")
    headers = {"Content-Type": "message/rfc822"}
    path = path_of(account)
    answer = await service.client.post(f"{path}?token=tok&ref=r", data=b"From: <>\r\n\r\n\xff", headers=headers)
    assert answer.status == 200
    [received] = service.publisher.receipts()
    assert received.query == {"ref": "r"}
    assert b64decode(received.body) == b"From: <>\r\n\r\n\xff"
    assert (await service.client.post(f"{path}?token=no", data=b"", headers=headers)).status == 403
    assert (await service.client.post(path, data=b"", headers=headers)).status == 403


@pytest.mark.parametrize(
    "path", [f"/callbacks/sms/{UUID(int=99)}", "/callbacks/sms/me", f"/callbacks/fax/{UUID(int=80)}", "/callbacks/sms/"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_account_that_is_not_there_is_a_404(service: Any, path: str, method: str) -> None:
    service.definitions.add_account(80, Channel.SMS, "twilio", auth_token="t")
    answer = await service.client.request(method, path, data=b"{}" if method == "POST" else None)
    assert (answer.status, answer.content_type) == (404, "application/problem+json")


async def test_a_forged_or_oversized_callback_is_refused_and_not_kept(service: Any) -> None:
    account = service.definitions.add_account(80, Channel.SMS, "twilio", auth_token="t")
    assert (await service.client.post(path_of(account), data=b"a=b")).status == 403
    assert (await service.client.get(path_of(account))).status == 403
    answer = await service.client.post(path_of(account), data=b"x" * (512 * 1024 + 1))
    assert (answer.status, answer.content_type) == (413, "application/problem+json")
    assert service.publisher.batches == []


async def test_a_provider_tries_again_while_the_broker_is_away(service: Any) -> None:
    account = service.definitions.add_account(81, Channel.WHATSAPP, "meta", app_secret="s")
    service.publisher.away = True
    headers = {"X-Hub-Signature-256": meta_signature(b"{}", "s")}
    assert (await service.client.post(path_of(account), data=b"{}", headers=headers)).status == 503
