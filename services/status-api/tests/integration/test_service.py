"""The whole service between a real broker and a real database: from topics to an answer, and a clean stop."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from sluice_catalog.bootstrap import ensure_workspace
from sluice_contracts import topics
from sluice_contracts.identifiers import execution_id_for
from sluice_contracts.messages.content import InlineSms
from sluice_contracts.messages.delivery import JobsReported, ReportedJobs
from sluice_contracts.messages.execution import (
    ExecutionCommanded,
    ExecutionStarted,
    PlannedExecution,
    TriggerPlanned,
)
from sluice_contracts.messages.trigger import ContactRecipients, DirectSend, TriggerAccepted
from sluice_contracts.vocabulary import Category, Channel, FlowType, JobState, Lane
from sluice_local.processes import free_port
from sluice_messaging.administration import create_topics
from sluice_messaging.kafka import KafkaMessaging
from sluice_messaging.records import outbound
from sluice_runtime.secrets import PROVIDER_SECRETS, SecretBox, derive_key
from sluice_runtime.service import serve
from sluice_storage.database import Database
from sluice_storage.migrations import migrate
from status_api.app import build
from status_api.settings import StatusSettings

pytestmark = pytest.mark.integration

SECRET = b"s" * 32


async def answer(
    session: aiohttp.ClientSession, url: str, is_awaited: Callable[[Any], bool] = lambda body: True
) -> Any:
    """GET `url` until it answers 200 with what is awaited."""
    async with asyncio.timeout(120):
        while True:
            with suppress(aiohttp.ClientConnectionError):
                async with session.get(url) as response:
                    if response.status == 200 and is_awaited(body := await response.json()):
                        return body
            await asyncio.sleep(0.1)


async def test_what_the_topics_say_is_read_over_http_and_a_stop_is_clean(status_dsn: str, kafka_bootstrap: str) -> None:
    await migrate(status_dsn, "catalog", "sluice_catalog")
    await migrate(status_dsn, "answers", "sluice_storage")
    async with await Database.open(status_dsn, "catalog", application_name="test") as catalog:
        box = SecretBox(derive_key(SECRET, PROVIDER_SECRETS))
        workspace, key = await ensure_workspace(catalog, box, f"test-{uuid4().hex}")
    assert key is not None
    await create_topics(kafka_bootstrap, 1)
    settings = StatusSettings(
        kafka=kafka_bootstrap,
        postgres=status_dsn,
        secret_key=base64.b64encode(SECRET).decode(),
        http_port=free_port(),
    )
    stop = asyncio.Event()
    running = asyncio.create_task(serve(settings, build, stop))
    base = f"http://127.0.0.1:{settings.http_port}"
    trigger, now = uuid4(), datetime.now(UTC)
    execution = execution_id_for(trigger, 1, "sms")
    about = {"trigger_id": trigger, "workspace_id": workspace}
    said: dict[str, Any] = dict.fromkeys(ReportedJobs.model_fields) | {
        "seq": 0,
        "at": int(now.timestamp() * 1000),
        "epoch": 0,
        "attempt": 1,
        "state": JobState.SENT,
        "address": "+14155550100",
    }
    async with aiohttp.ClientSession(headers={"X-API-Key": key}) as session:
        try:
            await answer(session, f"{base}/ready")
            async with KafkaMessaging(kafka_bootstrap, "test") as messaging:
                plan = PlannedExecution(
                    execution_id=execution,
                    step_id="step-1",
                    step_order=1,
                    step_name="SMS",
                    channel=Channel.SMS,
                    scheduled_for=now,
                )
                report = JobsReported(
                    **about,
                    execution_id=execution,
                    channel=Channel.SMS,
                    page=0,
                    answers_round=0,
                    reported_at=now,
                    jobs=ReportedJobs(**{name: [value] for name, value in said.items()}),
                )
                request = TriggerAccepted(
                    **about,
                    accepted_at=now,
                    lane=Lane.PRIORITY,
                    category=Category.TRANSACTIONAL,
                    plan=DirectSend(channel=Channel.SMS, content=InlineSms(text="Hi")),
                    recipients=ContactRecipients(external_ids=["user_1"]),
                )
                facts = [
                    TriggerPlanned(
                        **about, planned_at=now, starts_at=now, flow_type=FlowType.DIRECT_CHANNEL, executions=[plan]
                    ),
                    ExecutionStarted(**about, execution_id=execution, started_at=now, expected=1),
                    ExecutionCommanded(**about, execution_id=execution, at=now, total=1),
                ]
                await messaging.publisher.publish(
                    [
                        outbound(topics.DELIVERIES, report),
                        *(outbound(topics.EXECUTIONS, fact) for fact in facts),
                        outbound(topics.triggers(Lane.PRIORITY), request),
                    ],
                    timeout=120,
                )
            path = f"{base}/api/v1/triggers/{trigger}"
            body = await answer(session, path, lambda body: body["status"] == "completed")
            assert body["summary"] == {"total_contacts": 1, "sent": 1, "failed": 0, "filtered": 0}
        finally:
            stop.set()
        async with asyncio.timeout(60):
            assert await running == 0
