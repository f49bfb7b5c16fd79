"""Looking at a cluster from outside."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from sluice_contracts.topics import DAY_MS, Topic
from sluice_messaging.administration import create_topics
from sluice_messaging.errors import BrokerUnavailableError
from sluice_messaging.kafka import KafkaMessaging
from sluice_messaging.kafka.inspection import Extent, KafkaInspector
from sluice_messaging.records import OutboundRecord, Partition, Record

pytestmark = pytest.mark.integration


@pytest.fixture
async def topic(kafka_bootstrap: str) -> str:
    """A topic of one partition that holds the values 0 to 4."""
    made = Topic(f"topic-{uuid.uuid4().hex[:12]}", "For a test.", "key", 1, DAY_MS)
    await create_topics(kafka_bootstrap, topics=[made])
    async with KafkaMessaging(kafka_bootstrap, "test") as messaging:
        await messaging.publisher.publish(
            [OutboundRecord(made.name, b"k", str(number).encode(), {"n": str(number)}) for number in range(5)]
        )
    return made.name


@pytest.fixture
async def inspector(kafka_bootstrap: str) -> AsyncIterator[KafkaInspector]:
    async with KafkaInspector(kafka_bootstrap, "test") as connected:
        yield connected


async def test_what_a_partition_holds_is_read_without_a_group(topic: str, inspector: KafkaInspector) -> None:
    partition = Partition(topic, 0)
    assert await inspector.extents([partition]) == {partition: Extent(0, 5)}
    assert [record.value async for record in inspector.records(partition, Extent(1, 4))] == [b"1", b"2", b"3"]
    record = await inspector.record(partition, 3)
    assert record is not None
    assert (record.value, record.headers) == (b"3", {"n": "3"})
    assert await inspector.record(partition, 5) is None
    assert await inspector.extents([]) == {}


async def test_records_that_are_gone_are_not_waited_for(
    topic: str, inspector: KafkaInspector, kafka_bootstrap: str
) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(3)})
    await admin.close()
    partition = Partition(topic, 0)
    assert await inspector.extents([partition]) == {partition: Extent(3, 5)}
    assert await inspector.record(partition, 1) is None
    assert [record.value async for record in inspector.records(partition, Extent(3, 5))] == [b"3", b"4"]


async def test_every_partition_says_how_its_copies_are(topic: str, inspector: KafkaInspector) -> None:
    (health,) = [each for each in await inspector.partitions() if each.partition.topic == topic]
    assert (health.replicas, health.in_step, health.has_leader) == (1, 1, True)


async def test_a_group_stands_where_it_has_committed(
    topic: str, inspector: KafkaInspector, kafka_bootstrap: str
) -> None:
    group, stop, seen = f"group-{uuid.uuid4().hex}", asyncio.Event(), 0

    async def read(records: Sequence[Record]) -> None:
        nonlocal seen
        seen += len(records)
        if seen == 5:
            stop.set()

    async with KafkaMessaging(kafka_bootstrap, "test") as messaging:
        async with asyncio.timeout(30):
            await messaging.batch_consumer([topic], group, read).run(stop)
        (standing,) = [each for each in await inspector.standings([topic]) if each.group == group]
        assert (standing.partition, standing.position, standing.behind) == (Partition(topic, 0), 5, 0)
        await messaging.publisher.publish([OutboundRecord(topic, b"k", b"5")])
    (standing,) = [each for each in await inspector.standings([topic]) if each.group == group]
    assert (standing.position, standing.behind) == (5, 1)


async def test_a_group_has_a_partition_before_it_of_which_it_has_committed_nothing(
    inspector: KafkaInspector, kafka_bootstrap: str
) -> None:
    topic = Topic(f"topic-{uuid.uuid4().hex[:12]}", "For a test.", "key", 3, DAY_MS)
    await create_topics(kafka_bootstrap, topics=[topic])
    group, stop = f"group-{uuid.uuid4().hex}", asyncio.Event()

    async def read(_: Sequence[Record]) -> None:
        stop.set()

    async with KafkaMessaging(kafka_bootstrap, "test") as messaging:
        await messaging.publisher.publish([OutboundRecord(topic.name, b"one", b"1")])
        async with asyncio.timeout(30):
            await messaging.batch_consumer([topic.name], group, read).run(stop)
        await messaging.publisher.publish([OutboundRecord(topic.name, str(n).encode(), b"2") for n in range(30)])
    behind = {
        each.partition.number: each.behind for each in await inspector.standings([topic.name]) if each.group == group
    }
    assert set(behind) == {0, 1, 2}
    assert sum(behind.values()) == 30


async def test_a_broker_that_is_not_there_is_said_to_be_unavailable() -> None:
    with pytest.raises(BrokerUnavailableError):
        async with KafkaInspector("127.0.0.1:1", "test"):
            pass
