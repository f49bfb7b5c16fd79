"""A broker that is away, frozen, or killed and started again: everybody waits, nobody hangs, nothing is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, closing
from pathlib import Path
from time import monotonic, sleep

import pytest

from sluice_local import processes
from sluice_local.kafka import BrokerPorts, Kafka
from sluice_messaging.administration import create_topics
from sluice_messaging.errors import BrokerUnavailableError, TransientError
from sluice_messaging.kafka import KafkaMessaging
from sluice_messaging.records import OutboundRecord, Record
from sluice_messaging.testing import KafkaStage, eventually, numbered

pytestmark = pytest.mark.integration

BUSY_SECONDS = 5.0
"""What a machine that has much else to do may add to a time that is promised."""


@pytest.fixture
def dead_address() -> str:
    """An address at which nobody listens."""
    return f"127.0.0.1:{processes.free_port()}"


@pytest.fixture
def deaf_address() -> Iterator[str]:
    """An address that takes connections and never says anything."""
    with closing(socket.socket()) as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(128)
        yield f"127.0.0.1:{deaf.getsockname()[1]}"


@pytest.fixture(scope="module")
def ill_treated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A broker of this module's own, to be treated badly."""
    folder = tmp_path_factory.mktemp("kafka")
    ports = BrokerPorts(*processes.free_ports(2))
    cluster = Kafka(folder / "data", [ports], folder)
    cluster.prepare()
    cluster.start()
    yield cluster
    for process in cluster.processes.values():
        processes.stop(process, signal.SIGKILL, timeout=10)


@pytest.fixture
def broker(ill_treated: Kafka) -> Kafka:
    """That broker, running."""
    if ill_treated.processes[1].poll() is not None:
        ill_treated.start_broker(1)
    ill_treated.wait_ready()
    return ill_treated


@pytest.fixture
async def stage(broker: Kafka) -> AsyncIterator[KafkaStage]:
    async with KafkaStage(broker.bootstrap) as made:
        yield made


def freeze(broker: Kafka) -> None:
    """Stop the broker; returns when its last thread stands still, for until then it may well take a record."""
    pid = broker.processes[1].pid
    os.kill(pid, signal.SIGSTOP)
    deadline = monotonic() + 30
    while any(_state(thread) != "T" for thread in Path(f"/proc/{pid}/task").iterdir()):
        assert monotonic() < deadline
        sleep(0.001)


def _state(thread: Path) -> str:
    try:
        return (thread / "stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "ended meanwhile"


def thaw(broker: Kafka) -> None:
    os.kill(broker.processes[1].pid, signal.SIGCONT)


def kill(broker: Kafka) -> None:
    processes.stop(broker.processes[1], signal.SIGKILL, timeout=10)


async def restart(broker: Kafka) -> None:
    broker.start_broker(1)
    await eventually(broker.is_ready)


@pytest.mark.parametrize("address", ["dead_address", "deaf_address"])
async def test_publishing_without_a_broker_fails_within_the_timeout(
    address: str, request: pytest.FixtureRequest
) -> None:
    async with KafkaMessaging(request.getfixturevalue(address), "test") as messaging:
        before = monotonic()
        with pytest.raises(BrokerUnavailableError):
            await messaging.publisher.publish([OutboundRecord("t", b"k", b"v")])
        assert monotonic() - before < 5 + BUSY_SECONDS
        assert not await messaging.publisher.healthy()
        before = monotonic()
    assert monotonic() - before < 3 + BUSY_SECONDS


@pytest.mark.parametrize("address", ["dead_address", "deaf_address"])
@pytest.mark.parametrize("kind", ["batch", "keyed", "table"])
async def test_a_consumer_without_a_broker_waits_and_stops_when_told(
    kind: str, address: str, request: pytest.FixtureRequest
) -> None:
    async def handle(_: object) -> None:
        raise AssertionError("there is nothing to handle")

    async with KafkaMessaging(request.getfixturevalue(address), "test") as messaging:
        runs: dict[str, Callable[[asyncio.Event], Awaitable[None]]] = {
            "batch": messaging.batch_consumer(["t"], "g", handle).run,
            "keyed": messaging.keyed_consumer(["t"], "g", handle).run,
            "table": messaging.table_reader("t", lambda _: None).run,
        }
        stop = asyncio.Event()
        task = asyncio.ensure_future(runs[kind](stop))
        await asyncio.wait({task}, timeout=0.4)
        assert not task.done()
        stop.set()
        before = monotonic()
        await asyncio.wait_for(task, 30)
        assert monotonic() - before < 5 + BUSY_SECONDS


async def test_topics_cannot_be_made_without_a_broker(dead_address: str) -> None:
    with pytest.raises(BrokerUnavailableError):
        await create_topics(dead_address)


async def test_a_killed_broker_that_comes_back_finds_everybody_where_they_were(
    broker: Kafka, stage: KafkaStage
) -> None:
    topic, process = await stage.topic(), await stage.process()
    handled: set[bytes] = set()
    shown: set[bytes] = set()

    async def keep(record: Record) -> None:
        handled.add(record.value)

    async with AsyncExitStack() as stack:
        await stack.enter_async_context(stage.running(process.keyed_consumer([topic], stage.group, keep)))
        reader, stop = process.table_reader(topic, lambda record: shown.add(record.value)), asyncio.Event()
        reading = asyncio.create_task(reader.run(stop))
        await process.publisher.publish(numbered(topic, 100, keys=1), timeout=30.0)
        await eventually(lambda: len(handled) == len(shown) == 100)
        kill(broker)
        with pytest.raises(BrokerUnavailableError):
            await process.publisher.publish([OutboundRecord(topic, b"k", b"lost?")], timeout=1.0)
        assert not await process.publisher.healthy()
        await restart(broker)
        await eventually(process.publisher.healthy)
        await process.publisher.publish([OutboundRecord(topic, b"k", b"after")], timeout=30.0)
        await eventually(lambda: b"after" in handled and b"after" in shown, 60)
        assert len(handled) >= 101
        await eventually(lambda: _committed(stage, topic))
        stop.set()
        await asyncio.wait_for(reading, 30)


async def test_a_frozen_broker_delays_and_loses_nothing(broker: Kafka, stage: KafkaStage) -> None:
    topic, process = await stage.topic(), await stage.process()
    handled: set[bytes] = set()

    async def keep(record: Record) -> None:
        handled.add(record.value)

    async with stage.running(process.keyed_consumer([topic], stage.group, keep)):
        await process.publisher.publish(numbered(topic, 10, keys=1), timeout=30.0)
        await eventually(lambda: len(handled) == 10)
        freeze(broker)
        with pytest.raises(BrokerUnavailableError):
            await process.publisher.publish([OutboundRecord(topic, b"k", b"late")], timeout=1.0)
        thaw(broker)
        await process.publisher.publish([OutboundRecord(topic, b"k", b"after")], timeout=30.0)
        await eventually(lambda: b"after" in handled)
        assert b"late" in handled


async def test_a_consumer_stops_in_time_while_the_broker_is_frozen_or_gone(broker: Kafka, stage: KafkaStage) -> None:
    topic, process = await stage.topic(), await stage.process()
    for outage in (freeze, kill):
        retrying = asyncio.Event()

        async def fail(_: Record, retrying: asyncio.Event = retrying) -> None:
            retrying.set()
            raise TransientError("the database is away, too")

        stop = asyncio.Event()
        task = asyncio.create_task(process.keyed_consumer([topic], f"group-{outage.__name__}", fail).run(stop))
        await process.publisher.publish([OutboundRecord(topic, b"k", b"v")], timeout=30.0)
        await asyncio.wait_for(retrying.wait(), 30)
        outage(broker)
        stop.set()
        before = monotonic()
        await asyncio.wait_for(task, 30)
        assert monotonic() - before < 8 + BUSY_SECONDS
        thaw(broker) if outage is freeze else None


async def _committed(stage: KafkaStage, topic: str) -> bool:
    return await stage.lag(topic) == 0
