"""Traces: W3C headers in and out, spans to a collector where one is named, and next to nothing where none is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from random import Random
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_ON,
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import Attributes

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"

_PROPAGATOR: Final = TraceContextTextMapPropagator()


class _Beginnings(Sampler):
    """Decides about spans that begin a trace: those that continue a recorded trace by a link are recorded as well."""

    def __init__(self, ratio: float) -> None:
        self._share = TraceIdRatioBased(ratio)

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Decide; the signature is the SDK's."""
        if any(link.context.trace_flags.sampled for link in links or ()):
            return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes, trace_state)
        return self._share.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        """Name the sampler."""
        return f"linked or {self._share.get_description()}"


class _Tracing:
    """The process's provider, None while spans are not recorded, and what comes of it once and for all.

    `tracer` decides by itself which traces to begin; `recorder` begins those that have been chosen already.
    """

    provider: TracerProvider | None = None
    tracer: trace.Tracer = trace.NoOpTracer()
    recorder: trace.Tracer = trace.NoOpTracer()
    ratio: float = 0.0


def configure(service: str, *, endpoint: str = "", ratio: float = 0.01, exporter: SpanExporter | None = None) -> None:
    """Record spans of `service` and send them to the OTLP/HTTP collector at `endpoint` (`http://host:4318`).

    A trace that comes in sampled stays sampled, and so does what is linked to it; of those that begin here a share of
    `ratio` is. Without an endpoint, or an `exporter` in its place, nothing is recorded, and the context of whoever
    called is still passed on.
    """
    shut_down()
    if exporter is None and not endpoint:
        return
    if exporter is None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=2)
    resource = Resource.create({"service.name": service, "service.namespace": "sluice"})
    processor = BatchSpanProcessor(exporter)

    def provide(root: Sampler) -> TracerProvider:
        provider = TracerProvider(resource=resource, sampler=ParentBased(root), shutdown_on_exit=False)
        provider.add_span_processor(processor)
        return provider

    _Tracing.provider = provide(_Beginnings(ratio))
    # Once, because to get a tracer takes longer than to make a span.
    _Tracing.tracer = _Tracing.provider.get_tracer("sluice")
    _Tracing.recorder = provide(ALWAYS_ON).get_tracer("sluice")
    _Tracing.ratio = ratio


def is_recording() -> bool:
    """Whether spans made here can reach anybody."""
    return _Tracing.provider is not None


def passed_on() -> dict[str, str] | None:
    """Return the headers that carry the current trace where nobody records it; None where somebody may."""
    current = trace.get_current_span()
    if _Tracing.provider is not None and type(current) is not _Unrecorded:
        of = current.get_span_context()
        if not of.is_valid or of.trace_flags.sampled:
            return None
    headers: dict[str, str] = {}
    _write(current, headers)
    return headers


def tracer() -> trace.Tracer:
    """Return the tracer that all of Sluice uses."""
    return _Tracing.tracer


def span(
    name: str,
    *,
    context: Context | None = None,
    kind: SpanKind = SpanKind.INTERNAL,
    attributes: Attributes = None,
    links: Sequence[Link] | None = None,
) -> AbstractContextManager[trace.Span]:
    """Make a span inside the block the current one; its parent is that of `context`, of the current one without.

    It is recorded as its parent is; one without a parent begins a trace, which is recorded by the configured share, or
    where one of `links` is. All others only pass their trace on: the SDK takes ten times as long to record nothing.
    """
    # To ask the SDK whose context it is takes longer than to see that it is nobody's.
    parent = trace.INVALID_SPAN if context is _NO_CONTEXT else trace.get_current_span(context)
    recorder = None
    if _Tracing.provider is not None and type(parent) is not _Unrecorded:
        of = parent.get_span_context()
        if of.is_valid:
            recorder = _Tracing.tracer if of.trace_flags.sampled else None
        elif (links and any(link.context.trace_flags.sampled for link in links)) or _random.random() < _Tracing.ratio:
            recorder = _Tracing.recorder
        else:
            context = trace.set_span_in_context(_Unrecorded(), _NO_CONTEXT)
    if recorder is not None:
        return recorder.start_as_current_span(name, context=context, kind=kind, attributes=attributes, links=links)
    return _NOTHING if context is None else attached(context)


class _Unrecorded(trace.NonRecordingSpan):
    """The span of a trace that begins here and that nobody records, here or wherever it is passed on to.

    It gets its ids when somebody asks for them, which for most of them nobody does.
    """

    def __init__(self) -> None:
        self._ids = 0

    @property
    def ids(self) -> tuple[int, int]:
        """Its trace's id and its own."""
        if not self._ids:
            self._ids = _random.getrandbits(192) | _NEITHER_ID_IS_ZERO
        return self._ids >> 64, self._ids & 0xFFFF_FFFF_FFFF_FFFF

    def get_span_context(self) -> trace.SpanContext:
        """Return the ids in the SDK's form."""
        return trace.SpanContext(*self.ids, is_remote=False)


class attached(AbstractContextManager[trace.Span]):  # noqa: N801 - it is used as a function is
    """Makes `context` the current one inside the block."""

    __slots__ = ("_context", "_token")

    def __init__(self, context: Context) -> None:
        self._context = context

    def __enter__(self) -> trace.Span:
        self._token = attach(self._context)
        return trace.INVALID_SPAN

    def __exit__(self, *_: object) -> None:
        detach(self._token)


def inject(headers: dict[str, str]) -> None:
    """Write the current trace context into `headers` (`traceparent`, `tracestate`); nothing where there is none."""
    _write(trace.get_current_span(), headers)


def _write(current: trace.Span, headers: dict[str, str]) -> None:
    # Not isinstance: spans are abstract in a way that makes that question a long one.
    if type(current) is _Unrecorded:
        trace_id, span_id = current.ids
        headers[TRACEPARENT] = f"00-{trace_id:032x}-{span_id:016x}-00"
    else:
        _PROPAGATOR.inject(headers)


def carried() -> dict[str, str]:
    """Return the headers that carry the current trace context, none where there is none."""
    headers: dict[str, str] = {}
    inject(headers)
    return headers


def extract(headers: Mapping[str, str]) -> Context:
    """Return the trace context that `headers` carry, an empty one where they carry none. Never raises."""
    return _PROPAGATOR.extract(headers) if TRACEPARENT in headers else _NO_CONTEXT


def follow(name: str, traceparent: str | None) -> dict[str, str]:
    """Begin a trace of its own for what follows late, or in great numbers, from the span that `traceparent` names.

    It begins with a span of no length called `name` that is linked to the other. Returns the headers with which to
    continue it: none where nothing is recorded.
    """
    headers: dict[str, str] = {}
    if traceparent is not None and is_recording():
        origin = trace.get_current_span(extract({TRACEPARENT: traceparent})).get_span_context()
        span = tracer().start_span(name, context=_NO_CONTEXT, links=[Link(origin)] if origin.is_valid else None)
        _PROPAGATOR.inject(headers, trace.set_span_in_context(span, _NO_CONTEXT))
        span.end()
    return headers


def shut_down() -> None:
    """Send what is still waiting and stop recording. Blocks up to the exporter's timeout of two seconds."""
    provider, _Tracing.provider = _Tracing.provider, None
    _Tracing.tracer = _Tracing.recorder = trace.NoOpTracer()
    if provider is not None:
        provider.shutdown()


_NO_CONTEXT: Final = Context()
_NOTHING: Final = nullcontext(trace.INVALID_SPAN)
_NEITHER_ID_IS_ZERO: Final = 1 << 64 | 1
_random: Final = Random()
