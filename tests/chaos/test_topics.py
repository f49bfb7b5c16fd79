"""Losing a topic's log, and reading the dead letters, on a real broker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewTopic

from chaos import topics

pytestmark = pytest.mark.integration


@pytest.fixture
async def producer(kafka_bootstrap: str) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=kafka_bootstrap, acks="all")
    await producer.start()
    yield producer
    await producer.stop()


@pytest.fixture
async def topic(kafka_bootstrap: str, producer: AIOKafkaProducer) -> str:
    """A topic of two partitions, with a setting of its own and ten records."""
    name = f"t{uuid4().hex[:8]}"
    async with topics.administrator(kafka_bootstrap) as admin:
        await admin.create_topics([NewTopic(name, 2, 1, topic_configs={"retention.ms": "86400000"})])
    for number in range(10):
        await producer.send_and_wait(name, b"x", partition=number % 2)
    return name


async def bounds(bootstrap: str, topic: str) -> tuple[list[int], list[int]]:
    """Return where each partition begins and ends."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None)
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(2)]
        beginnings, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
        return list(beginnings.values()), list(ends.values())
    finally:
        await consumer.stop()


async def test_an_emptied_topic_goes_on_where_it_was(kafka_bootstrap: str, topic: str) -> None:
    await topics.empty(kafka_bootstrap, topic)
    assert await bounds(kafka_bootstrap, topic) == ([5, 5], [5, 5])


async def test_a_topic_made_anew_begins_at_zero_with_the_settings_that_it_had(kafka_bootstrap: str, topic: str) -> None:
    before = await topics.settings_of(kafka_bootstrap, topic)
    assert before == {"retention.ms": "86400000"}
    await topics.make_anew(kafka_bootstrap, topic)
    assert await bounds(kafka_bootstrap, topic) == ([0, 0], [0, 0])
    assert await topics.settings_of(kafka_bootstrap, topic) == before


async def test_every_dead_letter_is_read_with_its_reason(kafka_bootstrap: str, producer: AIOKafkaProducer) -> None:
    name = f"t{uuid4().hex[:8]}.dlq"
    async with topics.administrator(kafka_bootstrap) as admin:
        await admin.create_topics([NewTopic(name, 1, 1)])
    headers = [("x-error-class", b"PoisonError"), ("x-error", b"what is this")]
    await producer.send_and_wait(name, b"x", headers=headers)
    found = [letter for letter in await topics.dead_letters(kafka_bootstrap) if letter.topic == name]
    assert [(letter.place, letter.reason) for letter in found] == [("0:0", "PoisonError: what is this")]
