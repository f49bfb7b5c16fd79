"""Reading a whole Kafka topic without a group."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from sluice_messaging.errors import BrokerUnavailableError
from sluice_messaging.kafka.address import connection_options
from sluice_messaging.kafka.source import CLOSE_SECONDS
from sluice_messaging.kafka.translation import record_from
from sluice_messaging.records import Record
from sluice_messaging.tasks import finished

_ANSWER_SECONDS: Final = 10.0


class KafkaTableSource:
    """A `TableSource` over one aiokafka consumer."""

    def __init__(self, bootstrap: str, client_id: str, topic: str) -> None:
        self._topic = topic
        self._ends: dict[TopicPartition, int] = {}
        self._consumer = AIOKafkaConsumer(
            **connection_options(bootstrap),
            client_id=client_id,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )

    async def open(self) -> None:
        """Connect; see `TableSource`."""
        self._consumer.subscribe([self._topic])
        try:
            await self._consumer.start()
            async with asyncio.timeout(_ANSWER_SECONDS):
                self._ends = await self._consumer.end_offsets(self._consumer.assignment())
        except (KafkaError, OSError, TimeoutError) as error:
            raise BrokerUnavailableError(repr(error)) from error

    async def fetch(self, *, wait: float) -> Sequence[Record]:
        """Fetch; see `TableSource`."""
        try:
            fetched = await self._consumer.getmany(timeout_ms=int(wait * 1_000))
        except (KafkaError, OSError) as error:
            raise BrokerUnavailableError(repr(error)) from error
        return [record_from(consumed) for batch in fetched.values() for consumed in batch]

    async def caught_up(self) -> bool:
        """Compare positions, not records: the last ones before the end may have been compacted away."""
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return all([await self._consumer.position(partition) >= end for partition, end in self._ends.items()])
        except (KafkaError, OSError, TimeoutError) as error:
            raise BrokerUnavailableError(repr(error)) from error

    async def close(self) -> None:
        """Let go; see `TableSource`."""
        if not await finished("table.stop", self._consumer.stop(), CLOSE_SECONDS):
            await finished("table.client_close", self._consumer._client.close(), CLOSE_SECONDS)
