"""Stages to test consumers on: one for every broker, so that one suite holds all adapters to the same promises."""

from __future__ import annotations

import asyncio
import uuid
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from sluice_messaging.assembly import Assembly
from sluice_messaging.dead_letters import DeadLetterLimit
from sluice_messaging.kafka import KafkaMessaging
from sluice_messaging.kafka.translation import record_from
from sluice_messaging.memory import MemoryBroker, MemoryMessaging
from sluice_messaging.ports import EventConsumer
from sluice_messaging.records import OutboundRecord, Record
from sluice_messaging.retry import Backoff

PARTITIONS = 4
QUICK = Backoff(base=0.02, cap=0.1)


class Stage(ABC):
    """A broker with fresh topics, and processes that connect to it."""

    def __init__(self) -> None:
        self.group = f"group-{uuid.uuid4().hex[:12]}"
        self._stack = AsyncExitStack()

    async def process(self, limit: DeadLetterLimit | None = None) -> Assembly:
        """Connect as one more process, until the end of the test."""
        return await self._stack.enter_async_context(self._connect(limit))

    @abstractmethod
    def _connect(self, limit: DeadLetterLimit | None) -> Any:
        """Return a messaging that is not entered yet."""

    @abstractmethod
    async def topic(self) -> str:
        """Make a topic of four partitions, and its dead letters."""

    @abstractmethod
    async def lag(self, topic: str) -> int:
        """Return how many records the group has not committed."""

    @abstractmethod
    async def records(self, topic: str) -> list[Record]:
        """Return everything in `topic`."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @asynccontextmanager
    async def running(self, consumer: EventConsumer) -> AsyncIterator[Callable[[], Awaitable[None]]]:
        """Run `consumer`; what this gives stops it and waits until it has left."""
        stop = asyncio.Event()
        task = asyncio.create_task(consumer.run(stop))

        async def finish() -> None:
            stop.set()
            await asyncio.wait_for(asyncio.shield(task), 60)

        try:
            yield finish
            await finish()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})

    async def caught_up(self, topic: str) -> None:
        """Wait until the group has committed all of `topic`."""
        await eventually(lambda: self._has_no_lag(topic))

    async def _has_no_lag(self, topic: str) -> bool:
        return await self.lag(topic) == 0


class MemoryStage(Stage):
    """The broker inside the process."""

    def __init__(self) -> None:
        super().__init__()
        self.broker = MemoryBroker(PARTITIONS)

    def _connect(self, limit: DeadLetterLimit | None) -> Any:
        return MemoryMessaging(self.broker, backoff=QUICK, limit=limit)

    async def topic(self) -> str:
        return f"topic-{uuid.uuid4().hex[:12]}"

    async def lag(self, topic: str) -> int:
        return self.broker.lag(self.group, topic)

    async def records(self, topic: str) -> list[Record]:
        return self.broker.records(topic)


class KafkaStage(Stage):
    """A running Kafka broker."""

    def __init__(self, bootstrap: str) -> None:
        super().__init__()
        self.bootstrap = bootstrap
        self.admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)

    async def __aenter__(self) -> Self:
        await self.admin.start()
        self._stack.push_async_callback(self.admin.close)
        return self

    def _connect(self, limit: DeadLetterLimit | None) -> Any:
        return KafkaMessaging(self.bootstrap, "test", backoff=QUICK, limit=limit)

    async def topic(self) -> str:
        name = f"topic-{uuid.uuid4().hex[:12]}"
        await self.admin.create_topics([NewTopic(name, PARTITIONS, 1), NewTopic(f"{name}.dlq", 1, 1)])
        async with self._reader() as reader:  # which asks again until the broker leads every partition
            await reader.end_offsets([TopicPartition(name, number) for number in range(PARTITIONS)])
        return name

    async def lag(self, topic: str) -> int:
        offsets = await self._committed()
        committed = {partition: known.offset for partition, known in offsets.items() if known.offset >= 0}
        async with self._reader() as reader:
            ends = await reader.end_offsets([TopicPartition(topic, number) for number in range(PARTITIONS)])
        return sum(end - committed.get(partition, 0) for partition, end in ends.items())

    async def records(self, topic: str) -> list[Record]:
        found: defaultdict[int, list[Record]] = defaultdict(list)
        async with self._reader() as reader:
            await reader.topics()
            numbers = range(1 if topic.endswith(".dlq") else PARTITIONS)
            partitions = [TopicPartition(topic, number) for number in numbers]
            reader.assign(partitions)
            ends = await reader.end_offsets(partitions)
            while any([await reader.position(partition) < end for partition, end in ends.items()]):
                for batch in (await reader.getmany(timeout_ms=200)).values():
                    for consumed in batch:
                        found[consumed.partition].append(record_from(consumed))
        return [record for number in sorted(found) for record in found[number]]

    async def _committed(self) -> dict[TopicPartition, Any]:
        """Ask for the group's offsets; a broker that has only just started has no coordinator for a moment."""
        for _ in range(200):
            try:
                return dict(await self.admin.list_consumer_group_offsets(self.group))
            except KafkaError:
                await asyncio.sleep(0.05)
        raise AssertionError("the broker has no coordinator")

    def _reader(self) -> Any:
        return AIOKafkaConsumer(bootstrap_servers=self.bootstrap, auto_offset_reset="earliest", fetch_max_wait_ms=50)


async def eventually(condition: Callable[[], bool | Awaitable[bool]], seconds: float = 60.0) -> None:
    """Wait for `condition` to hold."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        answer = condition()
        if answer if isinstance(answer, bool) else await answer:
            return
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError("it did not happen in time")
        await asyncio.sleep(0.02)


def numbered(topic: str, count: int, keys: int = 10) -> Sequence[OutboundRecord]:
    """Return `count` records whose values count upwards within each of `keys` keys."""
    return [
        OutboundRecord(topic, f"key-{number % keys}".encode(), str(number // keys).encode()) for number in range(count)
    ]
