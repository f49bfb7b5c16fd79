"""The doctor says healthy of what is healthy, names what is not, and works while parts are down."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from api_client import ApiClient, wait_until
from sluice_local import processes
from sluice_local.operating.doctor import broker
from sluice_local.operating.messages import dead_letter_topics
from sluice_local.stack import Stack
from sluice_messaging.records import OutboundRecord

pytestmark = pytest.mark.e2e


async def drop_dead_letters(stack: Stack) -> None:
    """Empty what other tests have left among the dead letters."""
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.connections.kafka)
    await admin.start()
    try:
        await admin.delete_records({TopicPartition(name, 0): RecordsToDelete(-1) for name in dead_letter_topics()})
    finally:
        await admin.close()


async def healthy(operate: Any) -> str:
    """Wait until the doctor finds nothing, for other tests' work may still be under way; return what it says."""
    said = ""

    async def is_healthy() -> bool:
        nonlocal said
        answer = await operate("doctor")
        said = answer.out
        return bool(answer.code == 0)

    await wait_until(is_healthy, describe=lambda: said)
    return said


async def test_a_healthy_stack_is_said_to_be_and_a_stopped_worker_is_named(
    operate: Any, stack: Stack, standing_still: Any
) -> None:
    await drop_dead_letters(stack)
    said = await healthy(operate)
    assert "✓ healthy: 7 of 7 processes ready, Kafka answers, PostgreSQL answers" in said
    assert "✗" not in said
    with standing_still("channel-email") as pid:
        answer = await operate("doctor")
    assert answer.code == 1
    assert f"✗ channel-email: process {pid} is stopped by a signal → let it go on: kill -CONT {pid}" in answer.out
    assert "6 of 7 processes ready" in answer.out


async def test_lag_is_told_by_group_with_the_service_that_should_read(
    operate: Any, standing_still: Any, api: ApiClient, sender: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker, "PATIENCE", timedelta(milliseconds=200))
    said = ""

    async def is_told() -> bool:
        nonlocal said
        said = (await operate("doctor")).out
        # The first of them may have been sent again before a slow machine has looked.
        return bool(re.search(r"group channel-sms-priority: is \d+ records? behind on commands\.sms\.priority", said))

    # A group is known by what it has read.
    await api.finished(await sender.send("+14155550170", category="authentication"))
    await healthy(operate)
    with standing_still("channel-sms"):
        trigger_id = await sender.send("+14155550171", category="authentication")
        await wait_until(is_told, describe=lambda: said)
    assert "see that channel-sms runs and read" in said
    await api.finished(trigger_id)


async def test_what_a_worker_left_behind_is_told_with_the_trigger(
    operate: Any, standing_still: Any, database: asyncpg.Connection[asyncpg.Record]
) -> None:
    execution_id, trigger_id = uuid4(), uuid4()
    # A worker that runs would take the wave over.
    with standing_still("channel-sms"):
        await database.execute(
            """INSERT INTO channel_sms.waves (execution_id, page, round, wave, first_seq, last_seq, workspace_id,
                   trigger_id, category, epoch, owner, lease, claimed_at, facts, reports)
               VALUES ($1, 0, 0, 0, 0, 1, $2, $2, 'marketing', 0, $1, now() - interval '1 hour', now(), '{}',
                   '[0,{}]')""",
            execution_id, trigger_id,
        )  # fmt: skip
        await database.execute(
            """INSERT INTO channel_sms.parked_receipts (receipt, parked_at, due_at)
               VALUES ('x', now() - interval '1 year', now() + interval '10 years')"""
        )
        answer = await operate("doctor")
        await database.execute("DELETE FROM channel_sms.waves WHERE execution_id = $1", execution_id)
        await database.execute("DELETE FROM channel_sms.parked_receipts WHERE receipt = 'x'")
    assert answer.code == 1
    assert "✗ channel-sms: nobody has taken over 1 wave of somebody who vanished 1h ago" in answer.out
    assert f"`sluice replay {trigger_id}`" in answer.out
    assert "✗ channel-sms: 1 receipt of messages that nobody knows, the oldest for 365d" in answer.out


async def test_a_wait_that_lasts_is_healthy_and_one_that_should_be_over_is_told(
    operate: Any, standing_still: Any, database: asyncpg.Connection[asyncpg.Record]
) -> None:
    trigger_id = uuid4()
    with standing_still("orchestrator"):
        await database.execute(
            """INSERT INTO orchestrator.waits (trigger_id, step_order, seq, workspace_id, event, correlation, until,
                   due_at, since)
               SELECT $1, 1, seq, $1, 'paid', 'contact', until, until, now()
               FROM (VALUES (0, now() + interval '7 days'), (1, now() - interval '1 hour')) AS given (seq, until)""",
            trigger_id,
        )
        answer = await operate("doctor")
        await database.execute("DELETE FROM orchestrator.waits WHERE trigger_id = $1", trigger_id)
    said = "✗ orchestrator: has had 1 wait for events to begin or to end for 1h, first that of trigger"
    assert f"{said} {trigger_id}" in answer.out


async def test_dead_letters_are_told_with_the_way_to_read_one(operate: Any, stack: Stack, messaging: Any) -> None:
    await drop_dead_letters(stack)
    headers = {"x-error-class": "PoisonError", "x-error": "not a receipt"}
    await messaging.publisher.publish([OutboundRecord("receipts.whatsapp.dlq", b"k", b"nonsense", headers)])
    answer = await operate("doctor")
    assert answer.code == 1
    assert (
        "✗ receipts.whatsapp.dlq: 1 letter to be looked at, most of them for PoisonError: not a receipt" in answer.out
    )
    assert "`sluice dlq show receipts.whatsapp.dlq 0:" in answer.out


async def test_clusters_of_ones_own_are_examined_by_their_addresses(
    operate: Any, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLUICE_KAFKA", stack.connections.kafka)
    assert "SLUICE_POSTGRES is not set" in (await operate("doctor")).err
    monkeypatch.setenv("SLUICE_POSTGRES", stack.connections.postgres)
    monkeypatch.setenv("SLUICE_CLOCK_FILE", str(stack.data.clock))
    assert "services were not asked" in (await operate("doctor", data="/nowhere")).out
    port = stack.data.known_port("channel-email")
    answer = await operate("doctor", "--service", f"mail=http://127.0.0.1:{port}", data="/nowhere")
    assert "1 of 1 processes ready, Kafka answers, PostgreSQL answers" in answer.out
    assert (await operate("audit", "--all", data="/nowhere")).code == 0


async def test_the_doctor_works_when_nothing_else_does(operate: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    kafka, postgres, service = processes.free_ports(3)
    monkeypatch.setenv("SLUICE_KAFKA", f"127.0.0.1:{kafka}")
    monkeypatch.setenv("SLUICE_POSTGRES", f"postgresql://sluice:hidden@127.0.0.1:{postgres}/sluice")
    answer = await operate("doctor", "--service", f"ingest=http://127.0.0.1:{service}")
    assert answer.code == 1
    assert f"✗ kafka: the Kafka brokers 127.0.0.1:{kafka} do not answer" in answer.out
    assert f"✗ postgres: the database postgresql://sluice@127.0.0.1:{postgres}/sluice does not answer" in answer.out
    assert "✗ ingest: does not answer" in answer.out
    assert "hidden" not in answer.out + answer.err
    for words in (("dlq", "list"), ("audit", "--all"), ("replay", str(uuid4()))):
        refused = await operate(*words)
        assert refused.code == 2
        assert "do not answer" in refused.err or "does not answer" in refused.err
