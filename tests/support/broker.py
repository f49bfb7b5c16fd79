"""A stack's topics as an outsider with plain aiokafka sees them: read whole, written to, and how far each group is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from api_client import DEADLINE_SECONDS, wait_until

CHANNELS: Final = ("sms", "email", "whatsapp")
LANES: Final = ("priority", "bulk")
GROUPS: Final[Mapping[str, Sequence[str]]] = {
    "status-triggers": [f"triggers.{lane}" for lane in LANES],
    "status-executions": ["executions"],
    "status-deliveries": ["deliveries"],
    "orchestrator.deliveries": ["deliveries"],
    **{f"orchestrator.triggers.{lane}": [f"triggers.{lane}"] for lane in LANES},
    **{f"channel-{channel}-{lane}": [f"commands.{channel}.{lane}"] for channel in CHANNELS for lane in LANES},
    **{f"channel-{channel}-receipts": [f"receipts.{channel}"] for channel in CHANNELS},
}
"""Every consumer group, and what it reads."""

CAUGHT_UP_SECONDS: Final = DEADLINE_SECONDS


class Lag(NamedTuple):
    """What a group has not committed yet of one partition."""

    group: str
    topic: str
    partition: int
    records: int


class Broker:
    """One connection to a stack's broker for reading, writing and looking."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False)
        self._producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
        self._admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)

    async def __aenter__(self) -> Self:
        await asyncio.gather(self._consumer.start(), self._producer.start(), self._admin.start())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await asyncio.gather(self._consumer.stop(), self._producer.stop(), self._admin.close())

    async def records(self, *topics: str) -> list[Any]:
        """Return every record that `topics` hold now, in the order of each partition."""
        ends = await self._ends(topics)
        partitions = [partition for partition, end in ends.items() if end]
        if not partitions:
            return []
        self._consumer.assign(partitions)
        await self._consumer.seek_to_beginning(*partitions)
        found = []
        for partition in partitions:
            while await self._consumer.position(partition) < ends[partition]:
                found += (await self._consumer.getmany(partition, timeout_ms=500)).get(partition, [])
        self._consumer.unsubscribe()
        return found

    async def append(
        self, topic: str, value: bytes, key: bytes | None = None, headers: Sequence[tuple[str, bytes]] = ()
    ) -> None:
        """Append one record, and return once it is stored."""
        await self._producer.send_and_wait(topic, value=value, key=key, headers=list(headers))

    async def append_again(self, records: Iterable[Any]) -> None:
        """Append copies of `records` to the topics that they came from: the same keys, values and headers."""
        stored = [
            await self._producer.send(record.topic, value=record.value, key=record.key, headers=list(record.headers))
            for record in records
        ]
        for acknowledgement in stored:
            await acknowledgement

    async def lags(self, groups: Iterable[str], ends: Mapping[TopicPartition, int]) -> list[Lag]:
        """Return what `groups` have not committed yet of what comes before `ends`."""
        behind = []
        for group in groups:
            committed = await self._admin.list_consumer_group_offsets(group)
            for partition, end in ends.items():
                if partition.topic in GROUPS[group]:
                    known = committed.get(partition)
                    lag = end - (known.offset if known is not None else 0)
                    if lag:
                        behind.append(Lag(group, partition.topic, partition.partition, lag))
        return behind

    async def caught_up(self, groups: Iterable[str] = GROUPS, seconds: float = CAUGHT_UP_SECONDS) -> None:
        """Wait until `groups` have committed everything, and what comes of it.

        What one group appends for another while they are asked in turn is seen by neither: twice in a row nothing must
        be left, of the same records.
        """
        wanted = list(groups)
        behind: list[Lag] = []
        ends: dict[TopicPartition, int] = {}

        async def are_caught_up() -> bool:
            nonlocal behind, ends
            known, ends = ends, await self._ends({topic for group in wanted for topic in GROUPS[group]})
            were_behind, behind = behind, await self.lags(wanted, ends)
            return not were_behind and not behind and ends == known

        await wait_until(are_caught_up, seconds, lambda: f"behind are {behind}")

    async def sizes(self) -> dict[str, int]:
        """Return how many partitions each topic has, internal ones left out."""
        described = await self._admin.describe_topics()
        return {topic["topic"]: len(topic["partitions"]) for topic in described if not topic["topic"].startswith("__")}

    async def settings(self, topics: Sequence[str]) -> dict[str, dict[str, str]]:
        """Return the settings of `topics`, as the broker applies them."""
        resources = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in topics]
        answers = await self._admin.describe_configs(resources)
        return {
            name: {entry[0]: entry[1] for entry in entries}
            for answer in answers
            for _, _, _, name, entries in answer.resources
        }

    async def _ends(self, topics: Iterable[str]) -> dict[TopicPartition, int]:
        sizes = await self.sizes()
        partitions = [TopicPartition(topic, number) for topic in topics for number in range(sizes[topic])]
        ends: dict[TopicPartition, int] = await self._consumer.end_offsets(partitions)
        return ends
