"""One request, one trigger: what callers send, what they get, and what is appended."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from sluice_contracts.identifiers import JobId, execution_id_for, trigger_id_for_key
from sluice_contracts.messages.content import InlineEmail, InlineSms, InlineWhatsApp, TemplateContent
from sluice_contracts.messages.trigger import (
    AddressRecipients,
    AllRecipients,
    ContactRecipients,
    DirectSend,
    ListRecipients,
    SegmentRecipients,
    TagRecipients,
    WorkflowStart,
)
from sluice_contracts.vocabulary import Category, Channel, Lane

SMS = "/api/v1/messages/sms/send"
EMAIL = "/api/v1/messages/email/send"
WHATSAPP = "/api/v1/messages/whatsapp/send"
WORKFLOW = "/api/v1/workflows/trigger"
CONTACT = {"recipient_type": "contact", "contact_external_id": "user_123"}
DIRECT = {"recipient_type": "direct_sms", "direct_sms": "+14155550123", "text": "Hello"}
WORKSPACE = UUID(int=1)


async def test_the_documented_sms_send_is_answered_as_documented(service: Any) -> None:
    status, body, _ = await service.post(SMS, {"template_key": "otp_us", **CONTACT})
    assert status == 200
    assert body.keys() == {"success", "trigger_id", "job_id"}
    assert body["success"] is True
    [trigger] = service.publisher.triggers()
    assert str(trigger.trigger_id) == body["trigger_id"]
    assert JobId.parse(body["job_id"]) == JobId(execution_id_for(trigger.trigger_id, 1, "sms"), 0)
    assert trigger.campaign_name == "SMS Send - otp_us"
    assert trigger.trigger_source == "direct_api"
    assert (trigger.category, trigger.lane) == (Category.AUTHENTICATION, Lane.PRIORITY)
    assert trigger.workspace_id == WORKSPACE
    assert trigger.accepted_at == service.clock.now()
    assert trigger.plan == DirectSend(
        channel=Channel.SMS, content=TemplateContent(template_id=UUID(int=50), version=3, key="otp_us")
    )
    [record] = service.publisher.records
    assert record.topic == "triggers.priority"
    assert record.key == str(trigger.trigger_id).encode()


async def test_the_documented_workflow_trigger_is_answered_as_documented(service: Any) -> None:
    status, body, _ = await service.post(WORKFLOW, {"workflow_name": "Welcome Series", **CONTACT})
    assert status == 200
    assert body.keys() == {"success", "trigger_id"}
    [trigger] = service.publisher.triggers()
    assert trigger.plan == WorkflowStart(workflow_id=UUID(int=70), version=2, name="Welcome Series")
    assert trigger.campaign_name == "Welcome Series"
    assert trigger.trigger_type == "workflow"


@pytest.mark.parametrize(
    ("alias", "path", "body"),
    [
        ("/api/v1/sms/send", SMS, DIRECT),
        ("/api/v1/messages/send", EMAIL, {"template_key": "welcome", **CONTACT}),
        ("/api/v1/whatsapp/send", WHATSAPP, {"text": "Hello", **CONTACT}),
    ],
)
async def test_each_alias_is_the_same_door(service: Any, alias: str, path: str, body: Any) -> None:
    assert (await service.post(alias, body))[0] == 200
    assert (await service.post(path, body))[0] == 200
    first, second = service.publisher.triggers()
    assert first.model_copy(update={"trigger_id": second.trigger_id}) == second


@pytest.mark.parametrize(
    ("fields", "recipients"),
    [
        (CONTACT, ContactRecipients(external_ids=["user_123"])),
        (
            {"recipient_type": "contacts", "contact_external_ids": ["a", "b", "a"]},
            ContactRecipients(external_ids=["a", "b"]),
        ),
        ({"recipient_type": "tag", "tags": ["vip", "new"]}, TagRecipients(tags=["vip", "new"])),
        ({"recipient_type": "tag", "tag": ["vip"]}, TagRecipients(tags=["vip"])),
        ({"recipient_type": "tag", "tag": "vip"}, TagRecipients(tags=["vip"])),
        ({"recipient_type": "segment", "segment_id": "pros"}, SegmentRecipients(segment_id=UUID(int=60))),
        ({"recipient_type": "list", "list_id": "news"}, ListRecipients(list_id=UUID(int=61))),
        ({"recipient_type": "all"}, AllRecipients()),
        (
            {"recipient_type": "direct_sms", "direct_sms": "(415) 555-0123", "contact_external_id": None},
            AddressRecipients(channel=Channel.SMS, addresses=["(415) 555-0123"]),
        ),
    ],
)
async def test_each_recipient_type_names_its_recipients(service: Any, fields: Any, recipients: Any) -> None:
    status, body, _ = await service.post(SMS, {"text": "Hello", **fields})
    assert status == 200
    [trigger] = service.publisher.triggers()
    assert trigger.recipients == recipients
    single = isinstance(recipients, ContactRecipients | AddressRecipients) and fields["recipient_type"] != "contacts"
    assert ("job_id" in body) is single


async def test_every_field_of_an_email_arrives(service: Any) -> None:
    body = {
        "recipient_type": "direct_email",
        "direct_email": "Ada@Example.com",
        "direct_first_name": "Ada",
        "direct_last_name": "L",
        "subject": "Hi {{ first_name }}",
        "html": "<p>{{ code }}</p>",
        "plain_text_content": "{{ code }}",
        "variables": {"code": "1", "last_name": "Lovelace"},
        "category": "utility",
        "campaign_name": "Autumn",
        "metadata": {"order": 7},
        "triggerAt": "2026-11-24T10:00:00+02:00",
        "expires_at": "2026-11-25T10:00:00Z",
        "excluded_contacts": ["user_9"],
        "dry_run": True,
        "from_email": "shop@example.com",
        "from_name": "Shop",
        "reply_to": "help@example.com",
    }
    assert (await service.post(EMAIL, body))[0] == 200
    [trigger] = service.publisher.triggers()
    assert trigger.plan.content == InlineEmail(
        subject="Hi {{ first_name }}", html="<p>{{ code }}</p>", text="{{ code }}"
    )
    assert trigger.recipients == AddressRecipients(channel=Channel.EMAIL, addresses=["Ada@Example.com"])
    assert trigger.variables == {"first_name": "Ada", "last_name": "Lovelace", "code": "1"}
    assert (trigger.category, trigger.lane) == (Category.UTILITY, Lane.BULK)
    assert (trigger.campaign_name, trigger.metadata) == ("Autumn", {"order": 7})
    assert trigger.trigger_at is not None
    assert trigger.trigger_at.isoformat() == "2026-11-24T08:00:00+00:00"
    assert trigger.expires_at is not None
    assert (trigger.excluded_contacts, trigger.dry_run) == (["user_9"], True)
    sender = trigger.sender
    assert (sender.from_email, sender.from_name, sender.reply_to) == ("shop@example.com", "Shop", "help@example.com")


async def test_whatsapp_takes_a_providers_template_or_a_free_text(service: Any) -> None:
    named = {"template_name": "hello_world", "language": "en_US", "components": [{"type": "body"}], **CONTACT}
    assert (await service.post(WHATSAPP, {**named, "conversation_category": "MARKETING"}))[0] == 200
    assert (await service.post(WHATSAPP, {"text": "Hi", **CONTACT}))[0] == 200
    first, second = service.publisher.triggers()
    assert first.plan.content == InlineWhatsApp(
        template_name="hello_world", language="en_US", components=[{"type": "body"}]
    )
    assert first.category is Category.MARKETING
    assert first.campaign_name == "WhatsApp Send - hello_world"
    assert second.plan.content == InlineWhatsApp(text="Hi")
    assert second.campaign_name == "WhatsApp Send"


async def test_an_identity_names_the_provider_account_to_send_from(service: Any) -> None:
    account = service.definitions.add_account(80, Channel.SMS, "twilio")
    assert (await service.post(SMS, {**DIRECT, "sms_identity_id": str(account.id)}))[0] == 200
    assert service.publisher.triggers()[0].sender.account_id == account.id
    status, body, _ = await service.post(SMS, {**DIRECT, "sms_identity_id": str(UUID(int=81))})
    assert (status, body["errors"][0]["field"]) == (422, "sms_identity_id")
    status, body, _ = await service.post(SMS, {**DIRECT, "sms_identity_id": str(account.id)}, key="sk_live_stranger")
    assert (status, body["errors"][0]["field"]) == (422, "sms_identity_id")


async def test_a_workflow_takes_variables_for_each_channel(service: Any) -> None:
    body = {
        "workflow_id": str(UUID(int=70)),
        "recipient_type": "direct_whatsapp",
        "direct_whatsapp": "+14155550123",
        "variables": {"a": 1},
        "channel_variables": {"sms": {"code": "1"}, "email": {"code": "2"}, "whatsapp": None},
    }
    assert (await service.post(WORKFLOW, body))[0] == 200
    [trigger] = service.publisher.triggers()
    assert trigger.channel_variables == {Channel.SMS: {"code": "1"}, Channel.EMAIL: {"code": "2"}}
    assert trigger.recipients == AddressRecipients(channel=Channel.WHATSAPP, addresses=["+14155550123"])
    assert trigger.lane is Lane.BULK


@pytest.mark.parametrize(
    ("body", "category", "lane"),
    [
        ({"text": "x", **CONTACT}, Category.TRANSACTIONAL, Lane.PRIORITY),
        ({"text": "x", "recipient_type": "all"}, Category.MARKETING, Lane.BULK),
        ({"template_key": "sale", **CONTACT}, Category.MARKETING, Lane.BULK),
        ({"template_key": "sale", "category": "transactional", **CONTACT}, Category.TRANSACTIONAL, Lane.PRIORITY),
        ({"template_key": "otp_us", "recipient_type": "all"}, Category.AUTHENTICATION, Lane.BULK),
        ({"template_key": "otp_us", "category": "utility", **CONTACT}, Category.UTILITY, Lane.BULK),
    ],
)
async def test_the_category_decides_the_lane_and_an_audience_is_always_bulk(
    service: Any, body: Any, category: Category, lane: Lane
) -> None:
    assert (await service.post(SMS, body))[0] == 200
    [trigger] = service.publisher.triggers()
    assert (trigger.category, trigger.lane) == (category, lane)
    assert service.publisher.records[0].topic == f"triggers.{lane}"


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (SMS, {"text": "x", "recipient_type": "contact"}, "contact_external_id"),
        (SMS, {"text": "x", **CONTACT, "tags": ["a"]}, "tags"),
        (SMS, {"text": "x", "recipient_type": "direct_email", "direct_email": "a@b.co"}, "direct_email"),
        (SMS, {"text": "x", "recipient_type": "direct_email"}, "recipient_type"),
        (SMS, {"text": "x", "recipient_type": "everybody"}, "recipient_type"),
        (SMS, {"text": "x", "recipient_type": "segment", "segment_id": "nobody"}, "segment_id"),
        (SMS, {"text": "x", "recipient_type": "list", "list_id": "nobody"}, "list_id"),
        (
            SMS,
            {"text": "x", "recipient_type": "contacts", "contact_external_ids": ["a"] * 1001},
            "contact_external_ids",
        ),
        (SMS, {"text": "x", "recipient_type": "contacts", "contact_external_ids": []}, "contact_external_ids"),
        (SMS, CONTACT, "template_key"),
        (SMS, {"template_key": "nobody", **CONTACT}, "template_key"),
        (SMS, {"template_key": "welcome", **CONTACT}, "template_key"),
        (SMS, {"template_key": "otp_us", "text": "x", **CONTACT}, "text"),
        (SMS, {"text": "{{ unclosed", **CONTACT}, "text"),
        (SMS, {"text": "", **CONTACT}, "text"),
        (SMS, {"text": "x", "contact_external_id": 7, "recipient_type": "contact"}, "contact_external_id"),
        (SMS, {"text": "x", "contact_external_id": "a\nb", "recipient_type": "contact"}, "contact_external_id"),
        (SMS, {"text": "x", "contact_external_id": " ", "recipient_type": "contact"}, "contact_external_id"),
        (SMS, {"text": "x", **CONTACT, "surprise": 1}, "surprise"),
        (SMS, {"text": "x", **CONTACT, "dry_run": "yes"}, "dry_run"),
        (SMS, {"text": "x", **CONTACT, "trigger_at": "2026-11-24T10:00:00"}, "trigger_at"),
        (SMS, {"text": "x", **CONTACT, "trigger_at": 1_800_000_000}, "trigger_at"),
        (SMS, {"text": "x", **CONTACT, "trigger_at": "2028-11-24T10:00:00Z"}, "trigger_at"),
        (SMS, {"text": "x", **CONTACT, "trigger_at": "9999-12-31T23:59:59-23:59"}, "trigger_at"),
        (SMS, {"text": "x", **CONTACT, "expires_at": "2020-11-24T10:00:00Z"}, "expires_at"),
        (SMS, {"text": "x", **CONTACT, "variables": []}, "variables"),
        (SMS, {"text": "x", **CONTACT, "category": "spam"}, "category"),
        (SMS, {"text": "x", **CONTACT, "sms_identity_id": "me"}, "sms_identity_id"),
        (EMAIL, {"subject": "x", **CONTACT}, "template_key"),
        (EMAIL, {"subject": "x\r\nBcc: a@b.co", "content": "x", **CONTACT}, "subject"),
        (EMAIL, {"subject": "x", "content": "x", "from_email": "nobody", **CONTACT}, "from_email"),
        (EMAIL, {"subject": "x", "content": "x", "direct_first_name": "A", **CONTACT}, "direct_first_name"),
        (WHATSAPP, {"template_name": "x", **CONTACT}, "template_key"),
        (WHATSAPP, {"template_name": "x", "language": "en", "text": "x", **CONTACT}, "template_key"),
        (WHATSAPP, {"text": "x", "conversation_category": "SERVICE", **CONTACT}, "conversation_category"),
        (
            WHATSAPP,
            {"text": "x", "conversation_category": "UTILITY", "category": "marketing", **CONTACT},
            "conversation_category",
        ),
        (WORKFLOW, CONTACT, "workflow_name"),
        (WORKFLOW, {"workflow_name": "Nobody's", **CONTACT}, "workflow_name"),
        (WORKFLOW, {"workflow_id": str(UUID(int=99)), **CONTACT}, "workflow_id"),
        (
            WORKFLOW,
            {"workflow_name": "Welcome Series", **CONTACT, "channel_variables": {"fax": {}}},
            "channel_variables",
        ),
    ],
)
async def test_what_is_wrong_is_named(service: Any, path: str, body: Any, field: str) -> None:
    status, problem, headers = await service.post(path, body)
    assert status == 422
    assert headers["Content-Type"] == "application/problem+json"
    assert {"type", "title", "status", "detail"} <= problem.keys()
    assert field in {error["field"].split(".")[0] for error in problem["errors"]}
    assert service.publisher.batches == []


@pytest.mark.parametrize("name", ["Old Series", "New Series"])
async def test_a_workflow_that_is_not_active_is_a_conflict(service: Any, name: str) -> None:
    status, problem, _ = await service.post(WORKFLOW, {"workflow_name": name, **CONTACT})
    assert (status, problem["errors"][0]["field"]) == (409, "workflow_name")
    assert "not active" in problem["detail"]


async def test_another_workspaces_definitions_do_not_exist(service: Any) -> None:
    status, _, _ = await service.post(SMS, {"template_key": "otp_us", **CONTACT}, key="sk_live_stranger")
    assert status == 422
    status, _, _ = await service.post(WORKFLOW, {"workflow_name": "Welcome Series", **CONTACT}, key="sk_live_stranger")
    assert status == 422


async def test_a_template_made_a_moment_ago_is_found_by_looking_again(service: Any) -> None:
    def arrive() -> None:
        service.definitions.templates[WORKSPACE, "fresh"] = service.definitions.templates[WORKSPACE, "otp_us"]

    service.renewals.append(arrive)
    assert (await service.post(SMS, {"template_key": "fresh", **CONTACT}))[0] == 200


@pytest.mark.parametrize(("key", "status"), [(None, 401), ("sk_live_nobody", 401), ("sk_live_reader", 403)])
async def test_only_a_key_with_the_scope_may_send(service: Any, key: str | None, status: int) -> None:
    got, problem, headers = await service.post(SMS, DIRECT, key=key)
    assert (got, problem["status"]) == (status, status)
    assert headers["Content-Type"] == "application/problem+json"


async def test_a_broker_that_is_away_is_a_503_that_says_when_to_come_back(service: Any) -> None:
    service.publisher.away = True
    status, problem, headers = await service.post(SMS, DIRECT)
    assert (status, headers["Retry-After"]) == (503, "2")
    assert problem["title"] == "Not available"
    assert await service.ready() == "the broker takes no events"
    service.publisher.away = False
    assert await service.ready() is None


async def test_a_broker_that_hangs_keeps_no_caller_for_longer_than_the_limit(service: Any) -> None:
    service.publisher.gate.clear()
    async with asyncio.timeout(10):
        assert (await service.post(SMS, DIRECT))[0] == 503


async def test_what_waits_for_the_broker_is_bounded(serve: Any) -> None:
    async with serve(in_flight_bytes=1024 * 1024, publish_seconds=5) as service:
        service.publisher.gate.clear()
        body = {**DIRECT, "metadata": {"filling": "x" * 300_000}}
        first = [asyncio.create_task(service.post(SMS, body)) for _ in range(3)]
        await service.publisher.has_waiting(3)
        assert (await service.post(SMS, body))[0] == 503
        assert not any(task.done() for task in first)
        service.publisher.gate.set()
        assert [status for status, _, _ in await asyncio.gather(*first)] == [200, 200, 200]
        assert (await service.post(SMS, body))[0] == 200


async def test_a_send_may_begin_later_or_have_been_due_before_now(service: Any) -> None:
    for days in (-1, 1, 365):
        at = (service.clock.now() + timedelta(days=days)).isoformat()
        assert (await service.post(SMS, {**DIRECT, "trigger_at": at}))[0] == 200


async def test_the_trigger_of_a_key_is_derived_from_it(service: Any) -> None:
    status, body, _ = await service.post(SMS, DIRECT, Idempotency_Key="order-7")
    assert (status, body["trigger_id"]) == (200, str(trigger_id_for_key(WORKSPACE, "order-7")))
    assert service.publisher.triggers()[0].plan.content == InlineSms(text="Hello")
