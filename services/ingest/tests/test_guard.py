"""Idempotency keys and rate limits, as a caller meets them."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from sluice_runtime.http.guard.answers import Answer

SMS = "/api/v1/messages/sms/send"
ALIAS = "/api/v1/sms/send"
BODY = {"recipient_type": "direct_sms", "direct_sms": "+14155550100", "text": "Hello"}
WORKSPACE = UUID(int=1)


async def test_the_first_answer_is_given_again(service: Any) -> None:
    first = await service.post(SMS, BODY, Idempotency_Key="a")
    again = await service.post(SMS, BODY, Idempotency_Key="a")
    assert first[0] == again[0] == 200
    assert first[1] == again[1]
    assert "Idempotency-Replay" not in first[2]
    assert again[2]["Idempotency-Replay"] == "true"
    assert again[2]["Content-Type"] == first[2]["Content-Type"]
    assert len(service.publisher.batches) == 1


async def test_an_alias_of_a_door_is_the_same_request(service: Any) -> None:
    first = await service.post(SMS, BODY, Idempotency_Key="a")
    assert (await service.post(ALIAS, BODY, Idempotency_Key="a"))[1] == first[1]


async def test_a_key_used_for_another_body_or_door_is_refused(service: Any) -> None:
    await service.post(SMS, BODY, Idempotency_Key="a")
    status, problem, _ = await service.post(SMS, {**BODY, "text": "Bye"}, Idempotency_Key="a")
    assert status == 422
    assert problem["detail"] == 'Request with key "a" is being reused for a different body'
    trigger = {"workflow_name": "Welcome Series", "recipient_type": "all"}
    assert (await service.post("/api/v1/workflows/trigger", trigger, Idempotency_Key="a"))[0] == 422
    assert len(service.publisher.batches) == 1


async def test_another_workspaces_key_is_another_key(service: Any) -> None:
    first = await service.post(SMS, BODY, Idempotency_Key="a")
    second = await service.post(SMS, {**BODY, "text": "Bye"}, key="sk_live_stranger", Idempotency_Key="a")
    assert second[0] == 200
    assert first[1]["trigger_id"] != second[1]["trigger_id"]


async def test_a_request_that_is_still_running_is_a_conflict(serve: Any) -> None:
    async with serve(publish_seconds=5) as service:
        service.publisher.gate.clear()
        first = asyncio.create_task(service.post(SMS, BODY, Idempotency_Key="a"))
        await service.publisher.has_waiting(1)
        status, _, headers = await service.post(SMS, BODY, Idempotency_Key="a")
        assert (status, headers["Retry-After"]) == (409, "1")
        service.publisher.gate.set()
        assert (await first)[0] == 200
        assert (await service.post(SMS, BODY, Idempotency_Key="a"))[2]["Idempotency-Replay"] == "true"


async def test_a_request_that_took_no_effect_can_be_repeated(service: Any) -> None:
    service.publisher.away = True
    assert (await service.post(SMS, BODY, Idempotency_Key="a"))[0] == 503
    service.publisher.away = False
    status, body, headers = await service.post(SMS, BODY, Idempotency_Key="a")
    assert status == 200
    assert "Idempotency-Replay" not in headers
    assert service.publisher.triggers()[0].trigger_id == UUID(body["trigger_id"])


async def test_a_refusal_is_an_answer_and_is_given_again(service: Any) -> None:
    body = {"recipient_type": "contact", "contact_external_id": "a", "template_key": "later"}
    refused = await service.post(SMS, body, Idempotency_Key="a")
    assert refused[0] == 422
    service.definitions.templates[WORKSPACE, "later"] = service.definitions.templates[WORKSPACE, "otp_us"]
    again = await service.post(SMS, body, Idempotency_Key="a")
    assert again[:2] == refused[:2]
    assert again[2]["Idempotency-Replay"] == "true"
    assert again[2]["Content-Type"] == "application/problem+json"
    assert (await service.post(SMS, body, Idempotency_Key="b"))[0] == 200


async def test_an_answer_is_forgotten_after_a_day_and_its_trigger_is_still_the_same(service: Any) -> None:
    first = await service.post(SMS, BODY, Idempotency_Key="a")
    service.clock.advance(timedelta(hours=24))
    service.answers.kept.clear()
    again = await service.post(SMS, BODY, Idempotency_Key="a")
    assert "Idempotency-Replay" not in again[2]
    assert again[1] == first[1]


async def test_an_answer_that_another_copy_gave_is_given_again(serve: Any) -> None:
    async with serve() as one, serve() as other:
        first = await one.post(SMS, BODY, Idempotency_Key="a")
        other.answers.kept.update(one.answers.kept)
        again = await other.post(SMS, BODY, Idempotency_Key="a")
        assert again[1] == first[1]
        assert again[2]["Idempotency-Replay"] == "true"
        assert other.publisher.batches == []
        assert (await other.post(SMS, {**BODY, "text": "Bye"}, Idempotency_Key="a"))[0] == 422


async def test_a_request_without_a_key_asks_no_store(service: Any) -> None:
    await service.post(SMS, BODY)
    assert service.answers.asked == 0
    assert service.answers.kept == {}


@pytest.mark.parametrize("key", ["k" * 256, "", "ключ"])
async def test_a_key_that_no_header_should_hold_is_refused(service: Any, key: str) -> None:
    assert (await service.post(SMS, BODY, Idempotency_Key=key))[0] == 400
    assert (await service.post(SMS, BODY, Idempotency_Key="k" * 255))[0] == 200


async def test_every_answer_says_what_is_left_of_the_rate(serve: Any) -> None:
    async with serve(rate_limit_per_second=0.001, rate_limit_burst=1000) as service:
        _, _, headers = await service.post(SMS, BODY)
        assert (headers["RateLimit-Limit"], headers["RateLimit-Remaining"]) == ("1000", "999")
        assert int(headers["RateLimit-Reset"]) in range(990, 1001)
        _, _, headers = await service.post(SMS, {"surprise": 1})
        assert headers["RateLimit-Remaining"] == "998"
        _, _, headers = await service.post(SMS, BODY, key=None)
        assert headers["RateLimit-Remaining"] == "1000"
        _, _, headers = await service.post(SMS, BODY, key="sk_live_stranger")
        assert headers["RateLimit-Remaining"] == "999"


async def test_a_bulk_call_costs_what_it_holds_and_a_spent_rate_is_a_429(serve: Any) -> None:
    async with serve(rate_limit_per_second=0.01, rate_limit_burst=1000) as service:
        items = [{**BODY, "channel": "sms"}] * 999
        status, _, headers = await service.post("/api/v1/messages/bulk", {"messages": items})
        assert (status, headers["RateLimit-Remaining"]) == (200, "1")
        assert (await service.post(SMS, BODY))[0] == 200
        status, problem, headers = await service.post(SMS, BODY)
        assert (status, problem["status"]) == (429, 429)
        assert int(headers["Retry-After"]) in range(1, 101)
        assert headers["Content-Type"] == "application/problem+json"
        assert (await service.post(SMS, BODY, key="sk_live_stranger"))[0] == 200
        assert len(service.publisher.batches) == 3


async def test_a_kept_answer_of_any_status_and_header_is_given_as_it_was(service: Any) -> None:
    first = await service.post(SMS, BODY, Idempotency_Key="a")
    place, answer = next(iter(service.answers.kept.items()))
    assert isinstance(answer, Answer)
    assert place == (WORKSPACE, "a")
    assert answer.status == first[0]
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.at == service.clock.now()
