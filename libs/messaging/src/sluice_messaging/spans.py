"""Spans around sending and handling, named and described as OpenTelemetry's messaging conventions say.

One span a publish, one a record where records are handled singly, one a batch otherwise: never one a job.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind
from opentelemetry.util.types import AttributeValue

from sluice_messaging.records import OutboundRecord, Record
from sluice_runtime import tracing

MOST_LINKS: Final = 128
"""As many links as the SDK keeps of one span."""

_TRACE_ID: Final = slice(3, 35)
"""Where a `traceparent` holds the id of its trace (W3C Trace Context §3.2.2)."""


@contextmanager
def sending(records: Sequence[OutboundRecord]) -> Iterator[Mapping[str, str]]:
    """Span the publishing of `records`; gives the headers that carry its context to their readers."""
    passed_on = tracing.passed_on()
    if passed_on is not None:
        yield passed_on
        return
    topic = _common(record.topic for record in records)
    attributes = {**_attributes("send", topic), "messaging.batch.message_count": len(records)}
    with tracing.span(_name("send", topic), kind=SpanKind.PRODUCER, attributes=attributes):
        yield tracing.carried()


@contextmanager
def processing(record: Record, group: str) -> Iterator[None]:
    """Span the handling of one record, as a child of the span that sent it."""
    if not tracing.is_recording():
        with tracing.attached(tracing.extract(record.headers)):
            yield
        return
    attributes = {
        **_attributes("process", record.topic, group),
        "messaging.destination.partition.id": str(record.partition),
        "messaging.kafka.offset": record.offset,
    }
    if record.key is not None:
        attributes["messaging.kafka.message.key"] = record.key.decode(errors="replace")
    with tracing.span(
        f"process {record.topic}",
        context=tracing.extract(record.headers),
        kind=SpanKind.CONSUMER,
        attributes=attributes,
    ):
        yield


@contextmanager
def processing_batch(records: Sequence[Record], group: str) -> Iterator[None]:
    """Span the handling of a batch: as a child, where all records are of one trace, else as a trace of its own.

    Such a trace has links to up to 128 of the traces that it continues.
    """
    context = _common_trace(records)
    if not tracing.is_recording():
        with tracing.attached(context):
            yield
        return
    topic = _common(record.topic for record in records)
    attributes = {**_attributes("process", topic, group), "messaging.batch.message_count": len(records)}
    with tracing.span(
        _name("process", topic),
        context=context,
        kind=SpanKind.CONSUMER,
        attributes=attributes,
        links=None if context else _links(records),
    ):
        yield


def trace_of(record: Record) -> dict[str, str]:
    """Return the headers with which what follows from `record` alone continues its trace, out of a batch of many.

    Empty where that is the trace that whatever is published now continues anyway.
    """
    theirs = trace.get_current_span(tracing.extract(record.headers)).get_span_context()
    if theirs.trace_id == trace.get_current_span().get_span_context().trace_id:
        return {}
    return {name: record.headers[name] for name in (tracing.TRACEPARENT, tracing.TRACESTATE) if name in record.headers}


def _common_trace(records: Sequence[Record]) -> Context:
    """Return the context of the first of `records` where all are of one trace, else an empty one."""
    ids = {record.headers.get(tracing.TRACEPARENT, "")[_TRACE_ID] for record in records}
    return tracing.extract(records[0].headers) if len(ids) == 1 else Context()


def _links(records: Sequence[Record]) -> list[Link]:
    links: dict[int, Link] = {}
    for record in records:
        if len(links) == MOST_LINKS:
            break
        context = trace.get_current_span(tracing.extract(record.headers)).get_span_context()
        if context.is_valid and context.trace_id not in links:
            where: dict[str, AttributeValue] = {
                "messaging.destination.partition.id": str(record.partition),
                "messaging.kafka.offset": record.offset,
            }
            links[context.trace_id] = Link(context, where)
    return list(links.values())


def _common(topics: Iterable[str]) -> str | None:
    """Return the topic if all are the same."""
    distinct = set(topics)
    return distinct.pop() if len(distinct) == 1 else None


def _name(operation: str, topic: str | None) -> str:
    return operation if topic is None else f"{operation} {topic}"


def _attributes(operation: str, topic: str | None, group: str | None = None) -> dict[str, AttributeValue]:
    attributes: dict[str, AttributeValue] = {
        "messaging.system": "kafka",
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
    }
    if topic is not None:
        attributes["messaging.destination.name"] = topic
    if group is not None:
        attributes["messaging.consumer.group.name"] = group
    return attributes
