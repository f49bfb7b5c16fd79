"""The doors of streams over memory alone: who may call, what becomes of an event, and what is refused and counted."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import pytest

from ingest.doors.streams.activity import MOST_ADDRESSES, StreamActivity
from ingest.doors.streams.samples import CONTACT, TOKEN, fields_of, nested, samples
from ingest.doors.streams.writing import ActivityWriter
from sluice_catalog.api_keys import digest
from sluice_catalog.stream_counts import RefusalKey, StreamCounts, StreamDay, Tally
from sluice_catalog.streams import Rate, Stream, StreamEvent, StreamToken, StreamType
from sluice_contracts.messages.content import InlineSms, TemplateContent
from sluice_contracts.messages.profile import ContactProfile
from sluice_contracts.messages.trigger import AddressRecipients, ContactRecipients, DirectSend, WorkflowStart
from sluice_contracts.vocabulary import Category, Channel, Lane
from sluice_runtime.clock import ManualClock

WORKSPACE = UUID(int=1)
STRANGER = UUID(int=2)
ACTIVE = UUID(int=70)
KEY = "sk_live_test"
NOW = datetime(2026, 11, 23, 2, 25, 28, 90_000, tzinfo=UTC)

DOCUMENTED = {
    "contact": {"phone_number": "+14155550123", "name": "Ada L", "email": "Ada@example.com"},
    "property1": "one",
    "property2": "two",
}


def events(stream: Stream) -> str:
    return f"/api/v1/streams/{stream.key}/events"


def token_of(stream: Stream) -> dict[str, str]:
    return {"Authorization": f"st_live_{stream.key.removeprefix('strm_')}"}


async def fire(service: Any, stream: Stream, body: Any = DOCUMENTED, **headers: str) -> tuple[int, Any, Any]:
    """Fire an event with the stream's own token."""
    return await service.post(events(stream), body, key=None, **token_of(stream) | headers)


async def send(service: Any, stream: Stream, *messages: Any, **headers: str) -> tuple[int, Any, Any]:
    """Send messages with the stream's own token."""
    return await service.post("/event_send/", {"messages": list(messages)}, key=None, **token_of(stream) | headers)


def refusals(service: Any) -> dict[str, int]:
    """Return what was refused, by reason."""
    return {key.reason: tally.number for key, tally in service.activity.take().refused.items()}


async def test_a_documented_event_becomes_a_trigger_of_its_contact(service: Any) -> None:
    stream = service.definitions.add_stream(1)
    status, body, _ = await fire(service, stream)
    (trigger,) = service.publisher.triggers()
    assert (status, body["status"], body["trigger_id"]) == (200, "success", str(trigger.trigger_id))
    assert body["job_id"].endswith("-0")
    assert trigger.profiles == [
        ContactProfile(
            external_id="+14155550123",
            phone_number="+14155550123",
            name="Ada L",
            email="ada@example.com",
            known_by_address=True,
        )
    ]
    assert trigger.recipients == ContactRecipients(external_ids=["+14155550123"])
    assert trigger.variables == {"property1": "one", "property2": "two"}
    assert (trigger.stream_id, trigger.trigger_source, trigger.campaign_name) == (stream.id, "stream", "Stream 1")
    assert isinstance(trigger.plan, DirectSend)
    assert isinstance(trigger.plan.content, TemplateContent)
    assert trigger.plan.content.key == "sale"
    assert (trigger.category, trigger.lane, trigger.expires_at) == (Category.TRANSACTIONAL, Lane.PRIORITY, None)


async def test_a_stream_runs_its_workflow_at_the_version_that_is_active(service: Any) -> None:
    stream = service.definitions.add_stream(1, workflow_id=ACTIVE, template_key=None)
    status, body, _ = await fire(service, stream)
    (trigger,) = service.publisher.triggers()
    assert (status, "job_id" in body) == (200, False)
    assert trigger.plan == WorkflowStart(workflow_id=ACTIVE, version=2, name="Welcome Series")


@pytest.mark.parametrize(
    ("kind", "category", "lane"),
    [
        ("marketing", Category.MARKETING, Lane.BULK),
        ("transactional", Category.TRANSACTIONAL, Lane.PRIORITY),
        ("otp", Category.AUTHENTICATION, Lane.PRIORITY),
        ("two_way", Category.UTILITY, Lane.BULK),
        ("whatsapp", Category.UTILITY, Lane.BULK),
    ],
)
async def test_the_type_decides_category_and_lane(service: Any, kind: str, category: Category, lane: Lane) -> None:
    await fire(service, service.definitions.add_stream(1, type=kind))
    (trigger,) = service.publisher.triggers()
    assert (trigger.category, trigger.lane) == (category, lane)


async def test_a_one_time_password_expires(service: Any) -> None:
    stream = service.definitions.add_stream(1, type="otp", expires_after=timedelta(minutes=5))
    await fire(service, stream)
    (trigger,) = service.publisher.triggers()
    assert trigger.expires_at == NOW + timedelta(minutes=5)


@pytest.mark.parametrize("header", ["Authorization", "Bearer", "ApiKey", "X-API-Key"])
async def test_a_token_may_stand_wherever_a_key_may(service: Any, header: str) -> None:
    stream = service.definitions.add_stream(1)
    sent = {"X_API_Key": "st_live_1"} if header == "X-API-Key" else {"Authorization": f"{header} st_live_1"}
    if header == "Authorization":
        sent = {"Authorization": "st_live_1"}
    assert (await service.post(events(stream), DOCUMENTED, key=None, **sent))[0] == 200


async def test_a_key_of_the_workspace_opens_its_streams_by_id_and_by_key(service: Any) -> None:
    stream = service.definitions.add_stream(1)
    for reference in (stream.key, str(stream.id)):
        assert (await service.post(f"/api/v1/streams/{reference}/events", DOCUMENTED))[0] == 200
    assert (await service.post(events(stream), DOCUMENTED, key="sk_live_reader"))[0] == 403
    assert (await service.post(events(stream), DOCUMENTED, key="sk_live_stranger"))[0] == 404
    assert (await service.post("/api/v1/streams/strm_1234abcd/events", DOCUMENTED))[0] == 404
    assert len(service.publisher.triggers()) == 2


async def test_a_token_opens_no_other_stream_and_nothing_else(service: Any) -> None:
    service.definitions.add_stream(1)
    sibling = service.definitions.add_stream(2)
    stranger = service.definitions.add_stream(3, workspace_id=STRANGER)
    token = {"Authorization": "st_live_1"}
    for stream in (sibling, stranger):
        status, body, _ = await service.post(events(stream), DOCUMENTED, key=None, **token)
        assert (status, body["detail"]) == (404, "There is no such stream.")
    direct = {"recipient_type": "direct_sms", "direct_sms": "+14155550123", "text": "Hello"}
    for path, body in (
        ("/api/v1/sms/send", direct),
        ("/api/v1/messages/bulk", {"messages": []}),
        ("/api/v1/workflows/trigger", {}),
        (f"/api/v1/streams/{sibling.key}/test", {}),
        ("/api/v1/streams/strm_1/test", {}),
    ):
        assert (await service.post(path, body, key=None, **token))[0] == 401, path
    assert not service.publisher.records


@pytest.mark.parametrize("token", ["st_live_nobody", "st_live_", "", "Bearer", "st_live_1 st_live_1", "sk_live_nobody"])
async def test_no_other_text_is_a_token(service: Any, token: str) -> None:
    stream = service.definitions.add_stream(1)
    for path, body in ((events(stream), DOCUMENTED), ("/event_send/", {"messages": [{}]})):
        assert (await service.post(path, body, key=None, Authorization=token))[0] == 401
    # A key of the workspace does not say which stream it means.
    assert (await service.post("/event_send/", {"messages": [{}]}))[0] == 401


async def test_an_old_token_works_until_its_overlap_is_over(service: Any) -> None:
    stream = service.definitions.add_stream(1)
    new = digest("st_live_new")
    old = service.definitions.tokens[digest("st_live_1")]
    service.definitions.tokens |= {
        old.secret_sha256: replace(old, expires_at=NOW + timedelta(hours=1)),
        new: StreamToken(UUID(int=5), stream.id, WORKSPACE, new),
    }
    assert (await fire(service, stream))[0] == 200
    assert (await fire(service, stream, Authorization="st_live_new"))[0] == 200
    service.clock.advance(timedelta(hours=1))
    assert (await fire(service, stream))[0] == 401
    assert (await fire(service, stream, Authorization="st_live_new"))[0] == 200


@pytest.mark.parametrize(
    ("forwarded", "status"),
    [
        ("203.0.113.9", 200),
        ("198.51.100.1", 403),
        ("203.0.113.9, 198.51.100.1", 403),
        ("203.0.113.9, ", 403),
        ("203.0.113.9; 203.0.113.9", 403),
        ("2001:db8::7", 200),
        ("2001:db9::7", 403),
        ("::ffff:203.0.113.9", 200),
        ("[2001:db8::7]:443", 403),
        ("nonsense", 403),
    ],
)
async def test_only_the_last_address_that_the_gateway_wrote_counts(service: Any, forwarded: str, status: int) -> None:
    stream = service.definitions.add_stream(1, allowed_ips=("203.0.113.0/24", "2001:db8::/32"))
    answered, body, _ = await fire(service, stream, X_Forwarded_For=forwarded)
    assert answered == status
    assert refusals(service) == ({} if status == 200 else {"address_not_allowed": 1})
    if status == 403:
        assert body["code"] == "address_not_allowed"
        assert not service.publisher.records


async def test_the_allowed_addresses_bind_every_credential(service: Any) -> None:
    stream = service.definitions.add_stream(1, allowed_ips=("203.0.113.0/24",))
    assert (await service.post(events(stream), DOCUMENTED, key=KEY))[0] == 403
    assert (await send(service, stream, {"recipient_phone": "+14155550123", "message_content": "x"}))[0] == 403
    assert refusals(service) == {"address_not_allowed": 2}


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        ({"status": "draft"}, "draft", "is a draft"),
        ({"status": "disabled"}, "disabled", "is disabled"),
        ({"template_key": None}, "nothing_to_run", "neither a workflow nor a template"),
        ({"template_key": "gone"}, "template_missing", "'gone'"),
        ({"template_key": None, "workflow_id": UUID(int=71)}, "workflow_not_active", "inactive"),
        ({"template_key": None, "workflow_id": UUID(int=99)}, "workflow_missing", "is not there"),
    ],
)
async def test_a_stream_that_cannot_carry_an_event_out_says_why(
    service: Any, fields: dict[str, Any], code: str, words: str
) -> None:
    status, body, _ = await fire(service, service.definitions.add_stream(1, **fields))
    assert (status, body["code"]) == (409, code)
    assert words in body["detail"]
    assert refusals(service) == {code: 1}


async def test_a_stream_that_was_made_ready_a_moment_ago_elsewhere_takes_events(service: Any) -> None:
    stream = service.definitions.add_stream(1, status="draft")
    service.renewals.append(lambda: service.definitions.add_stream(1))
    assert (await fire(service, stream))[0] == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "contact"),
        ({"contact": None}, "contact"),
        ({"contact": "ada"}, "contact"),
        ({"contact": {}}, "contact"),
        ({"contact": {"name": "Ada"}}, "contact"),
        ({"contact": {"phone_number": "", "email": " "}}, "contact"),
        ({"contact": {"phone_number": 14155550123}}, "contact.phone_number"),
        ({"contact": {"external_id": "a\nb"}}, "contact.external_id"),
        ({"contact": {"external_id": "ada"}, "a": "b\x00"}, "a"),
    ],
)
async def test_a_contact_that_is_nobody_is_refused_by_field(service: Any, body: Any, field: str) -> None:
    status, problem, _ = await fire(service, service.definitions.add_stream(1), body)
    assert (status, [error["field"] for error in problem["errors"]]) == (422, [field])
    assert refusals(service) == {"invalid": 1}


@pytest.mark.parametrize(
    ("contact", "external_id"),
    [
        ({"external_id": "ada", "phone_number": "+14155550123"}, "ada"),
        ({"phone_number": "(415) 555-0123", "email": "ada@example.com"}, "+14155550123"),
        ({"email": "Ada@Example.com", "phone_number": ""}, "ada@example.com"),
    ],
)
async def test_a_contact_is_known_by_external_id_or_number_or_email(
    service: Any, contact: dict[str, str], external_id: str
) -> None:
    await fire(service, service.definitions.add_stream(1), {"contact": contact})
    (trigger,) = service.publisher.triggers()
    assert trigger.profiles[0].external_id == external_id


@pytest.mark.parametrize(
    ("contact", "external_id", "known_by_address", "left_out"),
    [
        ({"phone_number": "string", "email": "string"}, "unreachable:string", False, ["phone_number", "email"]),
        ({"phone_number": "12", "email": "Ada@example.com"}, "ada@example.com", True, ["phone_number"]),
        ({"phone_number": "+14155550123", "email": "ada"}, "+14155550123", True, ["email"]),
        ({"external_id": "ada", "email": "ada"}, "ada", False, ["email"]),
        ({"email": "x" * 320}, ("unreachable:" + "x" * 320)[:255], False, ["email"]),
    ],
)
async def test_an_address_that_is_none_is_left_out_and_the_answer_says_so(
    service: Any, contact: dict[str, str], external_id: str, known_by_address: bool, left_out: list[str]
) -> None:
    status, body, _ = await fire(service, service.definitions.add_stream(1), {"contact": contact})
    assert (status, body["status"]) == (200, "success")
    assert [warning["field"] for warning in body["warnings"]] == [f"contact.{name}" for name in left_out]
    (trigger,) = service.publisher.triggers()
    (profile,) = trigger.profiles
    assert (profile.external_id, profile.known_by_address) == (external_id, known_by_address)
    assert trigger.recipients == ContactRecipients(external_ids=[external_id])
    assert all(getattr(profile, name) is None for name in left_out)
    assert refusals(service) == {}


async def test_a_test_says_at_once_that_an_address_is_none(service: Any) -> None:
    stream = service.definitions.add_stream(1)
    answer = await service.post(f"/api/v1/streams/{stream.id}/test", {"contact": {"email": "ada"}})
    assert (answer[0], [error["field"] for error in answer[1]["errors"]]) == (422, ["contact.email"])


async def test_what_a_contact_says_beyond_the_document_is_kept_and_the_rest_ignored(service: Any) -> None:
    contact = {"external_id": "ada", "language": "fr", "tags": "vip", "metadata": {"plan": "pro"}, "surprise": 1}
    await fire(service, service.definitions.add_stream(1), {"contact": contact})
    (profile,) = service.publisher.triggers()[0].profiles
    assert (profile.locale, profile.tags, profile.attributes) == ("fr", ["vip"], {"plan": "pro"})


async def test_ten_thousand_properties_are_ten_thousand_variables(service: Any) -> None:
    properties = {f"property{number}": number for number in range(10_000)}
    assert (await fire(service, service.definitions.add_stream(1), DOCUMENTED | properties))[0] == 200
    (trigger,) = service.publisher.triggers()
    assert trigger.variables.items() >= properties.items()


async def test_nested_values_stay_nested_and_bottomless_ones_are_refused(service: Any) -> None:
    stream = service.definitions.add_stream(1)
    order = {"id": 7, "lines": [{"sku": "a", "price": 1.5}], "paid": True, "note": None}
    assert (await fire(service, stream, DOCUMENTED | {"order": order}))[0] == 200
    assert service.publisher.triggers()[0].variables["order"] == order
    deep: Any = "bottom"
    for _ in range(60):
        deep = {"a": deep}
    assert (await fire(service, stream, DOCUMENTED | {"deep": deep}))[0] == 422
    bottomless = b'{"contact": {"external_id": "ada"}, "deep": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert (await fire(service, stream, bottomless))[0] == 422
    assert (await fire(service, stream, b'{"contact": {}, "a": "' + b"x" * 600_000 + b'"}'))[0] == 413
    assert refusals(service) == {"invalid": 2, "too_large": 1}


async def test_one_key_on_two_streams_names_two_events(service: Any) -> None:
    first, second = service.definitions.add_stream(1), service.definitions.add_stream(2)
    ids = [(await fire(service, stream, Idempotency_Key="k"))[1].get("trigger_id") for stream in (first, second)]
    assert len(set(ids) - {None}) == 2
    _, repeated, headers = await fire(service, first, Idempotency_Key="k")
    assert (repeated["trigger_id"], headers["Idempotency-Replay"]) == (ids[0], "true")
    assert len(service.publisher.records) == 2


async def test_a_stream_has_a_rate_of_its_own(service: Any) -> None:
    stream, other = service.definitions.add_stream(1, rate=Rate(0.01, 2)), service.definitions.add_stream(2)
    assert [(await fire(service, stream))[0] for _ in range(3)] == [200, 200, 429]
    status, _, headers = await fire(service, stream)
    assert (status, int(headers["Retry-After"]) > 0, headers["RateLimit-Limit"]) == (429, True, "2")
    assert (await fire(service, other))[0] == 200
    assert refusals(service) == {"rate_limited": 2}


async def test_a_daily_maximum_lasts_until_midnight(service: Any) -> None:
    stream = service.definitions.add_stream(1, per_day=2)
    assert [(await fire(service, stream))[0] for _ in range(2)] == [200, 200]
    status, body, headers = await fire(service, stream)
    midnight = (NOW + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    assert (status, body["code"]) == (429, "daily_limit")
    assert int(headers["Retry-After"]) == round((midnight - NOW).total_seconds())
    service.clock.advance(midnight - NOW)
    assert (await fire(service, stream))[0] == 200


async def test_what_is_taken_in_is_counted_once_it_is_stored(service: Any) -> None:
    stream = service.definitions.add_stream(1)
    service.publisher.away = True
    assert (await fire(service, stream))[0] == 503
    counts = service.activity.take()
    assert (counts.accepted, [key.reason for key in counts.refused]) == ({}, ["unavailable"])
    service.publisher.away = False
    await fire(service, stream)
    await send(service, stream, *({"recipient_phone": "+14155550123", "message_content": "x"} for _ in range(3)))
    assert service.activity.take().accepted == {StreamDay(stream.id, NOW.date()): Tally(4, NOW)}


async def test_a_test_without_a_contact_goes_to_the_sandbox_and_is_marked(service: Any) -> None:
    stream = service.definitions.add_stream(1, status="draft")
    status, body, _ = await service.post(f"/api/v1/streams/{stream.key}/test", {"code": "123"})
    (trigger,) = service.publisher.triggers()
    assert (status, body["status"], body["test"], body["sandbox"]) == (200, "success", True, True)
    assert trigger.sender.sandbox
    assert trigger.recipients == AddressRecipients(channel=Channel.SMS, addresses=["+15005550006"])
    assert (trigger.trigger_source, trigger.metadata, trigger.variables) == (
        "stream_test", {"test": True}, {"code": "123"},
    )  # fmt: skip
    assert not service.activity.take().accepted


async def test_a_test_with_a_contact_goes_to_them_for_real_unless_told(service: Any) -> None:
    stream = service.definitions.add_stream(1, workflow_id=ACTIVE, template_key=None)
    path = f"/api/v1/streams/{stream.key}/test"
    assert (await service.post(path, DOCUMENTED))[1]["sandbox"] is False
    assert (await service.post(f"{path}?sandbox=true", DOCUMENTED))[1]["sandbox"] is True
    real, sandbox = service.publisher.triggers()
    assert (real.sender.sandbox, sandbox.sender.sandbox) == (False, True)
    assert real.recipients == ContactRecipients(external_ids=["+14155550123"])
    status, body, _ = await service.post(path, {})
    assert (status, body["errors"][0]["field"]) == (422, "contact")


async def test_a_test_can_name_an_event_of_the_stream(service: Any) -> None:
    stream = service.definitions.add_stream(1)
    service.definitions.events[stream.id, "login"] = StreamEvent(stream.id, "login", text="Code {{ code }}")
    path = f"/api/v1/streams/{stream.key}/test?event="
    assert (await service.post(f"{path}login", {"code": "1"}))[0] == 200
    (trigger,) = service.publisher.triggers()
    assert trigger.plan == DirectSend(channel=Channel.SMS, content=InlineSms(text="Code {{ code }}"))
    assert (await service.post(f"{path}nobody", {}))[0] == 422
    assert (await service.post("/api/v1/streams/nobody/test", {}))[0] == 404


async def test_messages_are_judged_one_by_one_in_their_order(service: Any) -> None:
    stream = service.definitions.add_stream(1, sender="Sluice")
    good = {"internal_id": "a", "sender": "Shop", "recipient_phone": "+14155550123", "message_content": "Hello"}
    status, body, _ = await send(
        service, stream, good, good | {"internal_id": "b", "recipient_phone": "12"}, 7,
        good | {"internal_id": 12, "sender": None}, {"internal_id": "c"}, good | {"internal_id": "d", "event_key": "x"},
        good | {"internal_id": "e", "message_content": None},
    )  # fmt: skip
    assert (status, body["status"], body["accepted"], body["rejected"]) == (200, "partial", 2, 5)
    assert [message["status"] == "accepted" for message in body["messages"]] == [True, False, False, True] + [False] * 3
    assert [message["internal_id"] for message in body["messages"]] == ["a", "b", None, 12, "c", "d", "e"]
    assert "recipient_phone" in body["messages"][1]["error"]
    first, second = service.publisher.triggers()
    assert [trigger.sender.sender for trigger in (first, second)] == ["Shop", "Sluice"]
    assert first.recipients == AddressRecipients(channel=Channel.SMS, addresses=["+14155550123"])
    assert [body["messages"][place]["trigger_id"] for place in (0, 3)] == [
        str(first.trigger_id), str(second.trigger_id),
    ]  # fmt: skip
    counts = service.activity.take()
    assert sum(tally.number for tally in counts.refused.values()) == 5


async def test_all_bad_messages_are_still_an_answer(service: Any) -> None:
    status, body, _ = await send(service, service.definitions.add_stream(1), {}, None, [])
    assert (status, body["status"], body["rejected"]) == (200, "failed", 3)


async def test_a_message_is_sent_as_it_is_written(service: Any) -> None:
    stream, text = service.definitions.add_stream(1), "{{ name }} {% if x %} 100% <b>"
    await send(service, stream, {"recipient_phone": "+14155550123", "message_content": text})
    (trigger,) = service.publisher.triggers()
    assert trigger.plan == DirectSend(channel=Channel.SMS, content=InlineSms(text="{{ message_content }}"))
    assert trigger.variables == {"message_content": text}


async def test_an_event_key_sends_the_streams_own_message(service: Any) -> None:
    stream = service.definitions.add_stream(1, type="otp")
    service.definitions.events |= {
        (stream.id, "login"): StreamEvent(stream.id, "login", text="Code {{ code }}"),
        (stream.id, "stored"): StreamEvent(stream.id, "stored", template_key="otp_us"),
        (stream.id, "mail"): StreamEvent(stream.id, "mail", template_key="welcome"),
    }
    _, body, _ = await send(service, stream, *(
        {"recipient_phone": 14155550123, "event_key": key, "template_variables": {"code": "1"}}
        for key in ("login", "stored", "mail", "nobody")
    ))  # fmt: skip
    assert [message["status"] for message in body["messages"]] == ["accepted", "accepted", "rejected", "rejected"]
    inline, stored = service.publisher.triggers()
    assert inline.plan.content == InlineSms(text="Code {{ code }}")
    assert stored.plan.content.key == "otp_us"
    assert (inline.variables, inline.category, inline.lane) == ({"code": "1"}, Category.AUTHENTICATION, Lane.PRIORITY)


async def test_an_internal_id_names_its_message_in_its_stream(service: Any) -> None:
    first, second = service.definitions.add_stream(1), service.definitions.add_stream(2)
    message = {"internal_id": "order-1", "recipient_phone": "+14155550123", "message_content": "Hello"}
    ids = [(await send(service, stream, message))[1]["messages"][0]["trigger_id"] for stream in (first, first, second)]
    assert ids[0] == ids[1] != ids[2]
    # In one call the same message is stored once, and another under its id is refused.
    service.publisher.batches.clear()
    _, body, _ = await send(service, first, message, message, message | {"message_content": "Bye"})
    assert [one["status"] for one in body["messages"]] == ["accepted", "accepted", "rejected"]
    assert body["messages"][2]["code"] == "internal_id_reused"
    assert {one.get("trigger_id") for one in body["messages"]} == {ids[0], None}
    assert len(service.publisher.records) == 1


async def test_a_bulk_stops_at_the_daily_maximum_message_by_message(service: Any) -> None:
    stream = service.definitions.add_stream(1, per_day=2)
    message = {"recipient_phone": "+14155550123", "message_content": "Hello"}
    _, body, _ = await send(service, stream, {}, *[message] * 3)
    assert [one["status"] for one in body["messages"]] == ["rejected", "accepted", "accepted", "rejected"]
    assert body["messages"][3]["code"] == "daily_limit"


async def test_a_bulk_costs_what_it_holds(service: Any) -> None:
    stream = service.definitions.add_stream(1, rate=Rate(1, 100))
    message = {"recipient_phone": "+14155550123", "message_content": "Hello"}
    _, _, headers = await send(service, stream, *[message] * 60)
    assert (headers["RateLimit-Limit"], headers["RateLimit-Remaining"]) == ("100", "40")
    assert (await send(service, stream, *[message] * 60))[0] == 429


@pytest.mark.parametrize("body", [{}, {"messages": []}, {"messages": {}}, {"messages": [{}] * 1001}, []])
async def test_a_call_that_holds_no_messages_is_refused(service: Any, body: Any) -> None:
    service.definitions.add_stream(1)
    assert (await service.post("/event_send/", body, key=None, Authorization="st_live_1"))[0] == 422
    assert (await service.post("/event_send", body, key=None, Authorization="st_live_1"))[0] == 422


async def test_messages_of_a_disabled_stream_are_refused_as_a_whole(service: Any) -> None:
    stream = service.definitions.add_stream(1, status="disabled")
    status, body, _ = await send(service, stream, {"recipient_phone": "+14155550123", "message_content": "x"})
    assert (status, body["code"]) == (409, "disabled")


async def test_a_whatsapp_stream_sends_whatsapp(service: Any) -> None:
    stream = service.definitions.add_stream(1, type="whatsapp", template_key=None)
    await send(service, stream, {"recipient_phone": "+14155550123", "message_content": "Hello"})
    (trigger,) = service.publisher.triggers()
    assert trigger.plan.channel is Channel.WHATSAPP


async def test_a_stream_sends_through_its_own_account_on_the_accounts_channel(service: Any) -> None:
    account = service.definitions.add_account(40, Channel.SMS, "twilio")
    stream = service.definitions.add_stream(1, provider_account_id=account.id, sandbox=True)
    await fire(service, stream)
    await fire(service, service.definitions.add_stream(2, provider_account_id=account.id, template_key="welcome"))
    sms, email = service.publisher.triggers()
    assert (sms.sender.account_id, sms.sender.sandbox) == (account.id, True)
    assert (email.sender.account_id, email.sender.sandbox) == (None, False)


def stream(**fields: Any) -> Stream:
    given = {"id": UUID(int=1), "workspace_id": WORKSPACE, "key": "s", "name": "S", "type": StreamType.OTP}
    return Stream(**given | {"status": "ready", "category": Category.AUTHENTICATION} | fields)


def test_what_other_copies_took_in_counts_towards_the_maximum() -> None:
    activity, ours = StreamActivity(), stream(per_day=10)
    day = StreamDay(ours.id, NOW.date())
    activity.accept(ours, NOW, 3)
    assert activity.left_today(ours, NOW) == 7
    taken = activity.take()
    activity.accept(ours, NOW, 1)
    assert activity.left_today(ours, NOW) == 6
    activity.learn({day: 8}, NOW)
    assert activity.left_today(ours, NOW) == 1
    assert taken.accepted == {day: Tally(3, NOW)}
    assert activity.take_asked() == {ours.id}
    assert activity.take_asked() == set()


def test_what_could_not_be_written_is_counted_again_and_once() -> None:
    activity, ours = StreamActivity(), stream(per_day=10)
    activity.accept(ours, NOW, 3)
    activity.refuse(ours, "invalid", "203.0.113.9", NOW)
    taken = activity.take()
    activity.accept(ours, NOW + timedelta(seconds=1), 2)
    activity.give_back(taken)
    assert activity.left_today(ours, NOW) == 5
    again = activity.take()
    assert again.accepted == {StreamDay(ours.id, NOW.date()): Tally(5, NOW + timedelta(seconds=1))}
    assert again.refused == {RefusalKey(ours.id, NOW.date(), "invalid", "203.0.113.9"): Tally(1, NOW)}
    assert not activity.take()


def test_an_attacker_with_many_addresses_does_not_fill_the_memory() -> None:
    activity, ours = StreamActivity(), stream()
    for number in range(MOST_ADDRESSES + 50):
        activity.refuse(ours, "invalid", f"2001:db8::{number:x}", NOW)
    refused = activity.take().refused
    assert len(refused) == MOST_ADDRESSES + 1
    assert refused[RefusalKey(ours.id, NOW.date(), "invalid", "")].number == 50


class Counts:
    """A database that may be away, and that other copies write into as well."""

    def __init__(self) -> None:
        self.totals: dict[StreamDay, int] = {}
        self.refused: dict[RefusalKey, int] = {}
        self.away = False

    async def add(self, accepted: dict[StreamDay, Tally], refused: dict[RefusalKey, Tally]) -> dict[StreamDay, int]:
        if self.away:
            raise OSError("away")
        for day, tally in accepted.items():
            self.totals[day] = self.totals.get(day, 0) + tally.number
        self.refused |= {key: self.refused.get(key, 0) + tally.number for key, tally in refused.items()}
        return {day: self.totals[day] for day in accepted}

    async def accepted_on(self, stream_ids: set[UUID], day: date) -> dict[StreamDay, int]:
        if self.away:
            raise OSError("away")
        return {key: total for key, total in self.totals.items() if key.stream_id in stream_ids and key.day == day}


async def test_what_counts_is_written_once_the_database_is_back_and_others_are_heard_of() -> None:
    activity, counts, ours = StreamActivity(), Counts(), stream(per_day=10)
    writer = ActivityWriter(activity, cast("StreamCounts", counts), ManualClock(NOW))
    day = StreamDay(ours.id, NOW.date())
    counts.away = True
    activity.accept(ours, NOW, 2)
    activity.refuse(ours, "invalid", "203.0.113.9", NOW)
    assert not await writer.write()
    assert activity.left_today(ours, NOW) == 8
    counts.away = False
    counts.totals[day] = 5
    assert await writer.write()
    assert (counts.totals, list(counts.refused.values())) == ({day: 7}, [1])
    assert activity.left_today(ours, NOW) == 3
    # What only others accept is heard of as well, while somebody asks.
    counts.totals[day] = 10
    assert await writer.write()
    assert activity.left_today(ours, NOW) == 0
    counts.away = True
    assert not await writer.write()
    assert activity.left_today(ours, NOW) == 0


async def test_what_is_left_is_written_at_the_end() -> None:
    activity, counts, ours = StreamActivity(), Counts(), stream()
    writer, stop = ActivityWriter(activity, cast("StreamCounts", counts), ManualClock(NOW)), asyncio.Event()
    running = asyncio.create_task(writer.run(stop))
    activity.accept(ours, NOW)
    stop.set()
    async with asyncio.timeout(30):
        await running
    assert counts.totals == {StreamDay(ours.id, NOW.date()): 1}


def test_yesterday_is_forgotten() -> None:
    activity, ours = StreamActivity(), stream(per_day=1)
    activity.accept(ours, NOW)
    activity.take()
    tomorrow = NOW + timedelta(days=1)
    activity.learn({}, tomorrow)
    assert activity.left_today(ours, tomorrow) == 1
    assert activity.left_today(ours, NOW) == 1


def test_samples_are_for_what_the_caller_gives() -> None:
    assert fields_of(["code", "first_name", "contact.plan", "contact_name", "order.id", "order.total"]) == [
        "code", "order.id", "order.total",
    ]  # fmt: skip
    assert nested(["code", "order.id", "order.total", "order"]) == {
        "code": "string", "order": {"id": "string", "total": "string"},
    }  # fmt: skip


def test_samples_can_be_run_as_they_are() -> None:
    body = {"contact": dict(CONTACT), "note": 'it\'s 100% "quoted" \\ and {braced} ü'}
    made = {sample.language: sample.code for sample in samples("https://api.example.com/x", body)}
    assert list(made) == ["shell", "javascript", "python", "php", "go"]
    assert all(TOKEN in code and "https://api.example.com/x" in code for code in made.values())
    compile(made["python"], "sample", "exec")
    data = made["shell"].split("--data '", 1)[1].removesuffix("'").replace("'\\''", "'")
    assert json.loads(data) == body
