"""Requests that no well-behaved client can make: bytes straight onto the connection."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlencode

import pytest

from sluice_channel.signatures import twilio_signature
from sluice_contracts.vocabulary import Channel

BODY = json.dumps({"recipient_type": "direct_sms", "direct_sms": "+14155550100", "text": "Hello"}).encode()


async def exchange(service: Any, request: bytes, *, cut_off: bool = False) -> bytes:
    """Send bytes and return all that comes back; `cut_off` closes our side first."""
    reader, writer = await asyncio.open_connection(service.client.host, service.client.port)
    try:
        writer.write(request)
        await writer.drain()
        if cut_off:
            writer.write_eof()
        async with asyncio.timeout(30):
            return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


def request(headers: bytes, *, path: bytes = b"/api/v1/sms/send", body: bytes = BODY) -> bytes:
    length = str(len(body)).encode()
    head = b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
    return head + headers + b"Content-Length: " + length + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    "header",
    [
        b"X-API-Key: \xff\xfe\r\n",
        b"Authorization: Bearer \xc3\x28\r\n",
        b"Authorization: Basic \xff\r\n",
        b"Authorization: \xf0\x9f\r\n",
    ],
)
async def test_a_credential_of_arbitrary_bytes_is_no_credential(service: Any, header: bytes) -> None:
    assert (await exchange(service, request(header))).startswith(b"HTTP/1.1 401")


async def test_an_idempotency_key_of_arbitrary_bytes_is_refused(service: Any) -> None:
    answer = await exchange(service, request(b"X-API-Key: sk_live_test\r\nIdempotency-Key: \xff\xfe\r\n"))
    assert answer.startswith(b"HTTP/1.1 400")


async def test_a_request_id_of_arbitrary_bytes_is_not_repeated(service: Any) -> None:
    answer = await exchange(service, request(b"X-API-Key: sk_live_test\r\nX-Request-Id: \xff\r\n"))
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"\xff" not in answer


@pytest.mark.parametrize("path", [b"/c/\xff", b"/u/%ff%fe", b"/o/%ff.gif", b"/callbacks/%ff/%ff", b"/api/v1/%ff"])
async def test_a_path_of_arbitrary_bytes_leads_nowhere(service: Any, path: bytes) -> None:
    status = int((await exchange(service, request(b"", path=path))).split()[1])
    assert 400 <= status < 500


async def test_a_body_that_ends_too_early_is_the_callers_fault(service: Any) -> None:
    whole = request(b"X-API-Key: sk_live_test\r\n")
    answer = await exchange(service, whole[:-10], cut_off=True)
    assert answer == b"" or int(answer.split()[1]) < 500
    assert service.publisher.batches == []


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate", b"br"])
async def test_a_body_that_is_not_compressed_as_it_says_is_the_callers_fault(service: Any, encoding: bytes) -> None:
    answer = await exchange(service, request(b"X-API-Key: sk_live_test\r\nContent-Encoding: " + encoding + b"\r\n"))
    assert 400 <= int(answer.split()[1]) < 500
    assert service.publisher.batches == []


async def test_a_signed_callback_with_arbitrary_bytes_is_kept(service: Any) -> None:
    account = service.definitions.add_account(80, Channel.SMS, "twilio", auth_token="t")
    path = f"/callbacks/sms/{account.id}?ref=%ff%fe&a=%00"
    fields = {"Body": "caf\udcff"}
    signature = twilio_signature("https://api.example.com" + path, fields.items(), "t")
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Twilio-Signature: {signature}\r\n"
    body = urlencode(fields, errors="surrogateescape").encode()
    answer = await exchange(
        service,
        head.encode()
        + b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: "
        + str(len(body)).encode()
        + b"\r\n\r\n"
        + body,
    )
    assert int(answer.split()[1]) in {200, 422}
