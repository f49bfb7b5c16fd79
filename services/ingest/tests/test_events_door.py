"""The door for events: taken in with memory and the broker alone, or refused with every field that is wrong."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from sluice_contracts.messages.event import EventOccurred

PATH = "/api/v1/events"
PAID = {"event": "order.paid", "contact_external_id": "user_123", "data": {"order": {"total": 49.9}}}


def events(service: Any) -> list[EventOccurred]:
    assert all(record.topic == "events" for record in service.publisher.records)
    return [EventOccurred.decode(record.value) for record in service.publisher.records]


async def test_an_event_is_stored_under_its_contacts_key(service: Any) -> None:
    status, body, _ = await service.post(PATH, PAID)
    assert (status, body["success"]) == (200, True)
    (event,) = events(service)
    assert (event.event_id, event.name, event.external_id) == (UUID(body["event_id"]), "order.paid", "user_123")
    assert (event.data, event.occurred_at, event.profile) == ({"order": {"total": 49.9}}, event.accepted_at, None)
    assert service.publisher.records[0].key == f"{event.workspace_id}:user_123".encode()


async def test_an_event_may_bring_what_is_known_of_its_contact(service: Any) -> None:
    contact = {"phone_number": "(415) 555-0123", "email": "Ada@Example.com", "attributes": {"plan": "pro"}}
    moment = "2026-11-20T10:00:00+01:00"
    status, _, _ = await service.post(
        PATH, {"event": "cart.left", "contact": contact, "correlation_key": "c-5", "occurred_at": moment}
    )
    assert status == 200
    (event,) = events(service)
    assert event.profile is not None
    assert (event.external_id, event.profile.email) == ("+14155550123", "ada@example.com")
    assert (event.correlation_key, event.occurred_at.hour) == ("c-5", 9)


async def test_the_same_key_names_the_same_event(service: Any) -> None:
    _, first, _ = await service.post(PATH, PAID, Idempotency_Key="k1")
    service.answers.kept.clear()
    _, again, _ = await service.post(PATH, PAID, Idempotency_Key="k1")
    _, other, _ = await service.post(PATH, PAID, Idempotency_Key="k2")
    assert first["event_id"] == again["event_id"] != other["event_id"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"event": ""}, "event"),
        ({"event": "contact.created"}, "event"),
        ({"event": "a\x00b"}, None),
        ({"contact_external_id": None}, "contact_external_id"),
        ({"contact": {"external_id": "x"}}, "contact_external_id"),
        ({"contact_external_id": None, "contact": {}}, "contact"),
        ({"contact_external_id": None, "contact": {"external_id": "x", "email": "nonsense"}}, "contact.email"),
        ({"contact_external_id": None, "contact": {"external_id": "x", "colour": "red"}}, "contact.colour"),
        ({"data": []}, "data"),
        ({"data": {"n": 2**70}}, "data"),
        ({"occurred_at": "yesterday"}, "occurred_at"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_what_is_wrong_with_an_event_is_named(service: Any, change: dict[str, Any], field: str | None) -> None:
    body = {name: value for name, value in {**PAID, **change}.items() if value is not None}
    status, answer, _ = await service.post(PATH, body)
    assert status == 422
    if field is not None:
        assert [error["field"] for error in answer["errors"]] == [field]
    assert service.publisher.records == []


async def test_a_bulk_call_takes_what_is_good_and_names_what_is_not(service: Any) -> None:
    items = [PAID, {"event": "x"}, 7, {**PAID, "contact_external_id": "other"}]
    status, answer, headers = await service.post(f"{PATH}/bulk", {"events": items}, Idempotency_Key="k")
    assert (status, answer["success"], answer["accepted"], answer["failed"]) == (200, False, 2, 2)
    assert [result["success"] for result in answer["results"]] == [True, False, False, True]
    assert answer["results"][1]["errors"][0]["field"] == "contact_external_id"
    assert [str(event.event_id) for event in events(service)] == [
        answer["results"][0]["event_id"], answer["results"][3]["event_id"],
    ]  # fmt: skip
    assert int(headers["RateLimit-Limit"]) - int(headers["RateLimit-Remaining"]) >= 4


async def test_an_event_needs_a_key_that_may_send_events(service: Any) -> None:
    assert (await service.post(PATH, PAID, key=None))[0] == 401
    assert (await service.post(PATH, PAID, key="sk_live_reader"))[0] == 403


async def test_an_event_that_the_broker_cannot_take_is_503(service: Any) -> None:
    service.publisher.away = True
    status, _, headers = await service.post(PATH, PAID)
    assert (status, "Retry-After" in headers) == (503, True)
