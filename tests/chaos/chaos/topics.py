"""Topics as an operator with too many rights treats them, with plain aiokafka; and the dead letters."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, UnknownTopicOrPartitionError

from chaos.history import DeadLetter

_PATIENCE_SECONDS: Final = 120.0
_AGAIN_SECONDS: Final = 0.2
_OF_THE_TOPIC: Final = 1
"""Where a setting comes from, in the protocol: not from the broker, nor by default."""

GROUPS: Final = (
    ("orchestrator.deliveries", "deliveries"),
    ("status-deliveries", "deliveries"),
    ("status-executions", "executions"),
    *((f"orchestrator.triggers.{lane}", f"triggers.{lane}") for lane in ("priority", "bulk")),
    *(
        (f"channel-{channel}-{lane}", f"commands.{channel}.{lane}")
        for channel in ("sms", "email", "whatsapp")
        for lane in ("priority", "bulk")
    ),
)
"""Groups that take part in rebalances, each with what it reads."""


@asynccontextmanager
async def administrator(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    """Yield a client for administration."""
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=10_000)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


async def leading_broker(bootstrap: str) -> int:
    """Return the id of the broker that leads the most partitions."""
    async with administrator(bootstrap) as admin:
        led = Counter(
            partition["leader"] for topic in await admin.describe_topics() for partition in topic["partitions"]
        )
    led.pop(-1, None)
    return int(led.most_common(1)[0][0])


async def empty(bootstrap: str, topic: str) -> None:
    """Delete every record of a topic; offsets go on from where they are."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False)
    await consumer.start()
    try:
        async with administrator(bootstrap) as admin:
            (described,) = await admin.describe_topics([topic])
            partitions = [TopicPartition(topic, each["partition"]) for each in described["partitions"]]
            ends = await consumer.end_offsets(partitions)
            await admin.delete_records({partition: RecordsToDelete(end) for partition, end in ends.items()})
    finally:
        await consumer.stop()


async def make_anew(bootstrap: str, topic: str) -> None:
    """Delete a topic and make it again with its settings; offsets begin at 0, and groups have none."""
    own = await settings_of(bootstrap, topic)
    async with administrator(bootstrap) as admin:
        (described,) = await admin.describe_topics([topic])
        partitions = described["partitions"]
        new = NewTopic(topic, len(partitions), len(partitions[0]["replicas"]), topic_configs=own)
        await _until(lambda: _is_gone(admin, topic))
        # It takes the brokers a moment to forget the old one.
        await _until(lambda: _is_made(admin, new))


async def _until(attempt: Callable[[], Awaitable[bool]]) -> None:
    """Try until it is done: brokers may be away, or coming back. Raises TimeoutError when they stay away."""
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while True:
            with suppress(KafkaError, OSError):
                if await attempt():
                    return
            await asyncio.sleep(_AGAIN_SECONDS)


async def _is_gone(admin: AIOKafkaAdminClient, topic: str) -> bool:
    ((_, error, *_),) = (await admin.delete_topics([topic])).topic_error_codes
    return error in {0, UnknownTopicOrPartitionError.errno}


async def _is_made(admin: AIOKafkaAdminClient, topic: NewTopic) -> bool:
    ((_, error, *_),) = (await admin.create_topics([topic])).topic_errors
    return error in {0, TopicAlreadyExistsError.errno}


async def settings_of(bootstrap: str, topic: str) -> dict[str, str]:
    """Return the settings that a topic has for itself."""
    async with administrator(bootstrap) as admin:
        (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    ((_, _, _, _, entries),) = answer.resources
    return {name: value for name, value, _, source, *_ in entries if source == _OF_THE_TOPIC}


async def disturb_groups(bootstrap: str, seconds: float, every: float = 5.0) -> None:
    """Join every group and leave it again, every so many seconds, for `seconds`.

    The stranger is given a share of the partitions and does nothing with it.
    """
    loop = asyncio.get_running_loop()
    ends = loop.time() + seconds
    while loop.time() < ends:
        began = loop.time()
        await asyncio.gather(*(_visit(bootstrap, group, topic, every / 2) for group, topic in GROUPS))
        await asyncio.sleep(max(0.0, began + every - loop.time()))


async def _visit(bootstrap: str, group: str, topic: str, seconds: float) -> None:
    stranger = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        group_id=group,
        enable_auto_commit=False,
        partition_assignment_strategy=(RoundRobinPartitionAssignor,),
        session_timeout_ms=6_000,
        heartbeat_interval_ms=1_000,
    )
    # Neither joining nor leaving has a deadline of its own while a broker is away.
    with suppress(KafkaError, OSError, TimeoutError):
        async with asyncio.timeout(seconds):
            await stranger.start()
            await asyncio.sleep(seconds)
    leaving = asyncio.create_task(stranger.stop())
    await asyncio.wait({leaving}, timeout=seconds)
    if not leaving.done():
        leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)


async def dead_letters(bootstrap: str) -> list[DeadLetter]:
    """Return every record of every dead-letter topic."""
    async with administrator(bootstrap) as admin:
        described = await admin.describe_topics()
    partitions = [
        TopicPartition(topic["topic"], each["partition"])
        for topic in described
        if topic["topic"].endswith(".dlq")
        for each in topic["partitions"]
    ]
    if not partitions:
        raise UnknownTopicOrPartitionError("there are no dead-letter topics")
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False)
    await consumer.start()
    found = []
    try:
        for partition, end in (await consumer.end_offsets(partitions)).items():
            consumer.assign([partition])
            await consumer.seek_to_beginning(partition)
            while await consumer.position(partition) < end:
                for record in (await consumer.getmany(partition, timeout_ms=500)).get(partition, []):
                    headers = dict(record.headers)
                    reason = (headers.get("x-error-class", b"") + b": " + headers.get("x-error", b"")).decode()
                    found.append(DeadLetter(record.topic, f"{record.partition}:{record.offset}", reason))
    finally:
        await consumer.stop()
    return found
