"""What can be seen from outside: spans and metrics."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator, Sequence

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from prometheus_client import REGISTRY

from sluice_messaging.errors import PoisonError
from sluice_messaging.records import OutboundRecord, Record, with_headers
from sluice_messaging.spans import MOST_LINKS, processing_batch, trace_of
from sluice_messaging.testing import MemoryStage, eventually, numbered
from sluice_runtime import tracing


class Spans:
    """Whatever was recorded."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        tracing.configure("test", ratio=1.0, exporter=self._exporter)

    def named(self, name: str) -> list[ReadableSpan]:
        tracing.shut_down()
        return [span for span in self._exporter.get_finished_spans() if span.name == name]


@pytest.fixture
def spans() -> Iterator[Spans]:
    yield Spans()
    tracing.shut_down()


@pytest.fixture
def stage() -> MemoryStage:
    return MemoryStage()


async def test_the_trace_goes_from_the_publisher_into_the_handler_of_a_record(spans: Spans, stage: MemoryStage) -> None:
    topic, process = await stage.topic(), await stage.process()
    inside: list[int] = []

    async def handle(_: Record) -> None:
        inside.append(trace.get_current_span().get_span_context().span_id)

    with tracing.tracer().start_as_current_span("request"):
        await process.publisher.publish([OutboundRecord(topic, b"k", b"v")])
    async with stage.running(process.keyed_consumer([topic], stage.group, handle)):
        await stage.caught_up(topic)

    (sent,), (processed,) = spans.named(f"send {topic}"), spans.named(f"process {topic}")
    assert sent.kind is SpanKind.PRODUCER
    assert processed.kind is SpanKind.CONSUMER
    assert sent.context
    assert processed.context
    assert processed.parent
    assert processed.parent.span_id == sent.context.span_id
    assert processed.context.trace_id == sent.context.trace_id
    assert inside == [processed.context.span_id]
    assert processed.attributes == {
        "messaging.system": "kafka",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": topic,
        "messaging.destination.partition.id": str(stage.broker.records(topic)[0].partition),
        "messaging.consumer.group.name": stage.group,
        "messaging.kafka.offset": 0,
        "messaging.kafka.message.key": "k",
    }


async def test_a_batch_is_one_span_with_a_link_to_each_trace(spans: Spans, stage: MemoryStage) -> None:
    topic, process = await stage.topic(), await stage.process()
    for _ in range(3):
        await process.publisher.publish(numbered(topic, 2, keys=1))
    sizes: list[int] = []

    async def handle(records: Sequence[Record]) -> None:
        sizes.append(len(records))

    async with stage.running(process.batch_consumer([topic], stage.group, handle)):
        await stage.caught_up(topic)
    assert sizes == [6]
    sent, (processed,) = spans.named(f"send {topic}"), spans.named(f"process {topic}")
    assert processed.parent is None
    assert {link.context.trace_id for link in processed.links} == {
        span.context.trace_id for span in sent if span.context
    }
    assert len(processed.links) == 3
    assert processed.attributes
    assert processed.attributes["messaging.batch.message_count"] == 6


def record(offset: int, *, trace: int, span: int = 1, flags: str = "01") -> Record:
    return Record("t", 0, offset, b"k", b"", {"traceparent": f"00-{trace:032x}-{span:016x}-{flags}"}, 0)


def test_a_batch_of_one_trace_continues_it(spans: Spans) -> None:
    with processing_batch([record(0, trace=7, span=3), record(1, trace=7, span=4)], "g"):
        pass
    (span,) = spans.named("process t")
    assert span.context
    assert span.context.trace_id == 7
    assert span.parent
    assert span.parent.span_id == 3
    assert not span.links


def test_a_batch_that_continues_a_recorded_trace_is_recorded_whatever_the_share() -> None:
    exporter = InMemorySpanExporter()
    tracing.configure("test", ratio=0.0, exporter=exporter)
    for flags in ("00", "01"):
        with processing_batch([record(0, trace=7, flags=flags), record(1, trace=8, flags="00")], "g"):
            pass
    tracing.shut_down()
    (span,) = exporter.get_finished_spans()
    assert [link.context.trace_id for link in span.links] == [7, 8]


async def test_what_follows_from_one_record_of_a_batch_can_continue_its_trace(spans: Spans, stage: MemoryStage) -> None:
    answers, process = await stage.topic(), await stage.process()
    batch = [record(0, trace=7, span=3), record(1, trace=8, span=4)]
    with processing_batch(batch, "g"):
        await process.publisher.publish(
            [with_headers(OutboundRecord(answers, b"k", b"v"), trace_of(one)) for one in batch]
        )
    assert [answer.headers["traceparent"] for answer in stage.broker.records(answers)] == [
        one.headers["traceparent"] for one in batch
    ]
    with processing_batch(batch[:1], "g"):
        assert trace_of(batch[0]) == {}


def test_a_span_has_no_more_links_than_are_kept(spans: Spans) -> None:
    with processing_batch([record(offset, trace=offset + 1) for offset in range(2 * MOST_LINKS)], "g"):
        pass
    (span,) = spans.named("process t")
    assert len(span.links) == MOST_LINKS


async def test_a_record_that_brings_its_own_trace_keeps_it(stage: MemoryStage) -> None:
    topic, process = await stage.topic(), await stage.process()
    own = f"00-{7:032x}-{9:016x}-01"
    await process.publisher.publish([OutboundRecord(topic, b"k", b"v", {"traceparent": own})])
    assert stage.broker.records(topic)[0].headers["traceparent"] == own


async def test_without_a_collector_the_trace_of_a_caller_is_still_passed_on(stage: MemoryStage) -> None:
    topic, answers, process = await stage.topic(), await stage.topic(), await stage.process()
    own = f"00-{7:032x}-{9:016x}-01"

    async def answer(_: Record) -> None:
        await process.publisher.publish([OutboundRecord(answers, b"k", b"v")])

    await process.publisher.publish([OutboundRecord(topic, b"k", b"v", {"traceparent": own})])
    async with stage.running(process.keyed_consumer([topic], stage.group, answer)):
        await stage.caught_up(topic)
    assert stage.broker.records(answers)[0].headers["traceparent"] == own


def sample(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


async def test_lag_is_measured_while_a_partition_is_owned_and_forgotten_afterwards(
    stage: MemoryStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice_messaging.committer.MEASURE_EVERY_SECONDS", 0.0)
    monkeypatch.setattr("sluice_messaging.committer.COMMIT_EVERY_SECONDS", 0.01)
    topic, process, go_on = await stage.topic(), await stage.process(), asyncio.Event()

    async def handle(_: Record) -> None:
        await go_on.wait()

    await process.publisher.publish(numbered(topic, 9, keys=1))
    where = {"group": stage.group, "topic": topic, "partition": str(stage.broker.records(topic)[0].partition)}
    async with stage.running(process.keyed_consumer([topic], stage.group, handle, concurrency=1)):
        await eventually(lambda: sample("sluice_in_flight_records", group=stage.group) == 4)
        await eventually(lambda: sample("sluice_consumer_lag_records", **where) == 9)
        go_on.set()
        await eventually(lambda: sample("sluice_consumer_lag_records", **where) == 0)
    assert sample("sluice_consumer_lag_records", **where) is None
    assert sample("sluice_in_flight_records", group=stage.group) == 0


async def test_what_is_handled_and_what_is_dead_is_counted(stage: MemoryStage) -> None:
    topic, process = f"topic-{uuid.uuid4().hex}", await stage.process()

    async def handle(record: Record) -> None:
        if record.value == b"3":
            raise PoisonError("bad")

    await process.publisher.publish(numbered(topic, 10, keys=1))
    async with stage.running(process.keyed_consumer([topic], stage.group, handle)):
        await stage.caught_up(topic)
    assert sample("sluice_handled_records_total", group=stage.group, topic=topic) == 10
    assert sample("sluice_dead_letters_total", topic=topic) == 1
    assert sample("sluice_rebalances_total", group=stage.group) == 1
    assert sample("sluice_handle_seconds_count", group=stage.group) == 10
