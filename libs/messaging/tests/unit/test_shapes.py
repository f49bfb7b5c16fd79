"""What sets the two shapes of a consumer apart, on the broker inside the process."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from zlib import crc32

import pytest

from sluice_messaging.errors import BrokerUnavailableError, PoisonError, TransientError
from sluice_messaging.records import OutboundRecord, Record
from sluice_messaging.testing import MemoryStage, eventually, numbered


@pytest.fixture
def stage() -> MemoryStage:
    return MemoryStage()


class Gate:
    """A handler that holds every record until it is opened."""

    def __init__(self) -> None:
        self.begun: list[Record] = []
        self.done = 0
        self.running = 0
        self.most = 0
        self.opened = asyncio.Event()

    async def __call__(self, record: Record) -> None:
        self.begun.append(record)
        self.running += 1
        self.most = max(self.most, self.running)
        await self.opened.wait()
        self.running -= 1
        self.done += 1


async def settled() -> None:
    """Give everything that can go on the chance to."""
    for _ in range(200):
        await asyncio.sleep(0)


async def test_a_batch_holds_no_more_than_it_may_and_lingers_to_be_full(stage: MemoryStage) -> None:
    topic, process = await stage.topic(), await stage.process()
    sizes: list[int] = []

    async def note(records: Sequence[Record]) -> None:
        sizes.append(len(records))

    await process.publisher.publish(numbered(topic, 30))
    async with stage.running(process.batch_consumer([topic], stage.group, note, max_records=25, max_wait=2.0)):
        await eventually(lambda: bool(sizes))
        for _ in range(20):
            await process.publisher.publish(numbered(topic, 1))
        await stage.caught_up(topic)
    assert sizes == [25, 25]


async def test_what_comes_after_a_pause_is_handled_at_once(stage: MemoryStage) -> None:
    topic, process = await stage.topic(), await stage.process()
    sizes: list[int] = []

    async def note(records: Sequence[Record]) -> None:
        sizes.append(len(records))

    async with stage.running(process.batch_consumer([topic], stage.group, note, max_wait=3_600)):
        await process.publisher.publish(numbered(topic, 1))
        await stage.caught_up(topic)
    assert sizes == [1]


async def test_while_records_keep_coming_they_are_handled_together(stage: MemoryStage) -> None:
    topic, process = await stage.topic(), await stage.process()
    sizes: list[int] = []

    async def note(records: Sequence[Record]) -> None:
        sizes.append(len(records))

    clock = asyncio.get_running_loop().time
    began = clock()
    async with stage.running(process.batch_consumer([topic], stage.group, note, max_wait=1.0)):
        for _ in range(20):
            await process.publisher.publish(numbered(topic, 1))
            await asyncio.sleep(0.01)
        await stage.caught_up(topic)
    assert sum(sizes) == 20
    assert len(sizes) <= 2 + (clock() - began) / 1.0


async def test_a_batch_that_fails_costs_only_the_record_that_is_bad(stage: MemoryStage) -> None:
    topic, process = await stage.topic(), await stage.process()
    calls: list[list[bytes]] = []

    async def note(records: Sequence[Record]) -> None:
        calls.append([record.value for record in records])
        if any(record.value == b"1" for record in records):
            raise ValueError

    await process.publisher.publish(numbered(topic, 3, keys=1))
    async with stage.running(process.batch_consumer([topic], stage.group, note)):
        await stage.caught_up(topic)
    assert calls == [[b"0", b"1", b"2"], [b"0"], [b"1"], [b"1"], [b"1"], [b"2"]]


async def test_records_of_different_keys_are_handled_at_once_and_of_one_key_one_by_one(stage: MemoryStage) -> None:
    topic, process, gate = await stage.topic(), await stage.process(), Gate()
    await process.publisher.publish(numbered(topic, 60, keys=6))
    async with stage.running(process.keyed_consumer([topic], stage.group, gate, concurrency=1_000)):
        await eventually(lambda: gate.running == 6)
        await settled()
        assert {record.value for record in gate.begun} == {b"0"}
        gate.opened.set()
        await stage.caught_up(topic)
    assert gate.most == 6


async def test_no_more_is_handled_at_once_than_there_are_lanes(stage: MemoryStage) -> None:
    topic, process, gate = await stage.topic(), await stage.process(), Gate()
    await process.publisher.publish(numbered(topic, 100, keys=100))
    async with stage.running(process.keyed_consumer([topic], stage.group, gate, concurrency=8)):
        await eventually(lambda: gate.running == 8)
        await settled()
        gate.opened.set()
        await stage.caught_up(topic)
    assert gate.most == 8
    assert gate.done == 100


async def test_no_more_is_taken_than_may_be_in_flight(stage: MemoryStage) -> None:
    topic, process, gate = await stage.topic(), await stage.process(), Gate()
    await process.publisher.publish(numbered(topic, 500, keys=100))
    consumer = process.keyed_consumer([topic], stage.group, gate, concurrency=100, max_in_flight=40)
    async with stage.running(consumer):
        await eventually(lambda: gate.running > 0)
        await settled()
        assert len({(record.partition, record.offset) for record in gate.begun}) <= 40
        gate.opened.set()
        await stage.caught_up(topic)
    assert gate.done == 500
    assert gate.most <= 40


def beside(stuck: bytes, topic: str, lanes: int, count: int) -> list[OutboundRecord]:
    """Return records with keys of other lanes than the key `stuck`."""
    keys = [key for key in (f"key-{number}".encode() for number in range(1_000)) if (crc32(key) - crc32(stuck)) % lanes]
    return [OutboundRecord(topic, keys[number % 50], str(number).encode()) for number in range(count)]


async def test_a_record_that_is_stuck_holds_up_neither_other_keys_nor_other_partitions(stage: MemoryStage) -> None:
    topic, process = await stage.topic(), await stage.process()
    away, handled = True, set[bytes]()

    async def handle(record: Record) -> None:
        if away and record.key == b"stuck":
            raise TransientError
        handled.add(record.value)

    await process.publisher.publish([OutboundRecord(topic, b"stuck", b"stuck"), *beside(b"stuck", topic, 16, 900)])
    consumer = process.keyed_consumer([topic], stage.group, handle, concurrency=16)
    async with stage.running(consumer):
        await eventually(lambda: len(handled) == 900)
        assert stage.broker.lag(stage.group, topic) > 0
        away = False
        await stage.caught_up(topic)
    assert len(handled) == 901


async def test_a_partition_waits_when_its_stuck_record_is_too_far_behind(stage: MemoryStage) -> None:
    topic, process = await stage.topic(), await stage.process()
    handled: list[Record] = []
    away = True

    async def handle(record: Record) -> None:
        if away and record.key == b"stuck":
            raise TransientError
        handled.append(record)

    await process.publisher.publish([OutboundRecord(topic, b"stuck", b"stuck"), *beside(b"stuck", topic, 16, 4_000)])
    records = stage.broker.records(topic)
    (stuck,) = (record.partition for record in records if record.key == b"stuck")
    elsewhere = sum(record.partition != stuck for record in records)
    consumer = process.keyed_consumer([topic], stage.group, handle, concurrency=16, max_in_flight=100, max_distance=50)
    async with stage.running(consumer):
        await eventually(lambda: sum(record.partition != stuck for record in handled) == elsewhere)
        await settled()
        assert max(record.offset for record in handled if record.partition == stuck) < 50 + 100
        away = False
        await stage.caught_up(topic)
    assert len(handled) == 4_001


async def test_work_that_outlives_its_assignment_commits_nothing_and_the_record_comes_again_after_it(
    stage: MemoryStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice_messaging.membership.REVOKE_DRAIN_SECONDS", 0.05)
    topic, process, gate = await stage.topic(), await stage.process(), Gate()
    await process.publisher.publish(numbered(topic, 2, keys=1))
    async with stage.running(process.keyed_consumer([topic], stage.group, gate, concurrency=4)):
        await eventually(lambda: gate.running == 1)
        await stage.broker.redeliver(stage.group)
        await settled()
        assert gate.running == 1
        assert stage.broker.committed(stage.group) == {}
        gate.opened.set()
        await stage.caught_up(topic)
    assert [record.value for record in gate.begun] == [b"0", b"0", b"1"]
    assert gate.most == 1


async def test_records_can_be_delivered_again_on_demand(stage: MemoryStage) -> None:
    topic, process = await stage.topic(), await stage.process()
    handled: list[bytes] = []

    async def handle(records: Sequence[Record]) -> None:
        handled.extend(record.value for record in records)

    await process.publisher.publish(numbered(topic, 3, keys=1))
    async with stage.running(process.batch_consumer([topic], stage.group, handle)):
        await stage.caught_up(topic)
        await stage.broker.redeliver(stage.group, from_start=True)
        await stage.caught_up(topic)
    assert handled == [b"0", b"1", b"2"] * 2


async def test_a_topic_that_was_made_anew_is_read_from_its_beginning(stage: MemoryStage) -> None:
    topic, process = await stage.topic(), await stage.process()
    handled: list[bytes] = []

    async def handle(records: Sequence[Record]) -> None:
        handled.extend(record.value for record in records)

    await process.publisher.publish(numbered(topic, 5, keys=1))
    async with stage.running(process.batch_consumer([topic], stage.group, handle)):
        await eventually(lambda: len(handled) == 5)
        stage.broker.recreate(topic)
        await process.publisher.publish(numbered(topic, 3, keys=1))
        await eventually(lambda: handled[5:] == [b"0", b"1", b"2"])


async def test_a_handler_from_before_a_rebalance_is_given_time_to_finish_at_a_stop(
    stage: MemoryStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice_messaging.membership.REVOKE_DRAIN_SECONDS", 0.01)
    topic, process, gate = await stage.topic(), await stage.process(), Gate()
    await process.publisher.publish(numbered(topic, 1, keys=1))
    async with stage.running(process.keyed_consumer([topic], stage.group, gate, concurrency=4)) as finish:
        await eventually(lambda: gate.running == 1)
        await stage.broker.redeliver(stage.group)
        stopping = asyncio.ensure_future(finish())
        await settled()
        assert not stopping.done()
        gate.opened.set()
        await stopping
    assert gate.done == 1


async def test_a_consumer_waits_while_the_broker_is_away_and_goes_on_when_it_is_back(stage: MemoryStage) -> None:
    topic, process, gate = await stage.topic(), await stage.process(), Gate()
    gate.opened.set()
    await process.publisher.publish(numbered(topic, 5, keys=1))
    stage.broker.available = False
    consumer = process.keyed_consumer([topic], stage.group, gate)
    async with stage.running(consumer):
        await settled()
        assert not consumer.ready
        stage.broker.available = True
        await stage.caught_up(topic)
        stage.broker.available = False
        await eventually(lambda: not consumer.ready)
        stage.broker.available = True
        await process.publisher.publish(numbered(topic, 5, keys=1))
        await stage.caught_up(topic)
    assert gate.done >= 10


async def test_a_dead_letter_that_cannot_be_stored_keeps_its_record_from_being_finished(
    stage: MemoryStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic, process = await stage.topic(), await stage.process()
    publish, refusals, away = process.publisher.publish, 0, True

    async def publish_when_back(records: Sequence[OutboundRecord], **how: float) -> None:
        nonlocal refusals
        if away:
            refusals += 1
            raise BrokerUnavailableError
        await publish(records, **how)

    async def refuse(_: Record) -> None:
        raise PoisonError("never")

    await publish(numbered(topic, 1, keys=1))
    monkeypatch.setattr(process.publisher, "publish", publish_when_back)
    async with stage.running(process.keyed_consumer([topic], stage.group, refuse)):
        await eventually(lambda: refusals > 3)
        assert stage.broker.lag(stage.group, topic) == 1
        away = False
        await stage.caught_up(topic)
    assert len(stage.broker.records(f"{topic}.dlq")) == 1
