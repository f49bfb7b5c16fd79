"""Each JSON example of the Trigger API's reference, driven on the real stack, compared key by key, type by type."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from api_client import ApiClient
from shapes import assert_shape
from sluice_local.stack import Stack

pytestmark = pytest.mark.e2e

UUID_TEXT = "780cab43-2de4-4ce0-a96b-aeeeed06346c"
INSTANT = "2025-11-23T02:25:28.090Z"

BALANCE = {"cancelled", "open", "held", "unlisted"}
ANALYTICS = {
    "awaiting_receipt", "unknown", "failed", "bounced", "clicked", "opened", "complained", "unsubscribed", "replied",
    "read", "delivered",
}  # fmt: skip
ADDITIONS = {
    "queue_seconds", "code", "cancelled_count", "open_count", "total_segments", "estimated_cost", "currency",
    "filter_reasons", "started_at", "completed_at", "execution_details_endpoint", "scheduled_for", "paused",
    "cancelled",     "total_cancelled", "total_open",
    "version", "failure", "condition", "campaign_name", "metadata", "category",
} | BALANCE | ANALYTICS  # fmt: skip


@pytest.fixture
async def api(stack: Stack) -> AsyncIterator[ApiClient]:
    async with ApiClient(stack.base_url, stack.api_key) as client:
        yield client


class People:
    """Contacts and definitions of one test, under a tag of its own."""

    def __init__(self, api: ApiClient) -> None:
        self.api = api
        self.mark = uuid4().hex[:10]

    async def contacts(self, *addresses: tuple[str | None, str | None]) -> list[str]:
        """Create a contact for each (phone, email) pair, all with the mark as their tag; return their external ids."""
        contacts = [
            {
                "external_id": f"{self.mark}-{place}",
                "phone_number": phone,
                "email": email,
                "tags": [self.mark],
                "name": "Ada L",
            }
            for place, (phone, email) in enumerate(addresses)
        ]
        answer = await self.api.post("/api/v1/contacts/bulk", {"contacts": contacts})
        assert [result["status"] for result in answer["results"]] == ["created"] * len(contacts)
        return [contact["external_id"] for contact in contacts]

    async def template(self, channel: str, **variant: Any) -> str:
        """Create an approved template with one variant and return its key."""
        key = f"{channel}_{self.mark}_{uuid4().hex[:4]}"
        body = {"key": key, "name": key, "channel": channel, "category": "transactional", "variants": [variant]}
        await self.api.post("/api/v1/templates", body)
        return key

    def sms(self, **variant: Any) -> Any:
        return self.template("sms", country=None, locale=None, text="Hi {{ name }}", **variant)

    def email(self) -> Any:
        html = '<html><body><p>Hi {{ name }}</p><a href="https://example.test/">more</a></body></html>'
        return self.template("email", country=None, locale=None, subject="Hi {{ name }}", html=html)

    def whatsapp(self) -> Any:
        return self.template(
            "whatsapp", country=None, locale=None, template_name="hello", language="en_US", body="Hi {{ name }}"
        )


@pytest.fixture
def people(api: ApiClient) -> People:
    return People(api)


def mail(place: int) -> str:
    return f"person{place}@example.test"


def phone(place: int) -> str:
    return f"+1415555{2000 + place}"


def assert_balanced(jobs: dict[str, Any], analytics: dict[str, Any]) -> None:
    accounted = jobs["sent"] + jobs["failed"] + jobs["filtered"] + jobs["cancelled"] + jobs["open"]
    assert jobs["total"] == accounted
    negative = analytics["bounced"] if "bounced" in analytics and "failed" not in analytics else analytics["failed"]
    assert analytics["sent"] == analytics["delivered"] + negative + analytics["awaiting_receipt"]


async def test_a_filtered_sms_reads_as_the_basic_and_the_direct_example(api: ApiClient, people: People) -> None:
    (external_id,) = await people.contacts(("+918489462530", None))
    template = await people.template("sms", country="US", locale=None, text="Your code is {{ code }}")
    sent = await api.post(
        "/api/v1/messages/sms/send",
        {"template_key": template, "recipient_type": "contact", "contact_external_id": external_id},
    )
    assert_shape(sent, {"success": True, "trigger_id": UUID_TEXT, "job_id": "1"})
    basic = await api.finished(sent["trigger_id"])
    assert_shape(
        basic,
        {
            "id": UUID_TEXT,
            "flow_type": "direct_channel",
            "trigger_type": "sms",
            "trigger_source": "direct_api",
            "campaign_name": "SMS Send - otp_us",
            "status": "completed",
            "created_at": INSTANT,
            "started_at": INSTANT,
            "completed_at": INSTANT,
            "scheduled_at": None,
            "duration_seconds": 0.131,
            "summary": {"total_contacts": 1, "sent": 0, "failed": 0, "filtered": 1},
            "details_endpoint": "/triggers/780cab43/direct",
        },
        ADDITIONS,
    )
    assert basic["campaign_name"] == f"SMS Send - {template}"
    assert basic["details_endpoint"] == f"/triggers/{sent['trigger_id']}/direct"
    assert (basic["status"], basic["summary"]["filtered"], basic["summary"]["sent"]) == ("completed", 1, 0)
    direct = await api.get(f"/api/v1/triggers/{sent['trigger_id']}/direct")
    assert_shape(
        direct,
        {
            "trigger_id": UUID_TEXT,
            "flow_type": "direct_channel",
            "channel": "sms",
            "execution": {
                "id": UUID_TEXT,
                "status": "completed",
                "total_contacts": 1,
                "sent_count": 0,
                "failed_count": 0,
                "filtered_count": 1,
                "total_segments": 0,
                "estimated_cost": 0.0,
                "currency": "USD",
                "started_at": INSTANT,
                "completed_at": INSTANT,
            },
            "jobs": {
                "total": 1,
                "sent": 0,
                "failed": 0,
                "filtered": 1,
                "filter_reasons": [{"reason": "No approved SMS template", "count": 1, "contacts": ["+918489462530"]}],
            },
            "analytics": {
                "sent": 0, "delivered": 0, "failed": 0, "clicked": 0, "opened": 0, "bounced": 0, "complained": 0,
            },
            "execution_details_endpoint": "/api/v1/sms/executions/85b3b004/jobs",
        },
        ADDITIONS,
    )  # fmt: skip
    (reason,) = direct["jobs"]["filter_reasons"]
    assert reason["reason"] == "No approved SMS template for country: IN"
    assert reason["code"] == "no_template_for_country"
    assert reason["contacts"] == ["+918489462530"]
    assert direct["execution_details_endpoint"] == f"/api/v1/sms/executions/{direct['execution']['id']}/jobs"
    assert_balanced(direct["jobs"], direct["analytics"])
    page = await api.get(f"{direct['execution_details_endpoint']}?status=filtered&limit=50")
    (job,) = page["data"]["jobs"]
    assert (job["phone_number"], job["filter_reason"]) == ("+918489462530", reason["reason"])
    assert page["pagination"]["has_more"] is False


async def test_a_direct_email_reads_as_its_example(api: ApiClient, people: People) -> None:
    mark = people.mark
    addresses = [
        *(mail(place) for place in range(8)),
        f"bounce+{mark}@sandbox.test",
        f"complaint+{mark}@sandbox.test",
        f"optout+{mark}@sandbox.test",
        f"engaged+{mark}@sandbox.test",
        f"invalid+{mark}@sandbox.test",
    ]
    await people.contacts(*((None, address) for address in addresses))
    body = {"template_key": await people.email(), "recipient_type": "tag", "tags": [mark], "category": "marketing"}
    sent = await api.post("/api/v1/messages/send", body)
    await api.finished(sent["trigger_id"])
    path = f"/api/v1/triggers/{sent['trigger_id']}/direct"
    direct = await api.until(
        path,
        lambda now: (
            now["analytics"]["awaiting_receipt"] == 0
            and now["analytics"]["complained"]
            and now["analytics"]["clicked"]
            and now["analytics"]["unsubscribed"]
        ),
    )
    counts = {"total_contacts": 1000, "sent_count": 995, "failed_count": 5, "filtered_count": 0}
    assert_shape(
        direct,
        {
            "trigger_id": UUID_TEXT,
            "flow_type": "direct_channel",
            "channel": "email",
            "execution": {
                "id": UUID_TEXT, "status": "completed", **counts, "estimated_cost": 0.0,
                "started_at": INSTANT, "completed_at": INSTANT,
            },
            "jobs": {"total": 1000, "sent": 995, "failed": 5, "filtered": 0},
            "analytics": {
                "sent": 995, "delivered": 990, "opened": 450, "clicked": 120, "bounced": 5, "complained": 2,
                "unsubscribed": 1,
            },
            "execution_details_endpoint": "/api/v1/messages/executions/def456/jobs",
        },
        ADDITIONS,
    )  # fmt: skip
    assert direct["jobs"]["filter_reasons"] == []
    assert (direct["jobs"]["total"], direct["jobs"]["sent"], direct["jobs"]["failed"]) == (13, 12, 1)
    analytics = direct["analytics"]
    assert (analytics["sent"], analytics["delivered"], analytics["bounced"]) == (12, 11, 1)
    assert (analytics["complained"], analytics["unsubscribed"], analytics["clicked"]) == (1, 1, 1)
    assert_balanced(direct["jobs"], analytics)


async def test_a_direct_whatsapp_reads_as_its_example(api: ApiClient, people: People) -> None:
    await people.contacts(*((phone(place), None) for place in range(4)), ("+15005550002", None), ("+15005550008", None))
    body = {"template_key": await people.whatsapp(), "recipient_type": "tag", "tags": [people.mark]}
    sent = await api.post("/api/v1/messages/whatsapp/send", body)
    await api.finished(sent["trigger_id"])
    direct = await api.until(
        f"/api/v1/triggers/{sent['trigger_id']}/direct",
        lambda now: now["analytics"]["awaiting_receipt"] == 0 and now["analytics"]["replied"],
    )
    counts = {"total_contacts": 500, "sent_count": 495, "failed_count": 5, "filtered_count": 0}
    assert_shape(
        direct,
        {
            "trigger_id": UUID_TEXT,
            "flow_type": "direct_channel",
            "channel": "whatsapp",
            "execution": {
                "id": UUID_TEXT, "status": "completed", **counts, "estimated_cost": 14.85, "currency": "USD",
                "started_at": INSTANT, "completed_at": INSTANT,
            },
            "jobs": {"total": 500, "sent": 495, "failed": 5, "filtered": 0},
            "analytics": {"sent": 495, "delivered": 485, "read": 420, "failed": 10, "replied": 35},
            "execution_details_endpoint": "/api/v1/whatsapp/executions/ghi012/jobs",
        },
        ADDITIONS,
    )  # fmt: skip
    analytics = direct["analytics"]
    assert (analytics["sent"], analytics["delivered"], analytics["failed"], analytics["replied"]) == (6, 5, 1, 1)
    assert direct["execution"]["estimated_cost"] > 0
    assert_balanced(direct["jobs"], analytics)


async def test_a_workflow_with_steps_reads_as_its_example_while_it_waits_and_when_it_is_over(
    api: ApiClient, people: People, stack: Stack
) -> None:
    await people.contacts(*((phone(100 + place), mail(100 + place)) for place in range(5)))
    name = f"Welcome Series {people.mark}"
    steps = [
        {"step_id": "step-1", "step_name": "Welcome Email", "channel": "email", "template_key": await people.email()},
        {"step_id": "step-2", "step_name": "Day 1 SMS", "channel": "sms", "template_key": await people.sms()},
        {
            "step_id": "step-3",
            "step_name": "Day 3 WhatsApp",
            "channel": "whatsapp",
            "template_key": await people.whatsapp(),
        },
    ]
    delays = (0, 1440, 4320)
    for step, delay in zip(steps, delays, strict=True):
        step["delay_minutes"] = delay
    await api.post("/api/v1/workflows", {"name": name, "type": "steps", "status": "active", "steps": steps})
    body = {"workflow_name": name, "recipient_type": "tag", "tags": [people.mark]}
    started = await api.post("/api/v1/workflows/trigger", body)
    assert_shape(started, {"success": True, "trigger_id": UUID_TEXT})
    path = f"/api/v1/triggers/{started['trigger_id']}/workflow"
    waiting = await api.until(path, lambda now: now["steps"] and now["steps"][0]["status"] == "completed")
    counts = {"total_contacts": 1000, "sent_count": 995, "failed_count": 5, "filtered_count": 0}
    nothing = {"execution": None, "jobs": None, "analytics": None}
    assert_shape(
        waiting,
        {
            "trigger_id": UUID_TEXT,
            "flow_type": "workflow",
            "workflow_type": "steps",
            "workflow": {"id": "wf-456", "name": "Welcome Series", "execution_id": "wfex-789"},
            "steps": [
                {
                    "step_id": "step-1", "step_order": 1, "step_name": "Welcome Email", "channel": "email",
                    "status": "completed", "delay_minutes": 0,
                    "execution": {
                        "id": "exec-email-1", "status": "completed", **counts,
                        "started_at": INSTANT, "completed_at": INSTANT,
                    },
                    "jobs": {"total": 1000, "sent": 995, "failed": 5, "filtered": 0},
                    "analytics": {"sent": 995, "delivered": 990, "opened": 450, "clicked": 120},
                },
                {
                    "step_id": "step-2", "step_order": 2, "step_name": "Day 1 SMS", "channel": "sms",
                    "status": "scheduled", "delay_minutes": 1440, "scheduled_for": INSTANT, **nothing,
                },
                {
                    "step_id": "step-3", "step_order": 3, "step_name": "Day 3 WhatsApp", "channel": "whatsapp",
                    "status": "pending", "delay_minutes": 4320, **nothing,
                },
            ],
            "totals": {
                "total_contacts": 1000, "total_sent": 995, "total_failed": 5, "total_filtered": 0, "total_cost": 0.0,
                "currency": "USD", "steps_completed": 1, "steps_total": 3,
            },
        },
        ADDITIONS,
    )  # fmt: skip
    assert [step["status"] for step in waiting["steps"]] == ["completed", "scheduled", "pending"]
    assert "scheduled_for" not in waiting["steps"][2]
    basic = await api.get(f"/api/v1/triggers/{started['trigger_id']}")
    assert (basic["flow_type"], basic["trigger_type"], basic["status"]) == ("workflow", "workflow", "processing")
    assert basic["details_endpoint"] == f"/triggers/{started['trigger_id']}/workflow"
    stack.advance_clock(timedelta(days=3, minutes=5))
    over = await api.until(path, lambda now: now["totals"]["steps_completed"] == 3)
    assert [step["status"] for step in over["steps"]] == ["completed"] * 3
    assert (over["totals"]["total_contacts"], over["totals"]["total_sent"]) == (5, 15)
    assert (await api.finished(started["trigger_id"]))["summary"]["total_contacts"] == 5


async def test_a_template_group_reads_as_its_example(api: ApiClient, people: People) -> None:
    everywhere = [(phone(200 + place), mail(200 + place)) for place in range(5)]
    await people.contacts(*everywhere, (None, mail(300)), (None, mail(301)))
    templates = {"email": await people.email(), "sms": await people.sms(), "whatsapp": await people.whatsapp()}
    key, name = f"otp_{people.mark}", f"Multi-Channel OTP {people.mark}"
    await api.post("/api/v1/template-groups", {"key": key, "name": name, "templates": templates})
    await api.post(
        "/api/v1/workflows", {"name": name, "type": "template_group", "status": "active", "template_group_key": key}
    )
    body = {"workflow_name": name, "recipient_type": "tag", "tags": [people.mark]}
    started = await api.post("/api/v1/workflows/trigger", body)
    await api.finished(started["trigger_id"])
    detail = await api.until(
        f"/api/v1/triggers/{started['trigger_id']}/workflow",
        lambda now: all(channel["analytics"]["awaiting_receipt"] == 0 for channel in now["channels"].values()),
    )
    counts = {"total_contacts": 1000, "sent_count": 995, "failed_count": 5, "filtered_count": 0}
    jobs = {"total": 1000, "sent": 995, "failed": 5, "filtered": 0}
    execution = {"id": "exec-email-2", "status": "completed", **counts}
    assert_shape(
        detail,
        {
            "trigger_id": UUID_TEXT,
            "flow_type": "workflow",
            "workflow_type": "template_group",
            "workflow": {"id": "wf-789", "name": "OTP", "execution_id": "wfex-123", "template_group_id": "tg-456"},
            "channels": {
                "email": {
                    "execution": execution, "jobs": jobs,
                    "analytics": {"sent": 995, "delivered": 990, "opened": 450},
                },
                "sms": {
                    "execution": execution | {"estimated_cost": 23.85}, "jobs": jobs,
                    "analytics": {"sent": 795, "delivered": 790, "failed": 5},
                },
                "whatsapp": {
                    "execution": execution | {"estimated_cost": 14.85}, "jobs": jobs,
                    "analytics": {"sent": 495, "delivered": 485, "read": 420, "replied": 35},
                },
            },
            "totals": {
                "total_contacts": 1000, "total_sent": 2285, "total_failed": 15, "total_filtered": 0,
                "total_cost": 38.70, "currency": "USD", "channels_completed": 3, "channels_total": 3,
            },
        },
        ADDITIONS,
    )  # fmt: skip
    totals = {channel: body["execution"]["total_contacts"] for channel, body in detail["channels"].items()}
    assert totals == {"email": 7, "sms": 5, "whatsapp": 5}
    assert (detail["totals"]["total_contacts"], detail["totals"]["total_sent"]) == (7, 17)
    costs = sum(body["execution"].get("estimated_cost", 0.0) for body in detail["channels"].values())
    assert detail["totals"]["total_cost"] == pytest.approx(costs)
    for body in detail["channels"].values():
        assert_balanced(body["jobs"], body["analytics"])


async def test_the_wrong_detail_endpoint_names_the_right_one(api: ApiClient) -> None:
    sent = await api.post(
        "/api/v1/sms/send", {"recipient_type": "direct_sms", "direct_sms": "+14155550199", "text": "Hello"}
    )
    await api.until(f"/api/v1/triggers/{sent['trigger_id']}", bool)
    answer = await api.call("GET", f"/api/v1/triggers/{sent['trigger_id']}/workflow")
    assert answer.status == 409
    assert f"/triggers/{sent['trigger_id']}/direct" in answer.body["detail"]
