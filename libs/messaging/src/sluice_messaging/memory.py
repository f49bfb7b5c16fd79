"""A broker inside the process, for tests: the same ports, the same order, the same promises, and no waiting.

Records with a key go to the partition that the key's hash names. Groups rebalance eagerly, like Kafka's classic
protocol: at every join and leave each member gives everything back, and goes on from what is committed.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from hashlib import blake2b
from types import TracebackType
from typing import Final, Self

from sluice_messaging.assembly import Assembly
from sluice_messaging.dead_letters import DeadLetterLimit
from sluice_messaging.errors import BrokerUnavailableError, RecordTooLargeError
from sluice_messaging.records import OutboundRecord, Partition, Record
from sluice_messaging.retry import Backoff
from sluice_messaging.sources import AssignmentListener, Backlog, RecordSource, TableSource
from sluice_messaging.spans import sending
from sluice_runtime import tracing
from sluice_runtime.clock import Clock, SystemClock

MAX_RECORD_BYTES: Final = 2 * 1024 * 1024


class MemoryBroker:
    """The topics and groups that any number of `MemoryMessaging` share. Topics come into being when they are named.

    `partitions` is how many each gets. Set `available` to False and everything fails as if the broker were away.
    """

    def __init__(self, partitions: int = 4) -> None:
        self.available = True
        self._partitions = partitions
        self._logs: dict[str, list[list[Record]]] = {}
        self._groups: defaultdict[str, _Group] = defaultdict(_Group)
        self._grown = asyncio.Event()
        self._keyless = 0

    def append(self, outbound: OutboundRecord, timestamp_ms: int) -> Record:
        """Append one record and return it as its readers get it."""
        log = self._log(outbound.topic)
        number = self._place(outbound.key) % len(log)
        record = Record(
            outbound.topic, number, len(log[number]), outbound.key, outbound.value, dict(outbound.headers), timestamp_ms
        )
        log[number].append(record)
        self.grew(outbound.topic)
        return record

    def grew(self, topic: str) -> None:
        """Wake whoever waits for `growth`."""
        self._grown.set()
        self._grown = asyncio.Event()

    def records(self, topic: str) -> list[Record]:
        """Return everything in `topic`, partition by partition."""
        return [record for partition in self._log(topic) for record in partition]

    def committed(self, group: str) -> dict[Partition, int]:
        """Return the next offset that `group` is to handle, for each partition in which it has committed."""
        return dict(self._groups[group].committed)

    def lag(self, group: str, topic: str) -> int:
        """Return how many records of `topic` the group has not committed."""
        committed = self._groups[group].committed
        return sum(self.end(each) - committed.get(each, 0) for each in self.partitions([topic]))

    def recreate(self, topic: str) -> None:
        """Delete `topic` with everything in it and make it anew, as an operator may; groups keep their offsets."""
        self._logs.pop(topic, None)

    async def redeliver(self, group: str, *, from_start: bool = False) -> None:
        """Make every member of `group` start again from what is committed, or from the first record."""
        if from_start:
            self._groups[group].committed.clear()
        await self._groups[group].rebalance(self)

    def partitions(self, topics: Iterable[str]) -> list[Partition]:
        """Return every partition of `topics`, in a fixed order."""
        return [Partition(topic, number) for topic in sorted(topics) for number in range(len(self._log(topic)))]

    def end(self, partition: Partition) -> int:
        """Return the offset that the next record in `partition` will get."""
        return len(self.log(partition))

    def log(self, partition: Partition) -> Sequence[Record]:
        """Return everything in `partition`, now and as it grows."""
        return self._log(partition.topic)[partition.number]

    async def growth(self, seconds: float) -> None:
        """Wait for a record to be appended anywhere, for at most `seconds`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._grown.wait()

    def group(self, name: str) -> _Group:
        """Return the group called `name`."""
        return self._groups[name]

    def check(self) -> None:
        """Raise BrokerUnavailableError while the broker is away."""
        if not self.available:
            raise BrokerUnavailableError("the broker is away")

    def _place(self, key: bytes | None) -> int:
        if key is None:
            self._keyless += 1
            return self._keyless
        return int.from_bytes(blake2b(key, digest_size=4).digest())

    def _log(self, topic: str) -> list[list[Record]]:
        log = self._logs.get(topic)
        if log is None:
            log = self._logs[topic] = [[] for _ in range(self._partitions)]
        return log


class _Group:
    """The members of one group, and what they have committed."""

    def __init__(self) -> None:
        self.members: list[MemorySource] = []
        self.committed: dict[Partition, int] = {}
        self._one_at_a_time = asyncio.Lock()

    async def rebalance(self, broker: MemoryBroker) -> None:
        """Take everything from everybody and deal it out anew, a partition each in turn."""
        async with self._one_at_a_time:
            members = list(self.members)
            for member in members:
                member.settled.clear()
            await asyncio.gather(*(member.give_up() for member in members))
            for place, member in enumerate(self.members):
                owned = broker.partitions(member.topics)[place :: len(self.members)]
                member.take({partition: self.committed.get(partition, 0) for partition in owned})


class MemorySource:
    """A `RecordSource` over a `MemoryBroker`."""

    def __init__(self, broker: MemoryBroker, topics: Sequence[str], group: str) -> None:
        self.topics = topics
        self.settled = asyncio.Event()
        self._broker = broker
        self._group = broker.group(group)
        self._positions: dict[Partition, int] = {}
        self._listener: AssignmentListener | None = None

    async def open(self, listener: AssignmentListener) -> None:
        """Join; see `RecordSource`."""
        self._broker.check()
        self._listener = listener
        self._group.members.append(self)
        await self._group.rebalance(self._broker)

    async def give_up(self) -> None:
        """Give back every partition, once the listener is through with them."""
        if self._listener is not None:
            await self._listener.revoked()
        self._positions = {}

    def take(self, positions: dict[Partition, int]) -> None:
        """Own these partitions from now on, and read each from its offset."""
        self._positions = positions
        self.settled.set()
        if self._listener is not None:
            self._listener.assigned(frozenset(positions))

    async def fetch(self, *, limit: int, wait: float, without: Collection[Partition] = ()) -> Sequence[Record]:
        """Fetch; see `RecordSource`."""
        self._broker.check()
        if not (records := await self._read(limit, without)):
            await self._broker.growth(wait)
            records = await self._read(limit, without)
        return records

    def is_behind(self) -> bool:
        """Whether there is more to fetch; see `RecordSource`."""
        return any(position < self._broker.end(partition) for partition, position in self._positions.items())

    async def commit(self, offsets: Mapping[Partition, int]) -> bool:
        """Commit; see `RecordSource`."""
        self._broker.check()
        if not offsets.keys() <= self._positions.keys():
            return False
        self._group.committed.update(offsets)
        return True

    async def backlog(self) -> Mapping[Partition, Backlog]:
        """Return where every partition owned is read next, and where it ends."""
        return {each: Backlog(position, self._broker.end(each)) for each, position in self._positions.items()}

    async def close(self) -> None:
        """Leave; see `RecordSource`."""
        if self in self._group.members:
            self._group.members.remove(self)
            self._positions = {}
            await self._group.rebalance(self._broker)

    async def _read(self, limit: int, without: Collection[Partition]) -> list[Record]:
        await self.settled.wait()
        records: list[Record] = []
        for partition in list(self._positions):
            if partition not in without and len(records) < limit:
                # Whoever was read goes to the end of the queue, so that a full partition starves no other.
                position = self._positions.pop(partition)
                log = self._broker.log(partition)
                if position > len(log):
                    position = 0
                found = log[position : position + limit - len(records)]
                self._positions[partition] = position + len(found)
                records += found
        return records


class MemoryTableSource:
    """A `TableSource` over a `MemoryBroker`."""

    def __init__(self, broker: MemoryBroker, topic: str) -> None:
        self._broker = broker
        self._topic = topic
        self._positions: dict[Partition, int] = {}
        self._ends: dict[Partition, int] = {}

    async def open(self) -> None:
        """Begin; see `TableSource`."""
        self._broker.check()
        self._positions = dict.fromkeys(self._broker.partitions([self._topic]), 0)
        self._ends = {each: self._broker.end(each) for each in self._positions}

    async def fetch(self, *, wait: float) -> Sequence[Record]:
        """Fetch; see `TableSource`."""
        self._broker.check()
        if not (records := self._read()):
            await self._broker.growth(wait)
            records = self._read()
        return records

    async def caught_up(self) -> bool:
        """Whether everything that the topic held when it was opened has been fetched."""
        return all(self._positions[each] >= end for each, end in self._ends.items())

    async def close(self) -> None:
        """Do nothing; there is no connection."""

    def _read(self) -> list[Record]:
        records: list[Record] = []
        for partition, position in self._positions.items():
            found = self._broker.log(partition)[position:]
            self._positions[partition] = position + len(found)
            records += found
        return records


class MemoryPublisher:
    """The `EventPublisher` over a `MemoryBroker`."""

    def __init__(self, broker: MemoryBroker, clock: Clock) -> None:
        self._broker = broker
        self._clock = clock

    async def publish(self, records: Sequence[OutboundRecord], *, timeout: float = 5.0) -> None:  # noqa: ASYNC109
        """Publish; see `ports.EventPublisher`. All records or none are stored."""
        self._broker.check()
        for record in records:
            if len(record.value) > MAX_RECORD_BYTES:
                raise RecordTooLargeError(f"{len(record.value)} bytes for {record.topic}")
        timestamp_ms = int(self._clock.now().timestamp() * 1_000)
        with sending(records) as trace:
            for record in records:
                headers = record.headers if tracing.TRACEPARENT in record.headers else {**record.headers, **trace}
                self._broker.append(OutboundRecord(record.topic, record.key, record.value, headers), timestamp_ms)

    async def healthy(self) -> bool:
        """Whether the broker is there."""
        return self._broker.available


class MemoryMessaging(Assembly):
    """The `Messaging` port over a `MemoryBroker`, its own unless it is given one to share."""

    def __init__(
        self,
        broker: MemoryBroker | None = None,
        clock: Clock | None = None,
        *,
        backoff: Backoff | None = None,
        limit: DeadLetterLimit | None = None,
    ) -> None:
        clock = clock or SystemClock()
        super().__init__(clock, backoff=backoff, limit=limit)
        self.broker = broker or MemoryBroker()
        self._publisher = MemoryPublisher(self.broker, clock)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    @property
    def publisher(self) -> MemoryPublisher:
        """The one publisher of this process."""
        return self._publisher

    def _record_source(self, topics: Sequence[str], group: str) -> RecordSource:
        return MemorySource(self.broker, topics, group)

    def _table_source(self, topic: str) -> TableSource:
        return MemoryTableSource(self.broker, topic)
