"""One trace goes with a message, from the request that asked for it to the provider and into the projection."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest

from api_client import ApiClient, wait_until
from collector import Collector, Span
from first_sends import take_first_sends
from scene import Scene
from sluice_local.stack import Stack

Name = tuple[str, str]
"""A service and what it calls a span."""

pytestmark = pytest.mark.e2e

SEND = {"recipient_type": "direct_sms", "direct_sms": "+14155550161", "text": "Hello", "category": "authentication"}


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    async with Collector() as listening:
        yield listening


async def test_a_trace_goes_from_the_request_to_the_provider_and_into_the_projection(
    collector: Collector, tmp_path: Path
) -> None:
    environment = {
        "SLUICE_OTLP_ENDPOINT": collector.endpoint,
        # A caller's trace is recorded because the caller records it, not because of our own share.
        "SLUICE_TRACE_RATIO": "0",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    stack = Stack(tmp_path / "stack", environment=environment)
    try:
        # The collector listens on this very loop.
        await asyncio.to_thread(stack.start)
        await asyncio.to_thread(take_first_sends, stack)
        async with ApiClient(stack.base_url, stack.api_key) as api:
            await one_send_is_one_trace(api, collector)
            await sends_taken_up_together_keep_their_traces(api, collector)
            await a_campaigns_commands_are_linked_to_its_request(api, collector)
    finally:
        await asyncio.to_thread(stack.stop)


async def one_send_is_one_trace(api: ApiClient, collector: Collector) -> None:
    trace = secrets.token_hex(16)
    sent = await api.post("/api/v1/sms/send", SEND, headers=traceparent(trace))
    await api.finished(sent["trigger_id"])
    path = [
        ("ingest", "POST /api/v1/sms/send"),
        ("ingest", "send triggers.priority"),
        ("orchestrator", "process triggers.priority"),
        ("channel-sms", "process commands.sms.priority"),
        ("channel-sms", "send deliveries"),
    ]
    provider = ("channel-sms", "provider.send")
    spans = await spans_of(collector, trace, {*path, provider})
    for upper, lower in [*pairwise(path), (path[3], provider)]:
        await is_above(collector, trace, upper, lower)
    (call,) = named(spans, provider)
    assert call.attributes["provider.name"] == "sandbox"
    assert call.attributes["messaging.batch.message_count"] == "1"
    await is_projected(collector, trace)


async def sends_taken_up_together_keep_their_traces(api: ApiClient, collector: Collector) -> None:
    traces = [secrets.token_hex(16) for _ in range(30)]
    answers = await asyncio.gather(
        *(api.post("/api/v1/sms/send", SEND, headers=traceparent(trace)) for trace in traces)
    )
    for answer in answers:
        await api.finished(answer["trigger_id"])
    provider = ("channel-sms", "provider.send")
    for trace in traces:
        spans = await spans_of(collector, trace, {("ingest", "POST /api/v1/sms/send"), provider})
        assert len(named(spans, provider)) == 1
        await spans_of(collector, trace, {("orchestrator", "process triggers.priority")}, with_links=True)
        await is_projected(collector, trace)


async def a_campaigns_commands_are_linked_to_its_request(api: ApiClient, collector: Collector) -> None:
    scene = Scene(api)
    await scene.contacts(3)
    trace = secrets.token_hex(16)
    body = {"recipient_type": "tag", "tags": [scene.mark], "text": "Sale", "category": "marketing"}
    sent = await api.post("/api/v1/sms/send", body, headers=traceparent(trace))
    await api.finished(sent["trigger_id"])
    command = ("orchestrator", "command")
    (begun,) = named(await spans_of(collector, trace, {command}, with_links=True), command)
    await spans_of(collector, begun.trace, {("channel-sms", "provider.send"), ("channel-sms", "send deliveries")})
    await is_projected(collector, begun.trace)


async def is_projected(collector: Collector, trace: str) -> None:
    """Return once what was reported in `trace` is folded: in the same one or, where others' reports and receipts came
    at the same time, in a trace of the whole batch that is linked to them all.
    """
    await spans_of(collector, trace, {("status-api", "process deliveries")}, with_links=True)


async def spans_of(collector: Collector, trace: str, expected: set[Name], *, with_links: bool = False) -> list[Span]:
    """Return the spans of `trace` (and those linked to it, if so asked) once all that are expected are there."""
    spans: list[Span] = []

    def missing() -> set[Name]:
        return expected - {(span.service, span.name) for span in spans}

    async def are_there() -> bool:
        nonlocal spans
        spans = [span for span in collector.spans if span.trace == trace or (with_links and trace in span.links)]
        return not missing()

    await wait_until(are_there, describe=lambda: f"missing: {missing()}; there: {spans}")
    return spans


def named(spans: list[Span], name: Name) -> list[Span]:
    """Return the spans of that service and name."""
    return [span for span in spans if (span.service, span.name) == name]


async def is_above(collector: Collector, trace: str, upper: Name, lower: Name) -> None:
    """Return once a span called `lower` descends from one called `upper`: what lies between them may come last."""

    async def descends() -> bool:
        spans = [span for span in collector.spans if span.trace == trace]
        by_id = {span.id: span for span in spans}
        for span in named(spans, lower):
            ancestor = by_id.get(span.parent)
            while ancestor is not None:
                if (ancestor.service, ancestor.name) == upper:
                    return True
                ancestor = by_id.get(ancestor.parent)
        return False

    await wait_until(descends, describe=lambda: f"{lower} does not descend from {upper}")


def traceparent(trace: str) -> dict[str, str]:
    """Return the headers of a caller who records `trace` (W3C Trace Context)."""
    return {"traceparent": f"00-{trace}-{secrets.token_hex(8)}-01"}
