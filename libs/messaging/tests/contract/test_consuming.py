"""What every consumer promises, whatever its shape and its broker."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence

import pytest

from sluice_messaging.assembly import Assembly
from sluice_messaging.dead_letters import DeadLetterLimit
from sluice_messaging.errors import DeadLetterLimitError, PoisonError, TransientError
from sluice_messaging.ports import EventConsumer, IsTransient, nothing_else
from sluice_messaging.records import OutboundRecord, Record
from sluice_messaging.testing import Stage, eventually, numbered

Handle = Callable[[Record], Awaitable[None]]
Shape = Callable[..., EventConsumer]


def batched(
    process: Assembly, topic: str, group: str, handle: Handle, is_transient: IsTransient = nothing_else
) -> EventConsumer:
    async def each(records: Sequence[Record]) -> None:
        for record in records:
            await handle(record)

    return process.batch_consumer([topic], group, each, max_records=20, max_wait=0.0, is_transient=is_transient)


def keyed(
    process: Assembly, topic: str, group: str, handle: Handle, is_transient: IsTransient = nothing_else
) -> EventConsumer:
    return process.keyed_consumer([topic], group, handle, concurrency=8, is_transient=is_transient)


@pytest.fixture(params=[batched, keyed], ids=["batch", "keyed"])
def shape(request: pytest.FixtureRequest) -> Shape:
    made: Shape = request.param
    return made


class Log:
    """A handler that takes note of what it gets."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    async def __call__(self, record: Record) -> None:
        await asyncio.sleep(0)
        self.records.append(record)

    def by_key(self) -> dict[bytes | None, list[int]]:
        found: defaultdict[bytes | None, list[int]] = defaultdict(list)
        for record in self.records:
            found[record.key].append(int(record.value))
        return dict(found)

    def distinct(self) -> int:
        return len({(record.partition, record.offset) for record in self.records})


async def test_every_record_is_handled_once_and_in_order_of_its_key(stage: Stage, shape: Shape) -> None:
    topic, process, log = await stage.topic(), await stage.process(), Log()
    await process.publisher.publish(numbered(topic, 300))
    async with stage.running(shape(process, topic, stage.group, log)):
        await stage.caught_up(topic)
    assert log.by_key() == {f"key-{key}".encode(): list(range(30)) for key in range(10)}


async def test_a_record_keeps_its_key_value_headers_and_place(stage: Stage, shape: Shape) -> None:
    topic, process, log = await stage.topic(), await stage.process(), Log()
    await process.publisher.publish([OutboundRecord(topic, b"k", b"\x00\xff", {"ce_type": "thing.v1", "name": "ä"})])
    async with stage.running(shape(process, topic, stage.group, log)):
        await stage.caught_up(topic)
    (record,) = log.records
    assert (record.topic, record.offset, record.key, record.value) == (topic, 0, b"k", b"\x00\xff")
    assert record.headers == {"ce_type": "thing.v1", "name": "ä"}
    assert record.message_type == "thing.v1"
    assert record.timestamp_ms > 1_600_000_000_000


async def test_after_a_crash_before_the_commit_the_records_come_again(stage: Stage, shape: Shape) -> None:
    topic, process, log = await stage.topic(), await stage.process(), Log()
    await process.publisher.publish(numbered(topic, 40, keys=1))
    seen, stuck = asyncio.Event(), asyncio.Event()

    async def crash_on_the_tenth(record: Record) -> None:
        if int(record.value) == 10:
            seen.set()
            await stuck.wait()

    task = asyncio.create_task(shape(process, topic, stage.group, crash_on_the_tenth).run(asyncio.Event()))
    await asyncio.wait_for(seen.wait(), 30)
    task.cancel()
    await asyncio.wait({task})
    async with stage.running(shape(await stage.process(), topic, stage.group, log)):
        await stage.caught_up(topic)
    values = log.by_key()[b"key-0"]
    assert values == list(range(values[0], 40))
    assert values[0] <= 10


async def test_poison_goes_to_the_dead_letters_and_the_rest_is_handled(stage: Stage, shape: Shape) -> None:
    topic, process, log = await stage.topic(), await stage.process(), Log()
    await process.publisher.publish(numbered(topic, 60, keys=3))
    await process.publisher.publish([OutboundRecord(topic, b"key-1", b"bad", {"ce_type": "thing.v1"})])
    await process.publisher.publish(numbered(topic, 60, keys=3))

    async def refuse(record: Record) -> None:
        if record.value == b"bad":
            raise PoisonError("not a number")
        await log(record)

    async with stage.running(shape(process, topic, stage.group, refuse)):
        await stage.caught_up(topic)
    assert log.distinct() == 120
    (letter,) = await stage.records(f"{topic}.dlq")
    assert (letter.key, letter.value) == (b"key-1", b"bad")
    assert letter.headers["ce_type"] == "thing.v1"
    assert letter.headers["x-original-topic"] == topic
    (bad,) = (record for record in await stage.records(topic) if record.value == b"bad")
    assert letter.headers["x-original-partition"] == str(bad.partition)
    assert letter.headers["x-original-offset"] == str(bad.offset)
    assert letter.headers["x-error-class"] == "PoisonError"
    assert letter.headers["x-error"] == "not a number"
    assert letter.headers["x-attempts"] == "1"
    assert letter.headers["x-consumer-group"] == stage.group
    assert "x-failed-at" in letter.headers


async def test_an_unexpected_error_gets_three_attempts_and_then_the_dead_letters(stage: Stage, shape: Shape) -> None:
    topic, process = await stage.topic(), await stage.process()
    attempts: Counter[bytes] = Counter()

    async def stumble(record: Record) -> None:
        attempts[record.value] += 1
        if record.value == b"7":
            raise KeyError("a bug")

    await process.publisher.publish(numbered(topic, 20, keys=1))
    async with stage.running(shape(process, topic, stage.group, stumble)):
        await stage.caught_up(topic)
    (letter,) = await stage.records(f"{topic}.dlq")
    assert (letter.value, letter.headers["x-attempts"], letter.headers["x-error-class"]) == (b"7", "3", "KeyError")
    assert attempts[b"7"] >= 3
    assert attempts.keys() == {str(number).encode() for number in range(20)}


async def test_a_cancelled_error_from_inside_a_handler_is_its_failure_and_ends_nothing(
    stage: Stage, shape: Shape
) -> None:
    topic, process, log = await stage.topic(), await stage.process(), Log()

    async def cancel(record: Record) -> None:
        if record.value == b"3":
            raise asyncio.CancelledError
        await log(record)

    await process.publisher.publish(numbered(topic, 8, keys=1))
    async with stage.running(shape(process, topic, stage.group, cancel)):
        await stage.caught_up(topic)
    assert [letter.value for letter in await stage.records(f"{topic}.dlq")] == [b"3"]
    assert log.distinct() == 7


@pytest.mark.parametrize("error", [TransientError("away"), ExceptionGroup("both", [TransientError(), KeyError()])])
async def test_a_transient_failure_is_retried_until_it_passes_and_keeps_order(
    stage: Stage, shape: Shape, error: Exception
) -> None:
    topic, process, log = await stage.topic(), await stage.process(), Log()
    failures = 0

    async def fail_at_first(record: Record) -> None:
        nonlocal failures
        if failures < 6:
            failures += 1
            raise error
        await log(record)

    await process.publisher.publish(numbered(topic, 50, keys=5))
    async with stage.running(shape(process, topic, stage.group, fail_at_first)):
        await stage.caught_up(topic)
    assert log.by_key() == {f"key-{key}".encode(): list(range(10)) for key in range(5)}
    assert await stage.records(f"{topic}.dlq") == []


async def test_a_service_names_further_errors_that_pass(stage: Stage, shape: Shape) -> None:
    topic, process, log = await stage.topic(), await stage.process(), Log()
    failures = 0

    async def fail_at_first(record: Record) -> None:
        nonlocal failures
        if failures < 6:
            failures += 1
            raise ConnectionResetError
        await log(record)

    await process.publisher.publish(numbered(topic, 5, keys=1))
    consumer = shape(process, topic, stage.group, fail_at_first, lambda error: isinstance(error, OSError))
    async with stage.running(consumer):
        await stage.caught_up(topic)
    assert log.by_key() == {b"key-0": [0, 1, 2, 3, 4]}
    assert await stage.records(f"{topic}.dlq") == []


async def test_a_stop_interrupts_the_pauses_and_commits_what_is_finished(stage: Stage, shape: Shape) -> None:
    topic, process, log = await stage.topic(), await stage.process(), Log()

    async def stick(record: Record) -> None:
        if record.value == b"stuck":
            raise TransientError
        await log(record)

    await process.publisher.publish(numbered(topic, 10, keys=1))
    async with stage.running(shape(process, topic, stage.group, stick)) as finish:
        await stage.caught_up(topic)
        await process.publisher.publish([OutboundRecord(topic, b"key-0", b"stuck")])
        await eventually(lambda: _is(stage.lag(topic), 1))
        before = asyncio.get_running_loop().time()
        await finish()
        assert asyncio.get_running_loop().time() - before < 10
    assert await stage.lag(topic) == 1


async def test_a_stop_finishes_and_commits_what_is_in_hand(stage: Stage, shape: Shape) -> None:
    topic, process, log = await stage.topic(), await stage.process(), Log()
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(record: Record) -> None:
        begun.set()
        await go_on.wait()
        await log(record)

    await process.publisher.publish([OutboundRecord(topic, b"k", b"0")])
    async with stage.running(shape(process, topic, stage.group, slow)) as finish:
        await asyncio.wait_for(begun.wait(), 30)
        finishing = asyncio.create_task(_wait(finish()))
        await asyncio.sleep(0)
        go_on.set()
        await finishing
    assert len(log.records) == 1
    assert await stage.lag(topic) == 0


async def test_a_stop_under_load_loses_nothing(stage: Stage, shape: Shape) -> None:
    topic, process, log = await stage.topic(), await stage.process(), Log()
    total = 2_000
    await process.publisher.publish(numbered(topic, total, keys=50))
    for target in (total // 4, total // 2):
        async with stage.running(shape(process, topic, stage.group, log)):
            await eventually(lambda target=target: log.distinct() >= target)  # type: ignore[misc]
    async with stage.running(shape(process, topic, stage.group, log)):
        await stage.caught_up(topic)
    assert log.distinct() == total


async def test_a_rebalance_between_two_consumers_loses_nothing_and_finishes(stage: Stage, shape: Shape) -> None:
    topic, process = await stage.topic(), await stage.process()
    first, second = Log(), Log()
    async with stage.running(shape(process, topic, stage.group, first)):
        await process.publisher.publish(numbered(topic, 400, keys=40))
        await eventually(lambda: first.distinct() >= 50)
        async with stage.running(shape(await stage.process(), topic, stage.group, second)):
            for _ in range(20):
                await process.publisher.publish(numbered(topic, 40, keys=40))
                await asyncio.sleep(0)
            await eventually(lambda: _trickle(process, topic, second))
            await stage.caught_up(topic)
        await process.publisher.publish(numbered(topic, 40, keys=40))
        await stage.caught_up(topic)
    published = {(record.partition, record.offset) for record in await stage.records(topic)}
    handled = {(record.partition, record.offset) for record in (*first.records, *second.records)}
    assert handled == published


async def test_too_many_dead_letters_stop_the_consumer(stage: Stage, shape: Shape) -> None:
    topic, process = await stage.topic(), await stage.process(DeadLetterLimit(consecutive=5))

    async def refuse(_: Record) -> None:
        raise PoisonError("nothing is good enough")

    await process.publisher.publish(numbered(topic, 50, keys=1))
    with pytest.raises(DeadLetterLimitError, match="6 records in a row"):
        await asyncio.wait_for(shape(process, topic, stage.group, refuse).run(asyncio.Event()), 30)
    assert len(await stage.records(f"{topic}.dlq")) == 5
    assert await stage.lag(topic) == 45


async def test_a_consumer_is_ready_while_it_is_a_member(stage: Stage, shape: Shape) -> None:
    topic, process = await stage.topic(), await stage.process()
    consumer = shape(process, topic, stage.group, Log())
    assert not consumer.ready
    async with stage.running(consumer):
        await eventually(lambda: consumer.ready)
    assert not consumer.ready


async def _is(value: Awaitable[int], expected: int) -> bool:
    return await value == expected


async def _wait(step: Awaitable[None]) -> None:
    await step


async def _trickle(process: Assembly, topic: str, log: Log) -> bool:
    """Publish a little more, and tell whether `log` has got anything yet."""
    await process.publisher.publish(numbered(topic, 40, keys=40))
    return bool(log.records)


async def test_a_backlog_is_handled_without_a_pause(stage: Stage) -> None:
    topic, process = await stage.topic(), await stage.process()
    handled = 0

    async def count(records: Sequence[Record]) -> None:
        nonlocal handled
        handled += len(records)

    # All in one partition, and more than the broker gives in one answer.
    large = [OutboundRecord(topic, b"key", bytes(300_000)) for _ in range(12)]
    for record in large:
        await process.publisher.publish([record])
    consumer = process.batch_consumer([topic], stage.group, count, max_records=100, max_wait=3_600)
    async with stage.running(consumer):
        # The last answer leaves nothing behind, so what it brings may wait for company.
        await eventually(lambda: handled > len(large) / 2)
