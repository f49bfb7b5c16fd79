"""Between publishers and aiokafka: what all of them append at a time travels as one batch a partition.

aiokafka's own `send` looks up the topic and makes a future for every record, and acknowledges each by itself; to a
process that appends all day that is most of what appending costs. Here records gather while the batch before them is
on its way to their partition, and all of a batch are acknowledged at once. A partition never has two batches under way,
and what is tried again is the same batch in the same place: records of a key lie in the order in which they were added.
"""

from __future__ import annotations

import asyncio
import copy
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, Final

from aiokafka.errors import KafkaError, MessageSizeTooLargeError, UnknownTopicOrPartitionError
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from prometheus_client import Counter

from sluice_messaging.kafka.partitioner import hashes_of, place_of
from sluice_messaging.kafka.producer import MAX_DEAD_LETTER_BYTES, MAX_RECORD_BYTES, ProducerSupply
from sluice_messaging.kafka.translation import Headers, headers_from
from sluice_messaging.records import OutboundRecord, Partition
from sluice_runtime import metrics

TICK_SECONDS: Final = 0.02
"""How often it is looked who has waited long enough: a timer for each publisher costs more than all of its waiting."""


@dataclass(slots=True, eq=False)
class Publication:
    """What one publisher waits for: `stored` is done when all `records` are, of which `missing` still are not.

    `trace` goes into the headers of those without one.
    """

    records: Sequence[OutboundRecord]
    trace: Mapping[str, str]
    stored: asyncio.Future[None]
    began: float
    deadline: float
    missing: int

    def arrived(self) -> None:
        """Note that one more record is acknowledged."""
        self.missing -= 1
        if not self.missing and not self.stored.done():
            self.stored.set_result(None)

    def fail(self, error: BaseException) -> None:
        """End the wait, unless it has ended."""
        if not self.stored.done():
            self.stored.set_exception(error)


_Entry = tuple[OutboundRecord, Headers, Publication]


@dataclass(slots=True, eq=False)
class _Queue:
    """What waits to be appended to a partition. It is `busy` from when there is something to do until there is not."""

    partition: Partition
    busy: bool = False
    waiting: deque[_Entry] = field(default_factory=deque)


class Accumulator:
    """The queues of all partitions that this process appends to, and whoever waits for them."""

    def __init__(self, supply: ProducerSupply) -> None:
        self._supply = supply
        self._queues: dict[tuple[str, int], _Queue] = {}
        self._gathered: list[Publication] = []
        self._ready: list[_Queue] = []
        self._is_turn_awaited = False
        self._partitions: dict[str, Sequence[int]] = {}
        self._open: set[Publication] = set()
        self._couriers: set[asyncio.Task[None]] = set()
        self._sweep: asyncio.TimerHandle | None = None

    async def append(self, records: Sequence[OutboundRecord], trace: Mapping[str, str], seconds: float) -> None:
        """Return once all of `records` are acknowledged; `trace` goes into the headers of those without one.

        Raises KafkaError, OSError or TimeoutError where that did not happen within `seconds`; what has not been handed
        to the broker by then never is.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        for topic in {record.topic for record in records}:
            if self._partitions_of(topic) is None:
                async with asyncio.timeout_at(began + seconds):
                    await (await self._supply.producer()).partitions_for(topic)
        publication = Publication(records, trace, loop.create_future(), began, began + seconds, len(records))
        self._gathered.append(publication)
        self._await_turn(loop)
        self._open.add(publication)
        if self._sweep is None:
            self._sweep = loop.call_later(TICK_SECONDS, self._end_waits, loop)
        try:
            await publication.stored
        finally:
            self._open.discard(publication)

    def _partitions_of(self, topic: str) -> Sequence[int] | None:
        """Return the partitions of `topic`, None where the producer does not know it; it is asked once in a turn."""
        known = self._partitions.get(topic)
        if known is None and self._supply.current is not None:
            found = self._supply.current.client.cluster.partitions_for_topic(topic)
            if found:
                known = self._partitions[topic] = sorted(found)
        return known

    def _await_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let whoever else publishes in this turn of the loop come along."""
        if not self._is_turn_awaited:
            self._is_turn_awaited = True
            loop.call_soon(self._take_turn, loop)

    def _take_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """Queue what was gathered, and send somebody with what is ready to go."""
        self._is_turn_awaited = False
        gathered, self._gathered = self._gathered, []
        if gathered:
            self._place(gathered)
        self._partitions.clear()
        ready, self._ready = self._ready, []
        if ready:
            courier = loop.create_task(self._carry(ready), name="accumulator: courier")
            self._couriers.add(courier)
            courier.add_done_callback(self._couriers.discard)

    def _place(self, gathered: Sequence[Publication]) -> None:
        """Put every record into the queue of its partition, all of a publication or, where one is refused, none."""
        hashes = hashes_of([record.key for publication in gathered for record in publication.records])
        place = 0
        for publication in gathered:
            end = place + len(publication.records)
            try:
                entries = self._entries(publication, hashes[place:end])
            except Exception as error:  # noqa: BLE001 - it is this publisher's, and the others must not wait for ever
                publication.fail(error)
            else:
                for queue, entry in entries:
                    queue.waiting.append(entry)
                    if not queue.busy:
                        queue.busy = True
                        self._ready.append(queue)
            place = end

    def _entries(self, publication: Publication, hashes: Sequence[int]) -> list[tuple[_Queue, _Entry]]:
        """Return each record with its queue and its headers, which those in a row mostly share."""
        entries = []
        given, headers = None, Headers()
        for record, found in zip(publication.records, hashes, strict=True):
            if record.headers is not given:
                given, headers = record.headers, headers_from(record.headers, publication.trace)
            if len(record.value) > MAX_RECORD_BYTES and _size(record, headers) > MAX_DEAD_LETTER_BYTES:
                raise MessageSizeTooLargeError(f"{len(record.value)} bytes are more than any broker of ours takes")
            partitions = self._partitions_of(record.topic)
            if partitions is None:
                raise UnknownTopicOrPartitionError(record.topic)
            queue = self._queue(record.topic, partitions[place_of(found, len(partitions))])
            entries.append((queue, (record, headers, publication)))
        return entries

    def _queue(self, topic: str, number: int) -> _Queue:
        queue = self._queues.get((topic, number))
        if queue is None:
            queue = self._queues[topic, number] = _Queue(Partition(topic, number))
        return queue

    async def _carry(self, queues: Sequence[_Queue]) -> None:
        """Hand what waits in `queues` to the producer."""
        for queue in queues:
            producer, publications = None, list[Publication]()
            try:
                producer = await self._supply.producer()
                batch = _filled(producer.create_batch(), queue.waiting, publications)
                if not publications:
                    queue.busy = False
                    continue
                stored = await producer.send_batch(batch, queue.partition.topic, partition=queue.partition.number)
            except Exception as error:  # noqa: BLE001 - whatever it is, nobody must wait for ever
                if isinstance(error, KafkaError):
                    self._supply.not_taken(producer, error)
                if not publications:
                    # There is no producer: trying again at once for those who wait would be all that the loop does.
                    publications = [publication for _, _, publication in queue.waiting]
                    queue.waiting.clear()
                _refuse(publications, error)
                self._go_on(queue)
            else:
                stored.add_done_callback(partial(self._arrived, producer, queue, publications))

    def _arrived(
        self, producer: Any, queue: _Queue, publications: Sequence[Publication], stored: asyncio.Future[Any]
    ) -> None:
        error = KafkaError("the producer has gone") if stored.cancelled() else stored.exception()
        if error is None:
            _observe(queue.partition.topic, publications)
            for publication in publications:
                publication.arrived()
        else:
            self._supply.not_acknowledged(producer, error)
            _refuse(publications, error)
        self._go_on(queue)

    def _go_on(self, queue: _Queue) -> None:
        if queue.waiting:
            self._ready.append(queue)
            self._await_turn(asyncio.get_running_loop())
        else:
            queue.busy = False

    def _end_waits(self, loop: asyncio.AbstractEventLoop) -> None:
        """Fail those whose time is up before it is looked again."""
        due = loop.time() + TICK_SECONDS
        overdue = [publication for publication in self._open if publication.deadline < due]
        if overdue:
            _refuse(overdue, TimeoutError())
            for queue in self._queues.values():
                # While the broker is away nobody else would take them out.
                queue.waiting = deque(entry for entry in queue.waiting if not entry[2].stored.done())
        self._sweep = loop.call_later(TICK_SECONDS, self._end_waits, loop) if self._open else None


def _size(record: OutboundRecord, headers: Headers) -> int:
    return int(DefaultRecordBatchBuilder.estimate_size_in_bytes(record.key, record.value, headers))


def _filled(batch: Any, waiting: deque[_Entry], publications: list[Publication]) -> Any:
    """Move as much as fits of what is still waited for into `batch`, and whose it is into `publications`."""
    while waiting:
        record, headers, publication = waiting[0]
        if not publication.stored.done():
            if batch.append(timestamp=None, key=record.key, value=record.value, headers=headers) is None:
                break
            publications.append(publication)
        waiting.popleft()
    batch.close()
    return batch


def _refuse(publications: Iterable[Publication], error: BaseException) -> None:
    for publication in publications:
        # Each its own, or else every publisher that raises it makes its traceback longer.
        publication.fail(copy.copy(error))


def _observe(topic: str, publications: Sequence[Publication]) -> None:
    _published(topic).inc(len(publications))
    metrics.PUBLISH_SECONDS.observe(asyncio.get_running_loop().time() - publications[0].began)


@cache
def _published(topic: str) -> Counter:
    return metrics.PUBLISHED_RECORDS.labels(topic)
