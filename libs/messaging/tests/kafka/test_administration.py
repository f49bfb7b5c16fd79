"""Making topics."""

from __future__ import annotations

import asyncio
import uuid

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from sluice_contracts.topics import CONTROL, DAY_MS, Cleanup, Topic, catalogue
from sluice_messaging.administration import create_topics

pytestmark = pytest.mark.integration


def fresh(cleanup: Cleanup = Cleanup.DELETE) -> Topic:
    return Topic(f"topic-{uuid.uuid4().hex[:12]}", "For a test.", "key", 3, 2 * DAY_MS, cleanup)


async def settings(bootstrap: str, name: str) -> dict[str, str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
        (described,) = await admin.describe_topics([name])
    finally:
        await admin.close()
    found = {entry[0]: entry[1] for entry in answer.resources[0][4]}
    return {**found, "partitions": str(len(described["partitions"]))}


async def test_a_topic_gets_its_settings_and_its_dead_letters(kafka_bootstrap: str) -> None:
    topic = fresh()
    assert await create_topics(kafka_bootstrap, topics=[topic]) == [topic.name, topic.dead_letters]
    made = await settings(kafka_bootstrap, topic.name)
    assert made["partitions"] == "3"
    assert made["retention.ms"] == str(2 * DAY_MS)
    assert made["cleanup.policy"] == "delete"
    assert made["min.insync.replicas"] == "1"
    letters = await settings(kafka_bootstrap, topic.dead_letters)
    assert (letters["partitions"], letters["retention.ms"]) == ("1", str(30 * DAY_MS))


async def test_a_table_is_compacted(kafka_bootstrap: str) -> None:
    topic = fresh(Cleanup.COMPACT)
    await create_topics(kafka_bootstrap, topics=[topic])
    assert (await settings(kafka_bootstrap, topic.name))["cleanup.policy"] == "compact,delete"


async def test_what_exists_is_left_alone_and_what_is_missing_is_added(kafka_bootstrap: str) -> None:
    first, second = fresh(), fresh()
    await create_topics(kafka_bootstrap, topics=[first])
    assert await create_topics(kafka_bootstrap, topics=[first, second]) == [second.name, second.dead_letters]
    assert await create_topics(kafka_bootstrap, topics=[first, second]) == []


async def test_two_may_make_the_same_topics_at_once(kafka_bootstrap: str) -> None:
    topics = [fresh() for _ in range(3)]
    made = await asyncio.gather(*(create_topics(kafka_bootstrap, topics=topics) for _ in range(3)))
    assert sorted(name for names in made for name in names) == sorted(
        name for topic in topics for name in (topic.name, topic.dead_letters)
    )


async def test_the_whole_catalogue_can_be_made(kafka_bootstrap: str) -> None:
    await create_topics(kafka_bootstrap)
    assert await create_topics(kafka_bootstrap) == []
    assert (await settings(kafka_bootstrap, CONTROL))["partitions"] == "1"
    for topic in catalogue()[:2]:
        assert (await settings(kafka_bootstrap, topic.name))["partitions"] == str(topic.partitions)
