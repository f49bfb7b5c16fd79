"""What gathers between publishers and the producer: in which batches it travels, and who is told what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from sluice_messaging.kafka.accumulator import Accumulator
from sluice_messaging.kafka.producer import MAX_DEAD_LETTER_BYTES, ProducerSupply
from sluice_messaging.records import OutboundRecord
from sluice_messaging.testing import eventually

NO_TRACE: dict[str, str] = {}


class Batch:
    """Takes `room` records."""

    def __init__(self, room: int) -> None:
        self.values: list[bytes] = []
        self._room = room

    def append(self, *, timestamp: None, key: bytes, value: bytes, headers: Sequence[tuple[str, bytes]]) -> object:
        if len(self.values) == self._room:
            return None
        self.values.append(value)
        return self

    def close(self) -> None:
        """Nothing is added any more."""


class Producer:
    """Keeps batches until the test says what became of them."""

    def __init__(self, partitions: int = 1, room: int = 1000) -> None:
        self.client = self.cluster = self
        self.sent: list[tuple[int, list[bytes], asyncio.Future[None]]] = []
        self.refusing: Exception | None = None
        self._partitions = set(range(partitions))
        self._room = room

    def partitions_for_topic(self, _: str) -> set[int]:
        return self._partitions

    def create_batch(self) -> Batch:
        return Batch(self._room)

    async def send_batch(self, batch: Batch, _: str, *, partition: int) -> asyncio.Future[None]:
        if self.refusing is not None:
            raise self.refusing
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.sent.append((partition, batch.values, stored))
        return stored

    @property
    def values(self) -> list[list[bytes]]:
        return [values for _, values, _ in self.sent]


class Supply(ProducerSupply):
    """Gives out one producer and remembers why it was complained of."""

    def __init__(self, producer: Producer) -> None:
        super().__init__("nowhere:1", "test")
        self.made: Any = producer
        self.complaints: list[str] = []

    @property
    def current(self) -> Any:
        return self.made

    async def producer(self) -> Any:
        return self.made

    def not_taken(self, producer: Any, error: KafkaError) -> None:
        self.complaints.append(f"not taken: {error}")

    def not_acknowledged(self, producer: Any, error: KafkaError) -> None:
        self.complaints.append(f"not acknowledged: {error}")


def publishing(accumulator: Accumulator, *values: bytes, seconds: float = 5.0) -> asyncio.Task[None]:
    records = [OutboundRecord("topic", b"key", value) for value in values]
    return asyncio.create_task(accumulator.append(records, NO_TRACE, seconds))


async def sent(producer: Producer, count: int) -> None:
    await eventually(lambda: len(producer.sent) >= count)


async def test_what_is_published_while_a_batch_is_on_its_way_goes_as_the_next_one_in_order() -> None:
    producer = Producer()
    accumulator = Accumulator(Supply(producer))
    first = [publishing(accumulator, b"1"), publishing(accumulator, b"2", b"3")]
    await sent(producer, 1)
    second = [publishing(accumulator, value) for value in (b"4", b"5", b"6")]
    await asyncio.sleep(0.01)
    assert producer.values == [[b"1", b"2", b"3"]]
    producer.sent[0][2].set_result(None)
    await asyncio.gather(*first)
    await sent(producer, 2)
    assert producer.values[1] == [b"4", b"5", b"6"]
    assert not any(task.done() for task in second)
    producer.sent[1][2].set_result(None)
    await asyncio.gather(*second)


async def test_partitions_do_not_wait_for_one_another() -> None:
    producer = Producer(partitions=6)
    accumulator = Accumulator(Supply(producer))
    records = [OutboundRecord("topic", b"%d" % number, b"v") for number in range(60)]
    task = asyncio.create_task(accumulator.append(records, NO_TRACE, 5.0))
    await sent(producer, 6)
    assert sorted(partition for partition, _, _ in producer.sent) == list(range(6))
    for _, _, stored in producer.sent[:-1]:
        stored.set_result(None)
    await asyncio.sleep(0.01)
    assert not task.done()
    producer.sent[-1][2].set_result(None)
    await task


async def test_what_does_not_fit_into_a_batch_goes_with_the_next() -> None:
    producer = Producer(room=2)
    accumulator = Accumulator(Supply(producer))
    task = publishing(accumulator, b"1", b"2", b"3")
    await sent(producer, 1)
    producer.sent[0][2].set_result(None)
    await sent(producer, 2)
    assert not task.done()
    producer.sent[1][2].set_result(None)
    await task
    assert producer.values == [[b"1", b"2"], [b"3"]]


async def test_a_batch_that_is_lost_fails_those_in_it_and_nobody_behind_it() -> None:
    producer = Producer()
    supply = Supply(producer)
    accumulator = Accumulator(supply)
    lost = [publishing(accumulator, b"1"), publishing(accumulator, b"2")]
    await sent(producer, 1)
    behind = publishing(accumulator, b"3")
    await asyncio.sleep(0)
    supply.made = another = Producer()
    producer.sent[0][2].set_exception(KafkaError("lost"))
    for task in lost:
        with pytest.raises(KafkaError, match="lost"):
            await task
    assert len(supply.complaints) == 1
    await sent(another, 1)
    another.sent[0][2].set_result(None)
    await behind
    assert another.values == [[b"3"]]


async def test_a_producer_that_takes_nothing_fails_whoever_waits_for_it_and_is_tried_again() -> None:
    producer = Producer()
    supply = Supply(producer)
    accumulator = Accumulator(supply)
    producer.refusing = KafkaError("closed")
    with pytest.raises(KafkaError, match="closed"):
        await publishing(accumulator, b"1")
    assert supply.complaints == ["not taken: KafkaError: closed"]
    producer.refusing = None
    task = publishing(accumulator, b"2")
    await sent(producer, 1)
    producer.sent[0][2].set_result(None)
    await task


async def test_where_no_producer_can_be_had_everybody_is_told_and_nothing_is_tried_again_by_itself() -> None:
    producer = Producer()
    supply, asked = Supply(producer), 0

    async def none() -> Any:
        nonlocal asked
        asked += 1
        raise KafkaError("away")

    accumulator = Accumulator(supply)
    supply.producer = none  # type: ignore[method-assign]
    tasks = [publishing(accumulator, value) for value in (b"1", b"2")]
    for task in tasks:
        with pytest.raises(KafkaError, match="away"):
            await task
    await asyncio.sleep(0.01)
    assert asked == 1


async def test_whoever_has_waited_long_enough_is_told_and_what_he_published_is_not_sent_later() -> None:
    producer = Producer()
    accumulator = Accumulator(Supply(producer))
    patient = publishing(accumulator, b"1")
    await sent(producer, 1)
    hasty, gone = publishing(accumulator, b"2", seconds=0.05), publishing(accumulator, b"3")
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(TimeoutError):
        await hasty
    late = publishing(accumulator, b"4")
    await asyncio.sleep(0)
    producer.sent[0][2].set_result(None)
    await patient
    await sent(producer, 2)
    assert producer.values[1] == [b"4"]
    producer.sent[1][2].set_result(None)
    await late


async def test_a_publish_with_a_record_too_large_for_any_broker_leaves_nothing_behind() -> None:
    producer = Producer()
    accumulator = Accumulator(Supply(producer))
    with pytest.raises(MessageSizeTooLargeError):
        await publishing(accumulator, b"small", b"x" * MAX_DEAD_LETTER_BYTES)
    task = publishing(accumulator, b"next")
    await sent(producer, 1)
    assert producer.values == [[b"next"]]
    producer.sent[0][2].set_result(None)
    await task


@pytest.mark.parametrize(
    "wrong",
    [
        OutboundRecord("topic", b"key", bytes(MAX_DEAD_LETTER_BYTES)),
        OutboundRecord("topic", b"key", b"half a character in a header", {"name": "\ud800"}),
    ],
    ids=["too large", "unreadable header"],
)
async def test_a_publish_that_is_refused_takes_nobody_with_it_who_publishes_in_the_same_turn(
    wrong: OutboundRecord,
) -> None:
    producer = Producer()
    accumulator = Accumulator(Supply(producer))
    before = publishing(accumulator, b"1")
    both = [OutboundRecord("topic", b"key", b"2"), wrong]
    refused = asyncio.create_task(accumulator.append(both, NO_TRACE, 5.0))
    after = publishing(accumulator, b"3", b"4")
    await sent(producer, 1)
    producer.sent[0][2].set_result(None)
    await asyncio.gather(before, after)
    assert producer.values == [[b"1", b"3", b"4"]]
    with pytest.raises((MessageSizeTooLargeError, UnicodeEncodeError)):
        await refused
