"""What every publisher and every reader of a table promises."""

from __future__ import annotations

import asyncio

import pytest

from sluice_messaging.errors import RecordTooLargeError
from sluice_messaging.records import OutboundRecord, Record
from sluice_messaging.testing import Stage, eventually, numbered


async def test_records_of_one_key_lie_in_one_partition_in_the_order_of_publishing(stage: Stage) -> None:
    topic, process = await stage.topic(), await stage.process()
    await process.publisher.publish(numbered(topic, 200))
    await process.publisher.publish([OutboundRecord(topic, b"key-3", b"20")])
    records = [record for record in await stage.records(topic) if record.key == b"key-3"]
    assert [int(record.value) for record in records] == list(range(21))
    assert len({record.partition for record in records}) == 1


async def test_one_publish_may_go_to_several_topics(stage: Stage) -> None:
    first, second, process = await stage.topic(), await stage.topic(), await stage.process()
    await process.publisher.publish([OutboundRecord(first, b"k", b"1"), OutboundRecord(second, b"k", b"2")])
    assert [record.value for record in await stage.records(first)] == [b"1"]
    assert [record.value for record in await stage.records(second)] == [b"2"]


async def test_publishing_nothing_is_nothing(stage: Stage) -> None:
    await (await stage.process()).publisher.publish([])


async def test_a_record_that_no_broker_would_take_is_refused_as_poison(stage: Stage) -> None:
    topic, process = await stage.topic(), await stage.process()
    with pytest.raises(RecordTooLargeError):
        await process.publisher.publish([OutboundRecord(topic, b"k", b"x" * 3_000_000)])
    await process.publisher.publish([OutboundRecord(topic, b"k", b"small")])
    assert [record.value for record in await stage.records(topic)] == [b"small"]


async def test_a_publisher_that_can_publish_says_that_it_is_healthy(stage: Stage) -> None:
    assert await (await stage.process()).publisher.healthy()


async def test_a_table_reader_catches_up_and_then_keeps_up(stage: Stage) -> None:
    topic, process = await stage.topic(), await stage.process()
    table: dict[bytes | None, bytes] = {}

    def keep(record: Record) -> None:
        table[record.key] = record.value

    await process.publisher.publish(numbered(topic, 100))
    stop = asyncio.Event()
    readers = [process.table_reader(topic, keep), (await stage.process()).table_reader(topic, keep)]
    tasks = [asyncio.create_task(reader.run(stop)) for reader in readers]
    await asyncio.wait_for(asyncio.gather(*(reader.caught_up() for reader in readers)), 30)
    assert table == {f"key-{key}".encode(): b"9" for key in range(10)}
    await process.publisher.publish([OutboundRecord(topic, b"key-4", b"new")])
    await eventually(lambda: table[b"key-4"] == b"new")
    stop.set()
    await asyncio.wait_for(asyncio.gather(*tasks), 30)


async def test_a_table_reader_of_an_empty_topic_has_caught_up_at_once(stage: Stage) -> None:
    topic, process = await stage.topic(), await stage.process()
    reader, stop = process.table_reader(topic, lambda _: None), asyncio.Event()
    task = asyncio.create_task(reader.run(stop))
    await asyncio.wait_for(reader.caught_up(), 30)
    stop.set()
    await asyncio.wait_for(task, 30)


async def test_a_table_reader_passes_over_what_its_observer_cannot_take(stage: Stage) -> None:
    topic, process = await stage.topic(), await stage.process()
    seen: list[bytes] = []

    async def observe(record: Record) -> None:
        if record.value == b"1":
            raise ValueError("not this one")
        seen.append(record.value)

    await process.publisher.publish(numbered(topic, 3, keys=1))
    reader, stop = process.table_reader(topic, observe), asyncio.Event()
    task = asyncio.create_task(reader.run(stop))
    await eventually(lambda: seen == [b"0", b"2"])
    stop.set()
    await asyncio.wait_for(task, 30)
