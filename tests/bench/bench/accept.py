"""accept: `POST /api/v1/messages/sms/send`, one message a request, from the request to the broker's acknowledgement.

Key, validation, limits, metrics and tracing are on. The limit is a handler of aiohttp and pydantic that only awaits the
same produce, of the same bytes, through the same publisher; both get the same load in turns. `accept` is one process
beside one, `accept by 2` two beside two. What works on accepted triggers is halted for both, as the peer has nobody
behind it either; for `accept while all works` it runs, and takes its share of the cores.
"""

from __future__ import annotations

import base64
from contextlib import ExitStack

import orjson

from bench.bare import TOPIC
from bench.doors import SEND, body, make_template, sample_record
from bench.figures import Figure, median, named
from bench.load import Answers, put_load, request
from bench.rig import CONSUMERS, Rig

WARM_SECONDS = 1.5


async def measure(rig: Rig) -> list[Figure]:
    """Return the figures."""
    await make_template(rig)
    await rig.make_topic(TOPIC, 6)
    value = await sample_record(rig)
    ours = request("POST", SEND, rig.key, orjson.dumps(body()))
    with rig.halted(*CONSUMERS):
        figures = [await _measure(rig, copies, ours, value) for copies in sorted({1, rig.sizes.ingest_copies})]
    alone = figures[0]
    with rig.meter() as meter:
        answers = await _load(rig, rig.ports("ingest"), ours, rig.sizes.round_seconds)
    working = Figure(
        "accept while all works", answers.rate, "requests/s", alone.limit, alone.limit_name, answers.p99_ms,
        meter.peak_rss_mb, meter.detail(len(answers.latencies)),
    )  # fmt: skip
    return [*figures, working]


async def _measure(rig: Rig, copies: int, ours: bytes, value: bytes) -> Figure:
    """Return what so many processes accept, beside as many peers that append `value`."""
    sizes = rig.sizes
    bare = request("POST", "/send", None, orjson.dumps(body()))
    ports = rig.ports("ingest", copies)
    arguments = ["--kafka", rig.stack.connections.kafka, "--content", base64.b64encode(value).decode()]
    limits, rates, p99s, details = [], [], [], []
    with ExitStack() as running:
        peers = [running.enter_context(rig.helper("produce", *arguments)) for _ in range(copies)]
        await _load(rig, ports, ours, WARM_SECONDS)
        await _load(rig, peers, bare, WARM_SECONDS)
        for _ in range(sizes.rounds):
            limits.append((await _load(rig, peers, bare, sizes.round_seconds)).rate)
            with rig.meter() as meter:
                answers = await _load(rig, ports, ours, sizes.round_seconds)
            rates.append(answers.rate)
            p99s.append(answers.p99_ms)
            details.append(meter.detail(len(answers.latencies)))
    return Figure(
        named("accept", copies), median(rates), "requests/s", median(limits),
        "bare aiohttp + pydantic handler, same produce", median(p99s), meter.peak_rss_mb,
        {"rounds": rates, "limits": limits, "record_bytes": len(value), **details[-1]},
    )  # fmt: skip


async def _load(rig: Rig, ports: list[int], what: bytes, seconds: float) -> Answers:
    answers = await put_load(ports, rig.sizes.connections, seconds, lambda: what)
    answers.require(200)
    return answers
