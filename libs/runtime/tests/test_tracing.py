from __future__ import annotations

from collections.abc import Iterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from opentelemetry import trace
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from sluice_runtime import tracing
from sluice_runtime.http.application import application
from sluice_runtime.http.problems import Problem

TRACE = "0af7651916cd43dd8448eb211c80319c"
SAMPLED = f"00-{TRACE}-b7ad6b7169203331-01"
UNSAMPLED = f"00-{TRACE}-b7ad6b7169203331-00"


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    yield exporter
    tracing.shut_down()


def test_what_comes_in_goes_out_again_though_nobody_records() -> None:
    headers: dict[str, str] = {}
    with tracing.attached(tracing.extract({"traceparent": SAMPLED, "tracestate": "a=b"})):
        tracing.inject(headers)
    assert headers == {"traceparent": SAMPLED, "tracestate": "a=b"}


@pytest.mark.parametrize("traceparent", ["", "nonsense", "00-0-0-0", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"])
def test_a_broken_header_is_no_trace_and_no_error(traceparent: str) -> None:
    headers: dict[str, str] = {}
    with tracing.attached(tracing.extract({"traceparent": traceparent})):
        tracing.inject(headers)
    assert headers == {}


def test_without_an_endpoint_nothing_is_recorded() -> None:
    tracing.configure("ingest")
    assert not tracing.is_recording()
    with tracing.tracer().start_as_current_span("x") as span:
        assert not span.is_recording()


def test_a_trace_that_comes_in_decides_by_itself_whether_it_is_recorded(exporter: InMemorySpanExporter) -> None:
    tracing.configure("ingest", ratio=0.0, exporter=exporter)
    tracer = tracing.tracer()
    for traceparent in (SAMPLED, UNSAMPLED):
        tracer.start_span("x", context=tracing.extract({"traceparent": traceparent})).end()
    tracer.start_span("y").end()
    tracing.shut_down()
    (span,) = exporter.get_finished_spans()
    assert span.context is not None
    assert format(span.context.trace_id, "032x") == TRACE
    assert span.resource.attributes["service.name"] == "ingest"


def test_what_follows_begins_a_trace_that_is_linked_and_recorded_as_the_other_is(
    exporter: InMemorySpanExporter,
) -> None:
    tracing.configure("orchestrator", ratio=0.0, exporter=exporter)
    assert not tracing.follow("command", None)
    unrecorded = tracing.follow("command", UNSAMPLED)["traceparent"].split("-")
    assert not int(unrecorded[3], 16) & 1
    followed = tracing.follow("command", SAMPLED)["traceparent"].split("-")
    assert int(followed[3], 16) & 1
    tracing.shut_down()
    (span,) = exporter.get_finished_spans()
    assert span.context is not None
    trace_id = format(span.context.trace_id, "032x")
    assert followed[1:3] == [trace_id, f"{span.context.span_id:016x}"]
    assert trace_id != TRACE
    assert [format(link.context.trace_id, "032x") for link in span.links] == [TRACE]


def test_nothing_follows_where_nothing_is_recorded() -> None:
    assert tracing.follow("command", SAMPLED) == {}


async def test_a_request_is_a_span_named_by_its_route(exporter: InMemorySpanExporter) -> None:
    seen: dict[str, str] = {}

    async def find(request: web.Request) -> web.StreamResponse:
        tracing.inject(seen)
        if request.match_info["thing"] == "broken":
            raise RuntimeError("no")
        raise Problem(404)

    tracing.configure("ingest", ratio=1.0, exporter=exporter)
    app = application()
    app.router.add_get("/things/{thing}", find)
    async with TestClient(TestServer(app)) as client:
        await client.get("/things/1", headers={"traceparent": SAMPLED})
        await client.get("/things/broken", headers={"traceparent": SAMPLED})
    tracing.shut_down()
    missing, broken = exporter.get_finished_spans()
    assert missing.name == "GET /things/{thing}"
    assert missing.attributes is not None
    assert missing.attributes["http.response.status_code"] == 404
    assert missing.status.status_code is StatusCode.UNSET
    assert broken.status.status_code is StatusCode.ERROR
    assert seen["traceparent"].startswith(f"00-{TRACE}-")
    assert broken.context is not None
    assert format(broken.context.span_id, "016x") in seen["traceparent"]


async def test_a_handler_passes_the_callers_trace_on_though_nobody_records() -> None:
    seen: dict[str, str] = {}

    async def find(request: web.Request) -> web.StreamResponse:
        tracing.inject(seen)
        return web.Response()

    app = application()
    app.router.add_get("/", find)
    async with TestClient(TestServer(app)) as client:
        await client.get("/", headers={"traceparent": SAMPLED})
        assert seen == {"traceparent": SAMPLED}
        seen.clear()
        await client.get("/")
        assert seen == {}


def test_a_span_is_recorded_as_its_parent_is_and_passes_its_trace_on_either_way(exporter: InMemorySpanExporter) -> None:
    tracing.configure("ingest", ratio=0.0, exporter=exporter)
    for traceparent in (SAMPLED, UNSAMPLED):
        headers: dict[str, str] = {}
        with tracing.span("x", context=tracing.extract({"traceparent": traceparent})) as span:
            tracing.inject(headers)
            assert span.is_recording() is (traceparent == SAMPLED)
            assert tracing.passed_on() == (None if traceparent == SAMPLED else {"traceparent": UNSAMPLED})
        assert headers["traceparent"].split("-")[1] == TRACE
        assert headers["traceparent"][-2:] == traceparent[-2:]
    tracing.shut_down()
    (recorded,) = exporter.get_finished_spans()
    assert recorded.name == "x"


@pytest.mark.parametrize("ratio", [0.0, 1.0])
def test_a_trace_that_begins_here_says_to_everybody_whether_it_is_recorded(
    exporter: InMemorySpanExporter, ratio: float
) -> None:
    tracing.configure("ingest", ratio=ratio, exporter=exporter)
    headers: dict[str, str] = {}
    with tracing.span("outer"), tracing.span("inner"):
        tracing.inject(headers)
    assert int(headers["traceparent"][-2:], 16) & 1 == ratio
    tracing.shut_down()
    assert {span.name for span in exporter.get_finished_spans()} == ({"outer", "inner"} if ratio else set())


def test_the_configured_share_of_traces_is_recorded(exporter: InMemorySpanExporter) -> None:
    tracing.configure("ingest", ratio=0.25, exporter=exporter)
    for _ in range(2000):
        with tracing.span("x"):
            pass
    tracing.shut_down()
    assert 350 < len(exporter.get_finished_spans()) < 650


def test_a_span_that_is_linked_to_a_recorded_one_is_recorded(exporter: InMemorySpanExporter) -> None:
    tracing.configure("status", ratio=0.0, exporter=exporter)
    for traceparent in (SAMPLED, UNSAMPLED):
        context = trace.get_current_span(tracing.extract({"traceparent": traceparent})).get_span_context()
        with tracing.span("batch", links=[trace.Link(context)]):
            pass
    tracing.shut_down()
    (span,) = exporter.get_finished_spans()
    assert [format(link.context.trace_id, "032x") for link in span.links] == [TRACE]


def test_every_trace_that_is_not_recorded_is_another_one() -> None:
    tracing.configure("ingest", ratio=0.0, exporter=InMemorySpanExporter())
    seen = set()
    for _ in range(100):
        headers: dict[str, str] = {}
        with tracing.span("x"):
            tracing.inject(headers)
        seen.add(headers["traceparent"])
    assert len(seen) == 100
    tracing.shut_down()
