"""No body, however wrong, gets anything but a problem document, and none of them is appended."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ingest.domain.acceptance import Circumstances, accept_send
from ingest.domain.bodies import SEND_BODIES
from ingest.domain.refusal import RefusedError
from sluice_contracts.messages.trigger import TriggerAccepted, decode_trigger
from sluice_contracts.vocabulary import Channel

DOORS = [
    "/api/v1/messages/sms/send",
    "/api/v1/messages/email/send",
    "/api/v1/messages/whatsapp/send",
    "/api/v1/workflows/trigger",
    "/api/v1/messages/bulk",
    "/api/v1/workflows/trigger/bulk",
]
GOOD = {"recipient_type": "direct_sms", "direct_sms": "+14155550100", "text": "Hello"}
SMS = DOORS[0]
ANYBODY = UUID(int=1)
NOW = datetime(2026, 11, 23, tzinfo=UTC)

HOSTILE = {
    "nothing": b"",
    "half an object": b'{"recipient_type": ',
    "a list": b"[]",
    "null": b"null",
    "no UTF-8": b'{"text": "\xff\xfe"}',
    "a raw NUL": b'{"text": "\x00"}',
    "an escaped NUL": b'{"text": "a\\u0000b"}',
    "a lone surrogate": b'{"text": "\\ud800"}',
    "a huge number": b'{"text": ' + b"9" * 5000 + b"}",
    "deep nesting": b'{"variables": ' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}",
    "deep lists": b'{"variables": {"a": ' + b"[" * 50_000 + b"]" * 50_000 + b"}}",
    "wrong types": b'{"recipient_type": {}, "text": false, "variables": 1, "messages": "x", "triggers": {}}',
    "a form": b"recipient_type=contact&text=x",
    "XML": b"<recipient/>",
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
async def test_nonsense_is_a_problem_of_the_callers(service: Any, door: str, body: bytes) -> None:
    status, problem, headers = await service.post(door, body, Content_Type="application/json")
    assert 400 <= status < 500
    assert headers["Content-Type"] == "application/problem+json"
    assert {"type", "title", "status", "detail"} <= problem.keys()
    assert service.publisher.batches == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("variables", {"a\x00b": 1}),
        ("variables", {"a": ["b", {"c": "\x00"}]}),
        ("metadata", {"n": 2**63}),
        ("contact_external_id", "a\x00"),
        ("campaign_name", "x\x7f"),
    ],
)
async def test_what_could_not_be_stored_is_refused_by_name(service: Any, field: str, value: Any) -> None:
    body = {"text": "x", "recipient_type": "contact", "contact_external_id": "a", field: value}
    status, problem, _ = await service.post(SMS, body)
    assert status == 422
    assert problem["errors"][0]["field"].split(".")[0] == field


@pytest.mark.parametrize("text", ["Infinity", "NaN", "-Infinity", "1e999"])
async def test_a_number_that_json_does_not_have_is_refused(service: Any, text: str) -> None:
    body = json.dumps({**GOOD, "variables": {"a": "HERE"}}).replace('"HERE"', text).encode()
    assert (await service.post(SMS, body))[0] == 422


async def test_nesting_is_bounded_where_a_caller_may_nest(service: Any) -> None:
    value: Any = 1
    for _ in range(31):
        value = {"a": value}
    assert (await service.post(SMS, {**GOOD, "variables": value}))[0] == 200
    status, problem, _ = await service.post(SMS, {**GOOD, "variables": {"a": {"a": value}}})
    assert (status, problem["errors"][0]["field"]) == (422, "variables")


async def test_a_body_over_the_limit_is_refused_before_it_is_read(service: Any) -> None:
    status, _, _ = await service.post(SMS, {**GOOD, "text": "x" * 600_000})
    assert status == 413


async def test_a_body_of_another_type_is_refused(service: Any) -> None:
    status, _, _ = await service.post(SMS, b"a=b", Content_Type="application/x-www-form-urlencoded")
    assert status == 415


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/", "/%00", "/callbacks", "/o/", "/api/v1/messages/sms/send/x"])
async def test_a_path_that_is_not_served_is_a_problem_document(service: Any, path: str) -> None:
    status, problem, headers = await service.post(path, {})
    assert (status, problem["status"]) == (404, 404)
    assert headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("credential", ["Bearer \udcff", "Basic !!!", "Basic /w==", "ApiKey", "\udc80"])
async def test_a_garbled_credential_is_no_credential(service: Any, credential: str) -> None:
    status, _, _ = await service.post(SMS, GOOD, key=None, Authorization=credential)
    assert status == 401


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
fields = sorted(
    {name for body in SEND_BODIES.values() for name in body.model_fields} | {"tag", "html", "triggerAt", "x"}
)
likely = st.sampled_from(
    [
        "contact",
        "contacts",
        "tag",
        "all",
        "direct_sms",
        "direct_email",
        "direct_whatsapp",
        "otp_us",
        "a@b.co",
        "marketing",
    ]
)
bodies = st.dictionaries(st.sampled_from(fields), likely | json_values, max_size=6).flatmap(
    lambda body: st.just(body) | st.sampled_from([body | GOOD, body | {"recipient_type": "all", "text": "x"}])
)


class Nothing:
    """A workspace without definitions."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(bodies, st.sampled_from(Channel))
def test_any_body_is_either_refused_or_becomes_a_trigger_that_reads_back_the_same(
    body: dict[str, Any], channel: Channel
) -> None:
    try:
        read = SEND_BODIES[channel].model_validate_json(json.dumps(body))
        accepted = accept_send(read, channel, Circumstances(ANYBODY, ANYBODY, NOW), Nothing())
    except (ValidationError, RefusedError):
        return
    again = decode_trigger(accepted.value)
    assert isinstance(again, TriggerAccepted)
    assert again.encode() == accepted.value
