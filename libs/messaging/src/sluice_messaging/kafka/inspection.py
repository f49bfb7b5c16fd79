"""Looking at a Kafka cluster from outside, for operators: what topics hold, and how far each group has come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from sluice_messaging.errors import BrokerUnavailableError
from sluice_messaging.kafka.address import connection_options
from sluice_messaging.kafka.translation import record_from
from sluice_messaging.records import Partition, Record
from sluice_messaging.tasks import finished

ANSWER_SECONDS: Final = 8.0
_CLOSE_SECONDS: Final = 2.0
_FETCH_MILLISECONDS: Final = 500


@dataclass(frozen=True, slots=True)
class Extent:
    """What a partition holds: offsets from `first` up to before `end`."""

    first: int
    end: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a group has come in a partition: `position` is the next offset to be handled, `extent` what there is."""

    group: str
    partition: Partition
    position: int
    extent: Extent

    @property
    def behind(self) -> int:
        """How many records wait."""
        return self.extent.end - self.position


@dataclass(frozen=True, slots=True)
class PartitionHealth:
    """The copies of a partition: `replicas` wanted, `in_step` of them up to date, and whether one leads."""

    partition: Partition
    replicas: int
    in_step: int
    has_leader: bool


class KafkaInspector:
    """One connection to a cluster that joins no group and writes nothing; one call at a time.

    Every method raises BrokerUnavailableError when the brokers do not answer within about eight seconds.
    """

    def __init__(self, bootstrap: str, client_id: str) -> None:
        options = connection_options(bootstrap)
        self._admin = AIOKafkaAdminClient(**options, client_id=client_id)
        self._consumer = AIOKafkaConsumer(
            **options,
            client_id=client_id,
            group_id=None,
            enable_auto_commit=False,
            # A fetch that finds nothing holds up whatever is asked next.
            fetch_max_wait_ms=20,
        )

    async def __aenter__(self) -> Self:
        try:
            with _translated():
                async with asyncio.timeout(ANSWER_SECONDS):
                    await asyncio.gather(self._admin.start(), self._consumer.start())
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._close()

    async def partitions(self) -> list[PartitionHealth]:
        """Return every partition of every topic, internal topics left out."""
        with _translated():
            async with asyncio.timeout(ANSWER_SECONDS):
                topics = await self._admin.describe_topics()
        return [
            PartitionHealth(
                Partition(topic["topic"], each["partition"]),
                len(each["replicas"]),
                len(each["isr"]),
                each["leader"] >= 0,
            )
            for topic in topics
            if not topic["is_internal"]
            for each in topic["partitions"]
        ]

    async def extents(self, partitions: Collection[Partition]) -> dict[Partition, Extent]:
        """Return what each of `partitions`, which exist, holds."""
        if not partitions:
            return {}
        wanted = [TopicPartition(*partition) for partition in partitions]
        with _translated():
            async with asyncio.timeout(ANSWER_SECONDS):
                self._consumer.assign(wanted)
                await self._consumer.topics()
                first = await self._consumer.beginning_offsets(wanted)
                end = await self._consumer.end_offsets(wanted)
        return {Partition(*each): Extent(first[each], end[each]) for each in wanted}

    async def records(self, partition: Partition, extent: Extent) -> AsyncIterator[Record]:
        """Yield the records of `partition` within `extent`, in order; those that are gone by now are left out."""
        source = TopicPartition(*partition)
        with _translated():
            self._consumer.assign([source])
            self._consumer.seek(source, extent.first)
            while await self._position(source) < extent.end:
                async with asyncio.timeout(ANSWER_SECONDS):
                    fetched = await self._consumer.getmany(source, timeout_ms=_FETCH_MILLISECONDS)
                for consumed in fetched.get(source, []):
                    if consumed.offset >= extent.end:
                        return
                    yield record_from(consumed)

    async def record(self, partition: Partition, offset: int) -> Record | None:
        """Return the record at `offset`, None where there is none (any more)."""
        extent = (await self.extents([partition]))[partition]
        if not extent.first <= offset < extent.end:
            return None
        async for record in self.records(partition, Extent(offset, offset + 1)):
            return record
        return None

    async def standings(self, topics: Iterable[str]) -> list[Standing]:
        """Return how far every group has come in those of `topics` of which it has ever committed anything.

        A partition of such a topic of which it has committed nothing is one that it has still to begin with.
        """
        wanted = [each.partition for each in await self.partitions() if each.partition.topic in set(topics)]
        extents = await self.extents(wanted)
        committed: dict[str, dict[Partition, int]] = {}
        with _translated():
            async with asyncio.timeout(ANSWER_SECONDS):
                for group, *_ in sorted(await self._admin.list_consumer_groups()):
                    offsets = await self._admin.list_consumer_group_offsets(group)
                    committed[group] = {Partition(*each): known.offset for each, known in offsets.items()}
        return [
            Standing(group, partition, max(offsets.get(partition, 0), extents[partition].first), extents[partition])
            for group, offsets in committed.items()
            for partition in wanted
            if partition.topic in {read.topic for read in offsets}
        ]

    async def _position(self, source: TopicPartition) -> int:
        async with asyncio.timeout(ANSWER_SECONDS):
            return int(await self._consumer.position(source))

    async def _close(self) -> None:
        await finished("inspection.consumer_close", self._consumer.stop(), _CLOSE_SECONDS)
        await finished("inspection.admin_close", self._admin.close(), _CLOSE_SECONDS)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (KafkaError, OSError, TimeoutError) as error:
        raise BrokerUnavailableError(_said(error)) from error


def _said(error: BaseException) -> Any:
    return "no answer in time" if isinstance(error, TimeoutError) else str(error) or repr(error)
