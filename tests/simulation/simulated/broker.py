"""The broker as one process reaches it: `MemoryMessaging`, with requests that take time, get lost, and die with it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from simulated.world import Machine, World
from sluice_messaging.errors import BrokerUnavailableError
from sluice_messaging.memory import MemoryBroker, MemoryMessaging, MemorySource, MemoryTableSource
from sluice_messaging.ports import BatchHandler, EventConsumer, RecordHandler
from sluice_messaging.records import OutboundRecord, Partition, Record
from sluice_messaging.retry import Backoff
from sluice_messaging.sources import AssignmentListener, Backlog, RecordSource, TableSource

SESSION_SECONDS = 2.0


class SimulatedBroker(MemoryBroker):
    """A broker that wakes only those who wait for the topic that has grown, and sees what a group has left undone."""

    def __init__(self, partitions: int) -> None:
        super().__init__(partitions)
        self.violations: list[str] = []
        self._handled: set[tuple[str, Partition, int]] = set()
        self._watchers: defaultdict[str, list[asyncio.Future[None]]] = defaultdict(list)

    def grew(self, topic: str) -> None:
        for watcher in self._watchers.pop(topic, ()):
            _resolve(watcher)

    def note_handled(self, group: str, record: Record) -> None:
        """Note that a group needs this record no more."""
        self._handled.add((group, record.source, record.offset))

    def commit(self, group: str, offsets: Mapping[Partition, int]) -> None:
        """Store how far a group is, and notice what it has left undone."""
        committed = self.group(group).committed
        for partition, offset in offsets.items():
            for passed in range(committed.get(partition, 0), offset):
                if (group, partition, passed) not in self._handled:
                    self.violations.append(f"{group} committed {offset} in {partition} and had not handled {passed}")
        committed.update(offsets)

    async def growth_of(self, topics: Sequence[str], seconds: float, watcher: asyncio.Future[None]) -> None:
        """Return when one of `topics` grows, when somebody resolves `watcher`, or after so many seconds."""
        for topic in topics:
            self._watchers[topic].append(watcher)
        timer = watcher.get_loop().call_later(seconds, _resolve, watcher)
        try:
            await watcher
        finally:
            timer.cancel()


class SimulatedPublisher:
    """Stores records a partition at a time, in any order of partitions. A failure may come in the middle or after."""

    def __init__(self, world: World, machine: Machine, broker: SimulatedBroker) -> None:
        self._world = world
        self._machine = machine
        self._broker = broker

    async def publish(self, records: Sequence[OutboundRecord], *, timeout: float = 5.0) -> None:  # noqa: ASYNC109
        streams: dict[tuple[str, bytes | None], list[OutboundRecord]] = {}
        for record in records:
            streams.setdefault((record.topic, record.key), []).append(record)
        order = list(streams)
        self._world.fate.shuffle(order)
        for name in order:
            await self._publish_one(streams[name])

    async def healthy(self) -> bool:
        return True

    async def _publish_one(self, records: Sequence[OutboundRecord]) -> None:
        lost = self._world.chance(self._world.weather.lost_publishes)
        never_arrived = lost and self._world.fate.random() < 0.5

        def action() -> None:
            if not never_arrived:
                at = int(self._world.loop.now().timestamp() * 1000)
                for record in records:
                    stored = self._broker.append(record, at)
                    self._world.note("stored", stored.topic, stored.partition, stored.offset, stored.value.decode())
            if lost:
                raise BrokerUnavailableError("simulated")

        await self._world.remote(self._machine, "publish", f"publish {records[0].topic}", action)


class SimulatedSource:
    """A membership that ends when its process has been silent for a session, or when fate drops it."""

    def __init__(
        self, world: World, machine: Machine, broker: SimulatedBroker, topics: Sequence[str], group: str
    ) -> None:
        self.group = group
        self.topics = topics
        self.machine = machine
        self._world = world
        self._broker = broker
        self._inner = MemorySource(broker, topics, group)
        self._listener: AssignmentListener | None = None
        self._grown: asyncio.Future[None] | None = None
        self._eviction: asyncio.Future[None] = world.loop.create_future()
        machine.dies.append(lambda: world.later(SESSION_SECONDS, self.evict))

    @property
    def is_member(self) -> bool:
        """Whether the group counts on it."""
        return self._inner in self._broker.group(self.group).members

    async def open(self, listener: AssignmentListener) -> None:
        self._listener = listener
        await self._world.remote(self.machine, "poll", f"join {self.group}", lambda: None)
        self._check()
        await self._outside(self._inner.open(self))

    async def revoked(self) -> None:
        """Tell the member, and wait until it is through, or out of the group."""
        if self._listener is None or self._eviction.done():
            return
        telling = self._world.start(self.machine, self._listener.revoked())
        await asyncio.wait({telling, self._eviction}, return_when=asyncio.FIRST_COMPLETED)

    def assigned(self, partitions: frozenset[Partition]) -> None:
        self._wake()
        if self._listener is not None and not self._eviction.done():
            self._listener.assigned(partitions)

    async def fetch(self, *, limit: int, wait: float, without: Collection[Partition] = ()) -> Sequence[Record]:
        self._check()
        positions = list(self._inner._positions.items())
        self._world.fate.shuffle(positions)
        self._inner._positions = dict(positions)
        if not (records := await self._inner._read(limit, without)):
            await self._growth(wait)
            self._check()
            records = await self._inner._read(limit, without)
        self._check()
        return records

    def is_behind(self) -> bool:
        return self._inner.is_behind()

    async def commit(self, offsets: Mapping[Partition, int]) -> bool:
        if self._eviction.done():
            return False

        def action() -> bool:
            owned = not self._eviction.done() and offsets.keys() <= self._inner._positions.keys()
            if owned:
                self._broker.commit(self.group, offsets)
            return owned

        return await self._world.remote(self.machine, "offsets", f"commit {self.group} {dict(offsets)}", action)

    async def backlog(self) -> Mapping[Partition, Backlog]:
        return {}

    async def close(self) -> None:
        if not self.machine.is_dead and not self._eviction.done():
            await self._outside(self._inner.close())

    def evict(self) -> None:
        """Take it out of its group, as the broker does with a member that has not been heard of."""
        if self._eviction.done():
            return
        self._eviction.set_result(None)
        self._world.note("evicted", self.machine.name, self.group)
        group = self._broker.group(self.group)
        if self._inner in group.members:
            group.members.remove(self._inner)
            self._inner._positions = {}
            self._inner.settled.set()
            self._wake()
            self._world.start(None, group.rebalance(self._broker))

    async def _growth(self, seconds: float) -> None:
        """Wait for a record in one of these topics: to be woken by every record of every topic would be dear."""
        self._grown = self._world.loop.create_future()
        await self._broker.growth_of(self.topics, seconds, self._grown)

    def _wake(self) -> None:
        if self._grown is not None:
            _resolve(self._grown)

    def _check(self) -> None:
        if self._eviction.done():
            raise BrokerUnavailableError("no member of the group any more")

    async def _outside(self, work: Any) -> None:
        await asyncio.shield(self._world.start(None, work))


class SimulatedTableSource(MemoryTableSource):
    """Woken by its own topic alone."""

    def __init__(self, broker: SimulatedBroker, topic: str) -> None:
        super().__init__(broker, topic)
        self._simulated = broker

    async def fetch(self, *, wait: float) -> Sequence[Record]:
        if not (records := self._read()):
            await self._simulated.growth_of([self._topic], wait, asyncio.get_running_loop().create_future())
            records = self._read()
        return records


class SimulatedMessaging(MemoryMessaging):
    """The `Messaging` of one process."""

    def __init__(self, world: World, machine: Machine, broker: SimulatedBroker, sources: list[SimulatedSource]) -> None:
        super().__init__(broker, world.loop, backoff=Backoff(base=0.05, cap=1.0, uniform=world.fate.uniform))
        self._world = world
        self._machine = machine
        self._sources = sources
        self._simulated_broker = broker
        self._simulated = SimulatedPublisher(world, machine, broker)

    @property
    def publisher(self) -> SimulatedPublisher:  # type: ignore[override]
        return self._simulated

    def batch_consumer(self, topics: Sequence[str], group: str, handler: BatchHandler, **options: Any) -> EventConsumer:
        async def handle(records: Sequence[Record]) -> None:
            await handler(records)
            for record in records:
                self._simulated_broker.note_handled(group, record)

        return super().batch_consumer(topics, group, handle, **options)

    def keyed_consumer(
        self, topics: Sequence[str], group: str, handler: RecordHandler, **options: Any
    ) -> EventConsumer:
        async def handle(record: Record) -> None:
            await handler(record)
            self._simulated_broker.note_handled(group, record)

        return super().keyed_consumer(topics, group, handle, **options)

    def _record_source(self, topics: Sequence[str], group: str) -> RecordSource:
        source = SimulatedSource(self._world, self._machine, self._simulated_broker, topics, group)
        self._sources.append(source)
        return source

    def _table_source(self, topic: str) -> TableSource:
        return SimulatedTableSource(self._simulated_broker, topic)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
