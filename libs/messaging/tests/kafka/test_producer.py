"""The producer behind the publisher: replaced when it cannot recover, and only then."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import ProducerFenced

from sluice_contracts.topics import DAY_MS, Topic
from sluice_messaging.administration import create_topics
from sluice_messaging.errors import BrokerUnavailableError, PoisonError, RecordTooLargeError
from sluice_messaging.kafka import KafkaMessaging
from sluice_messaging.kafka.producer import ProducerSupply
from sluice_messaging.records import OutboundRecord, Record
from sluice_messaging.testing import PARTITIONS, KafkaStage, numbered

pytestmark = pytest.mark.integration


@pytest.fixture
async def stage(kafka_bootstrap: str) -> AsyncIterator[KafkaStage]:
    async with KafkaStage(kafka_bootstrap) as made:
        yield made


async def test_a_producer_whose_sequence_the_broker_refuses_is_replaced(stage: KafkaStage) -> None:
    topic, process = await stage.topic(), await stage.process()
    await process.publisher.publish(numbered(topic, 20))
    producer = await _producer(process)
    for number in range(PARTITIONS):
        producer._txn_manager.increment_sequence_number(TopicPartition(topic, number), 7)
    with pytest.raises(BrokerUnavailableError, match="OutOfOrderSequenceNumber"):
        await process.publisher.publish([OutboundRecord(topic, b"k", b"refused")])
    await process.publisher.publish([OutboundRecord(topic, b"k", b"taken")])
    assert await _producer(process) is not producer
    assert b"taken" in {record.value for record in await stage.records(topic)}


async def test_a_producer_whose_sender_has_died_is_replaced(stage: KafkaStage) -> None:
    topic, process = await stage.topic(), await stage.process()
    await process.publisher.publish(numbered(topic, 20))
    producer = await _producer(process)
    producer._message_accumulator.fail_all(ProducerFenced())
    with pytest.raises(BrokerUnavailableError, match="ProducerFenced"):
        await process.publisher.publish([OutboundRecord(topic, b"k", b"refused")])
    await process.publisher.publish([OutboundRecord(topic, b"k", b"taken")])
    assert await _producer(process) is not producer


async def test_a_record_that_the_broker_refuses_for_its_size_is_poison_and_spoils_nothing(stage: KafkaStage) -> None:
    topic, process = await stage.topic(), await stage.process()
    await process.publisher.publish([OutboundRecord(topic, b"k", b"before")])
    with pytest.raises(RecordTooLargeError):
        await process.publisher.publish([OutboundRecord(topic, b"k", b"x" * 1_500_000)])
    await process.publisher.publish([OutboundRecord(topic, b"k", b"after")])
    assert [record.value for record in await stage.records(topic)] == [b"before", b"after"]


async def test_a_topic_of_ours_takes_records_of_two_megabytes(stage: KafkaStage) -> None:
    topic = Topic(f"topic-{uuid.uuid4().hex[:12]}", "For a test.", "key", PARTITIONS, DAY_MS)
    await create_topics(stage.bootstrap, topics=[topic])
    process = await stage.process()
    await process.publisher.publish([OutboundRecord(topic.name, b"k", b"x" * 2_000_000)])
    (record,) = await stage.records(topic.name)
    assert len(record.value) == 2_000_000


async def test_a_dead_letter_that_does_not_fit_goes_without_its_value(stage: KafkaStage) -> None:
    topic, process = await stage.topic(), await stage.process()

    async def refuse(_: Record) -> None:
        raise PoisonError("never")

    await process.publisher.publish([OutboundRecord(topic, b"k", b"x" * 1_048_450)])
    async with stage.running(process.keyed_consumer([topic], stage.group, refuse)):
        await stage.caught_up(topic)
    (letter,) = await stage.records(f"{topic}.dlq")
    assert letter.value == b""
    assert letter.headers["x-omitted-bytes"] == "1048450"
    assert letter.headers["x-error"] == "never"


async def test_a_topic_that_does_not_exist_is_waited_for_no_longer_than_the_timeout(
    stage: KafkaStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = await stage.process()
    with pytest.raises(BrokerUnavailableError):
        await process.publisher.publish([OutboundRecord("no-such-topic", b"k", b"v")], timeout=0.5)
    assert not await process.publisher.healthy()
    monkeypatch.setattr("sluice_messaging.kafka.producer.SUSPICION_SECONDS", 0.0)
    assert await process.publisher.healthy()


async def test_a_publish_that_is_given_up_disturbs_no_other(stage: KafkaStage) -> None:
    topic, process = await stage.topic(), await stage.process()
    tasks = [asyncio.create_task(process.publisher.publish(numbered(topic, 50))) for _ in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(outcome is None for outcome in outcomes[1::2])
    assert len(await stage.records(topic)) >= 500


async def test_a_publisher_that_is_closed_refuses(stage: KafkaStage) -> None:
    topic = await stage.topic()
    async with KafkaMessaging(stage.bootstrap, "test") as messaging:
        await messaging.publisher.publish([OutboundRecord(topic, b"k", b"v")])
    with pytest.raises(BrokerUnavailableError, match="closed"):
        await messaging.publisher.publish([OutboundRecord(topic, b"k", b"v")])


async def test_after_half_a_minute_of_failures_the_producer_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    supply, reasons = ProducerSupply("127.0.0.1:1", "test"), list[str]()
    monkeypatch.setattr(supply, "_replace", reasons.append)
    monkeypatch.setattr("sluice_messaging.kafka.producer.GIVE_UP_SECONDS", 0.0)
    supply.failed()
    supply.succeeded()
    supply.failed()
    assert reasons == []
    await asyncio.sleep(0.001)
    supply.failed()
    assert reasons == ["nothing acknowledged for too long"]


async def _producer(process: Any) -> Any:
    return await process.publisher._supply.producer()
