"""A membership in a Kafka consumer group.

What aiokafka does that this works around is told where it does so; the classic group protocol it speaks takes every
partition from every member at each rebalance.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from sluice_messaging.errors import BrokerUnavailableError
from sluice_messaging.kafka.address import connection_options
from sluice_messaging.kafka.translation import record_from
from sluice_messaging.records import Partition, Record
from sluice_messaging.sources import AssignmentListener, Backlog
from sluice_messaging.tasks import finished

SESSION_SECONDS: Final = 7.0
COMMIT_SECONDS: Final = 5.0
CLOSE_SECONDS: Final = 2.0
_FULL_PAUSE_SECONDS: Final = 0.05

SETTINGS: Final[Mapping[str, Any]] = {
    "enable_auto_commit": False,
    "auto_offset_reset": "earliest",
    "fetch_max_wait_ms": 500,
    # Of each partition so much is read ahead of what is handled: behind a backlog a process would hold a megabyte for
    # each of dozens. A record that is larger comes by itself.
    "max_partition_fetch_bytes": 256 * 1024,
    # With more than one assignor aiokafka sends several requests to join at once, and may never get in.
    "partition_assignment_strategy": (RoundRobinPartitionAssignor,),
    # One heartbeat tells of a rebalance.
    "heartbeat_interval_ms": 1_000,
    # Time for giving back what is in hand at a rebalance; less than the request timeout, because joining waits for it.
    "rebalance_timeout_ms": 30_000,
    "request_timeout_ms": 40_000,
    # Waiting out a database for an hour is no reason to be thrown out of the group; liveness is watched elsewhere.
    "max_poll_interval_ms": 2**31 - 1,
}


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Passes on to our listener. aiokafka awaits the revocation, and heartbeats meanwhile."""

    def __init__(self, listener: AssignmentListener) -> None:
        self._listener = listener

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        await self._listener.revoked()

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        self._listener.assigned(frozenset(Partition(*partition) for partition in assigned))


class KafkaSource:
    """A `RecordSource` over one aiokafka consumer. A member that was killed is missed after `session` seconds."""

    def __init__(
        self, bootstrap: str, client_id: str, topics: Iterable[str], group: str, session: float = SESSION_SECONDS
    ) -> None:
        self._topics = list(topics)
        self._consumer = AIOKafkaConsumer(
            **connection_options(bootstrap),
            client_id=client_id,
            group_id=group,
            session_timeout_ms=round(session * 1_000),
            **SETTINGS,
        )
        self._is_behind = False

    async def open(self, listener: AssignmentListener) -> None:
        """Join the group; see `RecordSource`. Topics are given with the listener: the constructor would lose it."""
        self._consumer.subscribe(self._topics, listener=_Listener(listener))
        try:
            await self._consumer.start()
        except (KafkaError, OSError) as error:
            raise BrokerUnavailableError(repr(error)) from error

    async def fetch(self, *, limit: int, wait: float, without: Collection[Partition] = ()) -> Sequence[Record]:
        """Fetch; see `RecordSource`."""
        wanted: list[TopicPartition] = []
        if without:
            wanted = [each for each in self._consumer.assignment() if Partition(*each) not in without]
            if not wanted:
                # getmany() of no partitions would be getmany() of all.
                await asyncio.sleep(min(wait, _FULL_PAUSE_SECONDS))
                return []
        try:
            fetched = await self._consumer.getmany(*wanted, timeout_ms=int(wait * 1_000), max_records=limit)
        except (KafkaError, OSError) as error:
            raise BrokerUnavailableError(repr(error)) from error
        self._is_behind = any(self._holds_more(partition, batch[-1].offset) for partition, batch in fetched.items())
        return [record_from(consumed) for batch in fetched.values() for consumed in batch]

    def is_behind(self) -> bool:
        """Whether the last fetch left something; see `RecordSource`."""
        return self._is_behind

    def _holds_more(self, partition: TopicPartition, offset: int) -> bool:
        with suppress(AssertionError):  # raised for a partition that was taken away meanwhile
            return (self._consumer.highwater(partition) or 0) > offset + 1
        return False

    async def commit(self, offsets: Mapping[Partition, int]) -> bool:
        """Commit; see `RecordSource`. aiokafka by itself would try for ever to reach a coordinator."""
        owned = self._consumer.assignment()
        mine = {TopicPartition(*partition): offset for partition, offset in offsets.items() if partition in owned}
        if len(mine) < len(offsets):
            return False
        try:
            async with asyncio.timeout(COMMIT_SECONDS):
                await self._consumer.commit(mine)
        except (CommitFailedError, IllegalStateError):
            return False
        except (KafkaError, OSError, TimeoutError) as error:
            raise BrokerUnavailableError(repr(error)) from error
        return True

    async def backlog(self) -> Mapping[Partition, Backlog]:
        """Return what the last fetch of each partition told."""
        known: dict[Partition, Backlog] = {}
        for partition in self._consumer.assignment():
            with suppress(KafkaError, TimeoutError, AssertionError):
                end = self._consumer.highwater(partition)
                if end is not None:
                    async with asyncio.timeout(_FULL_PAUSE_SECONDS):
                        known[Partition(*partition)] = Backlog(await self._consumer.position(partition), end)
        return known

    async def close(self) -> None:
        """Leave the group; see `RecordSource`. Without a broker aiokafka's own stop() hangs or cancels its caller."""
        if not await finished("consumer.stop", self._consumer.stop(), CLOSE_SECONDS):
            await finished("consumer.client_close", self._consumer._client.close(), CLOSE_SECONDS)
