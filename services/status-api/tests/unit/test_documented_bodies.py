"""Each JSON example of the Trigger API's reference, made from rows: the same keys, order, types and values."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sluice_contracts.vocabulary import Category, Channel, FlowType, JobState, WorkflowType
from status_api.domain.overview import overview
from status_api.domain.presentation.direct import present_direct
from status_api.domain.presentation.trigger import present_trigger
from status_api.domain.presentation.workflow import present_workflow
from status_api.domain.rows import EngagementCounts, ExecutionRow, MessageCounts, ReasonRow, TriggerRow

ADDITIONS = frozenset({"queue_seconds", "code", "awaiting_receipt", "unknown", "cancelled", "open", "unlisted"})
TRIGGER = UUID("780cab43-2de4-4ce0-a96b-aeeeed06346c")
EXECUTION = UUID("85b3b004-5331-4921-b44a-6915f5572a7a")
WORKFLOW, RUN, GROUP = (UUID(int=place) for place in (1, 2, 3))
NINE = datetime(2025, 11, 23, 9, 59, 58, tzinfo=UTC)
TEN = datetime(2025, 11, 23, 10, tzinfo=UTC)


def assert_is_the_example(actual: dict[str, Any], example: dict[str, Any], *more: str) -> None:
    """Fail unless `actual` without our additions has the example's very text: keys, order, types and values."""
    assert json.dumps(_without(actual, ADDITIONS | set(more)), indent=1) == json.dumps(example, indent=1)


def _without(value: Any, keys: frozenset[str] | set[str]) -> Any:
    if isinstance(value, dict):
        return {key: _without(item, keys) for key, item in value.items() if key not in keys}
    return [_without(item, keys) for item in value] if isinstance(value, list) else value


def trigger(**values: Any) -> TriggerRow:
    defaults: dict[str, Any] = {
        "trigger_id": TRIGGER,
        "workspace_id": UUID(int=9),
        "version": 1,
        "accepted_at": NINE,
        "flow_type": FlowType.DIRECT_CHANNEL,
        "category": Category.TRANSACTIONAL,
        "planned_at": NINE,
    }
    return TriggerRow(**defaults | values)


def execution(channel: Channel, **values: Any) -> ExecutionRow:
    defaults: dict[str, Any] = {"execution_id": EXECUTION, "trigger_id": TRIGGER, "channel": channel, "step_order": 1}
    return ExecutionRow(**defaults | values)


FILTERED_SMS = execution(
    Channel.SMS,
    started_at=datetime(2025, 11, 23, 2, 25, 44, 499_000, tzinfo=UTC),
    last_ended_at=datetime(2025, 11, 23, 2, 25, 44, 630_000, tzinfo=UTC),
    expected=1,
    commanded_total=1,
    commanded_at=datetime(2025, 11, 23, 2, 25, 44, 520_000, tzinfo=UTC),
    filtered=1,
)
SMS_TRIGGER = trigger(
    channel=Channel.SMS,
    accepted_at=datetime(2025, 11, 23, 2, 25, 28, 90_000, tzinfo=UTC),
    campaign_name="SMS Send - otp_us",
    counted_contacts=1,
)


def test_the_basic_body() -> None:
    body = present_trigger(overview(SMS_TRIGGER, [FILTERED_SMS]))
    assert_is_the_example(
        body,
        {
            "id": "780cab43-2de4-4ce0-a96b-aeeeed06346c",
            "flow_type": "direct_channel",
            "trigger_type": "sms",
            "trigger_source": "direct_api",
            "campaign_name": "SMS Send - otp_us",
            "status": "completed",
            "created_at": "2025-11-23T02:25:28.090Z",
            "started_at": "2025-11-23T02:25:44.499Z",
            "completed_at": "2025-11-23T02:25:44.630Z",
            "scheduled_at": None,
            "duration_seconds": 0.131,
            "summary": {"total_contacts": 1, "sent": 0, "failed": 0, "filtered": 1},
            "details_endpoint": "/triggers/780cab43-2de4-4ce0-a96b-aeeeed06346c/direct",
        },
    )
    assert body["queue_seconds"] == 16.409


def test_the_direct_sms_body() -> None:
    reason = ReasonRow(
        EXECUTION,
        JobState.FILTERED,
        "no_template_for_country",
        "No approved SMS template for country: IN",
        1,
        ("+918489462530",),
    )
    body = present_direct(overview(SMS_TRIGGER, [FILTERED_SMS]), [reason], unmasked=True)
    assert_is_the_example(
        body,
        {
            "trigger_id": "780cab43-2de4-4ce0-a96b-aeeeed06346c",
            "flow_type": "direct_channel",
            "channel": "sms",
            "execution": {
                "id": "85b3b004-5331-4921-b44a-6915f5572a7a",
                "status": "completed",
                "total_contacts": 1,
                "sent_count": 0,
                "failed_count": 0,
                "filtered_count": 1,
                "total_segments": 0,
                "estimated_cost": 0.00,
                "currency": "USD",
                "started_at": "2025-11-23T02:25:44.499Z",
                "completed_at": "2025-11-23T02:25:44.630Z",
            },
            "jobs": {
                "total": 1,
                "sent": 0,
                "failed": 0,
                "filtered": 1,
                "filter_reasons": [
                    {
                        "reason": "No approved SMS template for country: IN",
                        "count": 1,
                        "contacts": ["+918489462530"],
                    }
                ],
            },
            "analytics": {
                "sent": 0,
                "delivered": 0,
                "failed": 0,
                "clicked": 0,
                "opened": 0,
                "bounced": 0,
                "complained": 0,
            },
            "execution_details_endpoint": "/api/v1/sms/executions/85b3b004-5331-4921-b44a-6915f5572a7a/jobs",
        },
    )
    assert body["jobs"]["filter_reasons"][0]["code"] == "no_template_for_country"


def test_the_direct_email_body() -> None:
    sent = execution(
        Channel.EMAIL,
        started_at=TEN,
        last_ended_at=TEN + timedelta(minutes=5, seconds=30),
        commanded_total=1000,
        sent=995,
        failed=5,
        messages=MessageCounts(delivered=990, bounced=5),
        engagements=EngagementCounts(opened=450, clicked=120, complained=2, unsubscribed=1),
    )
    assert_is_the_example(
        present_direct(overview(trigger(channel=Channel.EMAIL), [sent]), [], unmasked=True),
        {
            "trigger_id": str(TRIGGER),
            "flow_type": "direct_channel",
            "channel": "email",
            "execution": {
                "id": str(EXECUTION),
                "status": "completed",
                "total_contacts": 1000,
                "sent_count": 995,
                "failed_count": 5,
                "filtered_count": 0,
                "estimated_cost": 0.00,
                "started_at": "2025-11-23T10:00:00.000Z",
                "completed_at": "2025-11-23T10:05:30.000Z",
            },
            "jobs": {"total": 1000, "sent": 995, "failed": 5, "filtered": 0, "filter_reasons": []},
            "analytics": {
                "sent": 995,
                "delivered": 990,
                "opened": 450,
                "clicked": 120,
                "bounced": 5,
                "complained": 2,
                "unsubscribed": 1,
            },
            "execution_details_endpoint": f"/api/v1/messages/executions/{EXECUTION}/jobs",
        },
    )


def test_the_direct_whatsapp_body() -> None:
    eight = datetime(2025, 11, 23, 8, tzinfo=UTC)
    sent = execution(
        Channel.WHATSAPP,
        started_at=eight,
        last_ended_at=eight + timedelta(minutes=10),
        commanded_total=500,
        sent=495,
        failed=5,
        cost_micros=14_850_000,
        messages=MessageCounts(delivered=65, read=420, undelivered=7, rejected=2, expired=1),
        engagements=EngagementCounts(replied=35),
    )
    assert_is_the_example(
        present_direct(overview(trigger(channel=Channel.WHATSAPP), [sent]), [], unmasked=True),
        {
            "trigger_id": str(TRIGGER),
            "flow_type": "direct_channel",
            "channel": "whatsapp",
            "execution": {
                "id": str(EXECUTION),
                "status": "completed",
                "total_contacts": 500,
                "sent_count": 495,
                "failed_count": 5,
                "filtered_count": 0,
                "estimated_cost": 14.85,
                "currency": "USD",
                "started_at": "2025-11-23T08:00:00.000Z",
                "completed_at": "2025-11-23T08:10:00.000Z",
            },
            "jobs": {"total": 500, "sent": 495, "failed": 5, "filtered": 0, "filter_reasons": []},
            "analytics": {"sent": 495, "delivered": 485, "read": 420, "failed": 10, "replied": 35},
            "execution_details_endpoint": f"/api/v1/whatsapp/executions/{EXECUTION}/jobs",
        },
    )


STEP_ONE = execution(
    Channel.EMAIL,
    step_id="step-1",
    step_name="Welcome Email",
    delay_minutes=0,
    scheduled_for=TEN,
    started_at=TEN,
    last_ended_at=TEN + timedelta(minutes=5),
    commanded_total=1000,
    sent=995,
    failed=5,
    messages=MessageCounts(delivered=990, bounced=5),
    engagements=EngagementCounts(opened=450, clicked=120),
)
STEP_TWO = execution(
    Channel.SMS,
    execution_id=UUID(int=12),
    step_id="step-2",
    step_order=2,
    step_name="Day 1 SMS",
    delay_minutes=1440,
    scheduled_for=TEN + timedelta(days=1),
)
STEP_THREE = execution(
    Channel.WHATSAPP,
    execution_id=UUID(int=13),
    step_id="step-3",
    step_order=3,
    step_name="Day 3 WhatsApp",
    delay_minutes=4320,
    scheduled_for=TEN + timedelta(days=3),
)
STEPS_TRIGGER = trigger(
    flow_type=FlowType.WORKFLOW,
    workflow_type=WorkflowType.STEPS,
    workflow_id=WORKFLOW,
    workflow_name="Welcome Series",
    workflow_execution_id=RUN,
    counted_contacts=1000,
)


def test_the_body_of_a_workflow_with_steps() -> None:
    body = present_workflow(overview(STEPS_TRIGGER, [STEP_THREE, STEP_ONE, STEP_TWO]))
    analytics = body["steps"][0]["analytics"]
    assert analytics.pop("bounced") == 5
    assert_is_the_example(
        body,
        {
            "trigger_id": str(TRIGGER),
            "flow_type": "workflow",
            "workflow_type": "steps",
            "workflow": {"id": str(WORKFLOW), "name": "Welcome Series", "execution_id": str(RUN)},
            "steps": [
                {
                    "step_id": "step-1",
                    "step_order": 1,
                    "step_name": "Welcome Email",
                    "channel": "email",
                    "status": "completed",
                    "delay_minutes": 0,
                    "execution": {
                        "id": str(EXECUTION),
                        "status": "completed",
                        "total_contacts": 1000,
                        "sent_count": 995,
                        "failed_count": 5,
                        "filtered_count": 0,
                        "started_at": "2025-11-23T10:00:00.000Z",
                        "completed_at": "2025-11-23T10:05:00.000Z",
                    },
                    "jobs": {"total": 1000, "sent": 995, "failed": 5, "filtered": 0},
                    "analytics": {"sent": 995, "delivered": 990, "opened": 450, "clicked": 120},
                },
                {
                    "step_id": "step-2",
                    "step_order": 2,
                    "step_name": "Day 1 SMS",
                    "channel": "sms",
                    "status": "scheduled",
                    "delay_minutes": 1440,
                    "scheduled_for": "2025-11-24T10:00:00.000Z",
                    "execution": None,
                    "jobs": None,
                    "analytics": None,
                },
                {
                    "step_id": "step-3",
                    "step_order": 3,
                    "step_name": "Day 3 WhatsApp",
                    "channel": "whatsapp",
                    "status": "pending",
                    "delay_minutes": 4320,
                    "execution": None,
                    "jobs": None,
                    "analytics": None,
                },
            ],
            "totals": {
                "total_contacts": 1000,
                "total_sent": 995,
                "total_failed": 5,
                "total_filtered": 0,
                "total_cost": 0.00,
                "currency": "USD",
                "steps_completed": 1,
                "steps_total": 3,
            },
        },
    )


def test_the_body_of_a_template_group() -> None:
    common = {"started_at": TEN, "last_ended_at": TEN, "failed": 5}
    email = execution(
        Channel.EMAIL,
        **common,
        commanded_total=1000,
        sent=995,
        messages=MessageCounts(delivered=990, bounced=5),
        engagements=EngagementCounts(opened=450),
    )
    sms = execution(
        Channel.SMS,
        **common,
        execution_id=UUID(int=12),
        commanded_total=800,
        sent=795,
        cost_micros=23_850_000,
        messages=MessageCounts(delivered=790, undelivered=5),
    )
    whatsapp = execution(
        Channel.WHATSAPP,
        **common,
        execution_id=UUID(int=13),
        commanded_total=500,
        sent=495,
        cost_micros=14_850_000,
        messages=MessageCounts(delivered=65, read=420, undelivered=10),
        engagements=EngagementCounts(replied=35),
    )
    group = replace(
        STEPS_TRIGGER,
        workflow_type=WorkflowType.TEMPLATE_GROUP,
        workflow_name="Multi-Channel OTP",
        template_group_id=GROUP,
    )
    body = present_workflow(overview(group, [whatsapp, sms, email]))
    assert body["channels"]["email"]["analytics"].pop("bounced") == 5
    assert body["channels"]["whatsapp"]["analytics"].pop("failed") == 10

    def channel(execution_id: UUID, total: int, cost: float | None, analytics: dict[str, int]) -> dict[str, Any]:
        counts = {"total_contacts": total, "sent_count": total - 5, "failed_count": 5, "filtered_count": 0}
        costs = {} if cost is None else {"estimated_cost": cost}
        return {
            "execution": {"id": str(execution_id), "status": "completed", **counts, **costs},
            "jobs": {"total": total, "sent": total - 5, "failed": 5, "filtered": 0},
            "analytics": analytics,
        }

    assert_is_the_example(
        body,
        {
            "trigger_id": str(TRIGGER),
            "flow_type": "workflow",
            "workflow_type": "template_group",
            "workflow": {
                "id": str(WORKFLOW),
                "name": "Multi-Channel OTP",
                "execution_id": str(RUN),
                "template_group_id": str(GROUP),
            },
            "channels": {
                "email": channel(EXECUTION, 1000, None, {"sent": 995, "delivered": 990, "opened": 450}),
                "sms": channel(UUID(int=12), 800, 23.85, {"sent": 795, "delivered": 790, "failed": 5}),
                "whatsapp": channel(
                    UUID(int=13), 500, 14.85, {"sent": 495, "delivered": 485, "read": 420, "replied": 35}
                ),
            },
            "totals": {
                "total_contacts": 1000,
                "total_sent": 2285,
                "total_failed": 15,
                "total_filtered": 0,
                "total_cost": 38.70,
                "currency": "USD",
                "channels_completed": 3,
                "channels_total": 3,
            },
        },
    )
