"""Meta's Cloud API: what its codes mean, what goes over the wire, and webhooks that pywa reads as we do."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pywa import WhatsApp
from pywa.handlers import MessageStatusHandler
from pywa.utils import webhook_updates_validator

from channel_whatsapp.providers.meta import MetaProvider, outcome_of, refusal
from sluice_catalog.models import ProviderAccount
from sluice_channel.http_calls import Answer
from sluice_channel.provider import (
    Accepted,
    CallbackRequest,
    OutboundMessage,
    RejectAccount,
    RejectMessage,
    RejectRecipient,
    Retry,
    WhatsAppMessage,
)
from sluice_channel.signatures import SignedRequest, meta_signature, verify
from sluice_contracts.vocabulary import Channel, Engagement, MessageState, SuppressionReason

REFERENCE = "a" * 48
SECRET = "app secret"


def provider_at(base_url: str, *, allow_private: bool = True) -> MetaProvider:
    config = {"phone_number_id": "106540352242922", "base_url": base_url}
    account = ProviderAccount(
        UUID(int=7), UUID(int=1), Channel.WHATSAPP, "meta", "meta", config, {"access_token": "token"}
    )
    return MetaProvider(account, allow_private=allow_private)


def outbound(content: WhatsAppMessage) -> OutboundMessage:
    return OutboundMessage(REFERENCE, "job", "trigger", "+16505551234", content)


def webhook(**value: Any) -> bytes:
    metadata = {"display_phone_number": "15550783881", "phone_number_id": "106540352242922"}
    change = {"field": "messages", "value": {"messaging_product": "whatsapp", "metadata": metadata, **value}}
    entry = {"id": "102290129340398", "changes": [change]}
    return orjson.dumps({"object": "whatsapp_business_account", "entry": [entry]})


def status_webhook(status: str, **more: Any) -> bytes:
    contact = {"profile": {"name": "Ann"}, "wa_id": "16505551234", "user_id": "US.13491208655302741918"}
    facts = {
        "id": "wamid.X",
        "status": status,
        "timestamp": "1750263773",
        "recipient_id": "16505551234",
        "biz_opaque_callback_data": REFERENCE,
    }
    return webhook(contacts=[contact], statuses=[facts | more])


def inbound_webhook(text: str) -> bytes:
    contact = {"profile": {"name": "Ann"}, "wa_id": "16505551234", "user_id": "US.13491208655302741918"}
    message = {
        "from": "16505551234",
        "id": "wamid.Y",
        "timestamp": "1750263773",
        "type": "text",
        "text": {"body": text},
        "context": {"from": "15550783881", "id": "wamid.X"},
    }
    return webhook(contacts=[contact], messages=[message])


def receipts(body: bytes) -> Any:
    return provider_at("https://graph.test").parse_receipt(CallbackRequest({}, {}, "application/json", body))


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (131000, Retry), (130429, Retry), (131056, Retry), (80007, Retry), (131048, Retry),
        (131026, RejectRecipient), (131050, RejectRecipient), (131049, RejectRecipient),
        (132000, RejectMessage), (131009, RejectMessage), (131047, RejectMessage),
        (190, RejectAccount), (131042, RejectAccount), (200, RejectAccount),
    ],
)  # fmt: skip
def test_a_code_means_what_meta_says(code: int, kind: type) -> None:
    answer = Answer(400, {}, {"error": {"code": code, "message": "no", "error_data": {"details": "why"}}})
    outcome = outcome_of(answer)
    assert isinstance(outcome, kind)
    assert outcome.detail == "why"


def test_a_transient_error_of_an_unknown_code_is_retried() -> None:
    assert isinstance(refusal(424242, "", transient=True), Retry)


def test_an_acceptance_keeps_the_message_id() -> None:
    assert outcome_of(Answer(200, {}, {"messages": [{"id": "wamid.X"}]})) == Accepted("wamid.X")
    dialled = {"messages": [{"id": "wamid.X"}], "contacts": [{"input": "5531998765432", "wa_id": "553198765432"}]}
    assert outcome_of(Answer(200, {}, dialled)) == Accepted("wamid.X", answers_from="+553198765432")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (WhatsAppMessage("Code", template_name="otp", language="en_US", components=[{"type": "body"}]), "template"),
        (WhatsAppMessage("Hello", text="Hello"), "text"),
    ],
)  # fmt: skip
async def test_a_send_carries_our_reference_and_the_token(content: WhatsAppMessage, kind: str) -> None:
    seen: list[tuple[str, str, dict[str, Any]]] = []

    async def take(request: web.Request) -> web.Response:
        seen.append((request.path, request.headers["Authorization"], await request.json()))
        return web.json_response({"messages": [{"id": "wamid.X"}]})

    application = web.Application()
    application.router.add_post("/{path:.*}", take)
    async with TestServer(application) as server:
        provider = provider_at(str(server.make_url("")))
        (outcome,) = await provider.send([outbound(content)])
        await provider.close()
    assert outcome == Accepted("wamid.X")
    ((path, authorization, body),) = seen
    assert path == "/v26.0/106540352242922/messages"
    assert authorization == "Bearer token"
    assert (body["type"], body["to"], body["biz_opaque_callback_data"]) == (kind, "16505551234", REFERENCE)
    assert body["recipient_type"] == "individual"


@pytest.mark.parametrize(
    ("status", "state"),
    [("sent", MessageState.SENT), ("delivered", MessageState.DELIVERED), ("read", MessageState.READ)],
)
def test_a_status_webhook_names_its_job_and_its_state(status: str, state: MessageState) -> None:
    (receipt,) = receipts(status_webhook(status))
    assert (receipt.reference, receipt.provider_id, receipt.message) == (REFERENCE, "wamid.X", state)
    assert receipt.at_ms == 1750263773000


def test_a_failed_status_says_why() -> None:
    error = {"code": 131026, "title": "Message undeliverable", "error_data": {"details": "no WhatsApp"}}
    (receipt,) = receipts(status_webhook("failed", errors=[error]))
    assert (receipt.message, receipt.code, receipt.detail) == (MessageState.UNDELIVERED, "131026", "no WhatsApp")


@pytest.mark.parametrize(
    ("text", "suppress"), [("hello", None), ("STOP", SuppressionReason.STOP), ("do not stop", None)]
)
def test_a_reply_is_an_engagement_and_a_stop_suppresses(text: str, suppress: SuppressionReason | None) -> None:
    (receipt,) = receipts(inbound_webhook(text))
    assert (receipt.address, receipt.suppress) == ("+16505551234", suppress)
    assert receipt.engagement is (Engagement.UNSUBSCRIBED if suppress else Engagement.REPLIED)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"entry": 1}', b"\xff"])
def test_a_webhook_that_cannot_be_read_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="webhook"):
        receipts(body)


def test_pywa_and_we_agree_on_a_webhooks_signature() -> None:
    body = status_webhook("delivered")
    signature = meta_signature(body, SECRET)
    assert webhook_updates_validator(SECRET, body, signature)
    assert not webhook_updates_validator(SECRET, body + b" ", signature)
    request = SignedRequest("POST", "https://sluice.test/", {"x-hub-signature-256": signature}, body)
    assert verify("meta", request, {"app_secret": SECRET})


def test_pywa_reads_the_same_state_in_the_same_webhook() -> None:
    seen: list[Any] = []
    client = WhatsApp(phone_id="106540352242922", token="token", server=None, validate_updates=False, verify_token="v")
    client.add_handlers(MessageStatusHandler(lambda _, update: seen.append(update)))
    client.webhook_update_handler(status_webhook("delivered"))
    (update,) = seen
    (receipt,) = receipts(status_webhook("delivered"))
    assert receipt.message is not None
    assert (update.status.value, update.tracker, update.id) == (receipt.message, REFERENCE, receipt.provider_id)


async def test_an_account_whose_address_leads_inside_is_not_called() -> None:
    application = web.Application()
    async with TestServer(application) as server:
        provider = provider_at(str(server.make_url("")), allow_private=False)
        (outcome,) = await provider.send([outbound(WhatsAppMessage("Hello", text="Hello"))])
        await provider.close()
    assert isinstance(outcome, Retry)
    assert outcome.scope == "connection"
