"""Twilio: what its codes mean, and what goes over the wire, judged by Twilio's own OpenAPI document and its SDK."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlencode
from uuid import UUID

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from twilio.request_validator import RequestValidator

from channel_sms.providers.twilio import TwilioProvider, outcome_of
from sluice_catalog.models import ProviderAccount
from sluice_channel.http_calls import Answer
from sluice_channel.provider import (
    Accepted,
    Ambiguous,
    CallbackRequest,
    OutboundMessage,
    RejectAccount,
    RejectMessage,
    RejectRecipient,
    Retry,
    SmsMessage,
)
from sluice_channel.signatures import SignedRequest, verify
from sluice_contracts.vocabulary import Channel, Engagement, MessageState, SuppressionReason
from sluice_local.processes import free_port

SID = "AC" + "0" * 32
REFERENCE = "a" * 48
ACCOUNT = UUID(int=7)


def provider_at(base_url: str) -> TwilioProvider:
    config = {"account_sid": SID, "from": "+15005550006", "base_url": base_url}
    secrets = {"auth_token": "secret"}
    account = ProviderAccount(ACCOUNT, UUID(int=1), Channel.SMS, "twilio", "twilio", config, secrets)
    return TwilioProvider(account, callback_url="https://sluice.test/", allow_private=True)


def message(text: str = "Hello") -> OutboundMessage:
    return OutboundMessage(REFERENCE, "job", "trigger", "+14155550123", SmsMessage(text, "GSM-7", 1))


def refusal(code: int, status: int = 400, **headers: str) -> Answer:
    return Answer(status, headers, {"code": code, "message": "no", "status": status})


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (20003, RejectAccount), (21408, RejectAccount), (21606, RejectAccount),
        (21211, RejectRecipient), (21614, RejectRecipient), (21610, RejectRecipient), (21635, RejectRecipient),
        (21617, RejectMessage), (30007, RejectMessage), (99999, RejectMessage),
        (20429, Retry), (21611, Retry), (30022, Retry),
    ],
)  # fmt: skip
def test_a_code_means_what_twilio_says(code: int, kind: type) -> None:
    assert isinstance(outcome_of(refusal(code)), kind)


def test_a_number_that_is_none_is_suppressed_and_a_stop_is_kept_apart() -> None:
    invalid, stopped = outcome_of(refusal(21211)), outcome_of(refusal(21610))
    assert isinstance(invalid, RejectRecipient)
    assert isinstance(stopped, RejectRecipient)
    assert (invalid.suppress, stopped.suppress) == (SuppressionReason.HARD_BOUNCE, SuppressionReason.STOP)


def test_a_rate_limit_waits_as_long_as_it_is_told_and_burns_no_attempt() -> None:
    outcome = outcome_of(refusal(20429, 429, **{"Retry-After": "7"}))
    assert outcome == Retry("20429", "no", 7.0, "account", burns_attempt=False)


def test_a_server_error_is_retried_and_a_success_without_a_sid_is_in_doubt() -> None:
    assert isinstance(outcome_of(Answer(503, {}, {})), Retry)
    assert isinstance(outcome_of(Answer(201, {}, {})), Ambiguous)


async def test_a_connection_that_was_never_made_is_retried() -> None:
    port = free_port()
    provider = provider_at(f"http://127.0.0.1:{port}")
    (outcome,) = await provider.send([message()])
    await provider.close()
    assert isinstance(outcome, Retry)
    assert outcome.scope == "connection"


async def test_a_connection_that_breaks_after_the_request_was_written_is_in_doubt() -> None:
    async def hang_up(request: web.Request) -> web.Response:
        await request.read()
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    application = web.Application()
    application.router.add_post("/{path:.*}", hang_up)
    async with TestServer(application) as server:
        provider = provider_at(str(server.make_url("")))
        (outcome,) = await provider.send([message()])
        await provider.close()
    assert isinstance(outcome, Ambiguous)


@pytest.mark.parametrize(
    ("status", "code", "state"),
    [
        ("queued", "", MessageState.ACCEPTED), ("sent", "", MessageState.SENT),
        ("delivered", "", MessageState.DELIVERED),
        ("undelivered", "30005", MessageState.UNDELIVERED), ("failed", "30036", MessageState.EXPIRED),
    ],
)  # fmt: skip
def test_a_status_callback_names_its_job_and_its_state(status: str, code: str, state: MessageState) -> None:
    body = urlencode({"MessageSid": "SM1", "MessageStatus": status, "ErrorCode": code}).encode()
    request = CallbackRequest({"ref": REFERENCE}, {}, "application/x-www-form-urlencoded", body)
    (receipt,) = provider_at("https://api.test").parse_receipt(request)
    assert (receipt.reference, receipt.provider_id, receipt.message) == (REFERENCE, "SM1", state)
    assert receipt.suppress is (SuppressionReason.HARD_BOUNCE if code == "30005" else None)


@pytest.mark.parametrize(
    ("text", "suppress", "resubscribe"),
    [
        ("STOP", SuppressionReason.STOP, False), (" stop ", SuppressionReason.STOP, False),
        ("Stop all", SuppressionReason.STOP, False),
        ("please stop", None, False), ("START", None, True), ("hello", None, False),
    ],
)  # fmt: skip
def test_exactly_one_keyword_stops_or_starts(text: str, suppress: SuppressionReason | None, resubscribe: bool) -> None:
    body = urlencode({"MessageSid": "SM1", "From": "+14155550123", "To": "+15005550006", "Body": text}).encode()
    (receipt,) = provider_at("https://api.test").parse_receipt(CallbackRequest({}, {}, "", body))
    assert (receipt.suppress, receipt.resubscribe, receipt.address) == (suppress, resubscribe, "+14155550123")
    assert receipt.engagement is (Engagement.UNSUBSCRIBED if suppress else Engagement.REPLIED)


def test_a_callback_that_is_neither_is_refused() -> None:
    with pytest.raises(ValueError, match="neither"):
        provider_at("https://api.test").parse_receipt(CallbackRequest({}, {}, "", b"a=b"))


def test_the_official_validator_and_ours_agree_on_a_signature() -> None:
    url = f"https://sluice.test/callbacks/sms/{ACCOUNT}?ref={REFERENCE}"
    form = {"MessageSid": "SM1", "MessageStatus": "delivered", "To": "+14155550123"}
    signature = RequestValidator("secret").compute_signature(url, form)
    headers = {"x-twilio-signature": signature, "content-type": "application/x-www-form-urlencoded"}
    request = SignedRequest("POST", url, headers, urlencode(form).encode())
    assert verify("twilio", request, {"auth_token": "secret"})
    assert not verify("twilio", request, {"auth_token": "other"})


def _prism() -> tuple[str, Path]:
    """Find Prism and Twilio's document where npm put them, in the folder that `SLUICE_NODE_MODULES` names."""
    modules = Path(os.environ.get("SLUICE_NODE_MODULES", "node_modules"))
    program = shutil.which("prism", path=str(modules / ".bin"))
    document = modules / "@twilio/cli-core/src/services/twilio-api/twilio_api_v2010.json"
    if program and document.is_file():
        return program, document
    wanted = "npm's @stoplight/prism-cli and @twilio/cli-core are missing; SLUICE_NODE_MODULES names where they are"
    if os.environ.get("CI") == "true":
        pytest.fail(wanted)
    pytest.skip(wanted)


@pytest.fixture
async def twilio_mock() -> AsyncIterator[str]:
    program, document = _prism()
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        program,
        "mock",
        str(document),
        "-p",
        str(port),
        "-h",
        "127.0.0.1",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(180), aiohttp.ClientSession() as client:
            while True:
                try:
                    await client.get(f"http://127.0.0.1:{port}/")
                    break
                except aiohttp.ClientError:
                    await asyncio.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


async def test_what_we_send_satisfies_twilios_own_openapi_document(twilio_mock: str) -> None:
    provider = provider_at(twilio_mock)
    (outcome,) = await provider.send([message("Grüße & 100 %")])
    await provider.close()
    assert isinstance(outcome, Accepted)
    assert outcome.provider_id is not None
    assert outcome.provider_id.startswith(("SM", "MM"))
