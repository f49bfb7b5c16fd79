"""accept: `POST /api/v1/messages/sms/send`, one message a request, from the request to the broker's acknowledgement.

Key, validation, limits, metrics and tracing are on. The limit is a handler of aiohttp and pydantic that only awaits the
same produce, of the same bytes, through the same publisher, in as many processes; both get the same load in
turns. What works on accepted triggers is halted for `accept`, as the peer has nobody behind it either; for
`accept while all works` it runs, and takes its share of the cores.
"""

from __future__ import annotations

import base64
from contextlib import ExitStack

import orjson

from bench.bare import TOPIC
from bench.doors import SEND, body, make_template, sample_record
from bench.figures import Figure, median
from bench.load import Answers, put_load, request
from bench.rig import CONSUMERS, Rig

WARM_SECONDS = 1.5


async def measure(rig: Rig) -> list[Figure]:
    """Return both figures."""
    await make_template(rig)
    value = await sample_record(rig)
    sizes = rig.sizes
    content = orjson.dumps(body())
    ours = request("POST", SEND, rig.key, content)
    bare = request("POST", "/send", None, content)
    ports = rig.ports("ingest", sizes.ingest_copies)

    async def load(to: list[int], what: bytes, seconds: float) -> Answers:
        answers = await put_load(to, sizes.connections, seconds, lambda: what)
        answers.require(200)
        return answers

    await rig.make_topic(TOPIC, 6)
    with ExitStack() as peers:
        arguments = ["--kafka", rig.stack.connections.kafka, "--content", base64.b64encode(value).decode()]
        peer = [peers.enter_context(rig.helper("produce", *arguments)) for _ in range(sizes.ingest_copies)]
        with rig.halted(*CONSUMERS):
            await load(ports, ours, WARM_SECONDS)
            await load(peer, bare, WARM_SECONDS)
            limits, rates, p99s, details = [], [], [], []
            for _ in range(sizes.rounds):
                limits.append((await load(peer, bare, sizes.round_seconds)).rate)
                with rig.meter() as meter:
                    answers = await load(ports, ours, sizes.round_seconds)
                rates.append(answers.rate)
                p99s.append(answers.p99_ms)
                details.append(meter.detail(len(answers.latencies)))
    figure = Figure(
        "accept", median(rates), "requests/s", median(limits), "bare aiohttp + pydantic handler, same produce",
        median(p99s), meter.peak_rss_mb, {"rounds": rates, "limits": limits, "record_bytes": len(value), **details[-1]},
    )  # fmt: skip
    with rig.meter() as busy:
        answers = await load(ports, ours, sizes.round_seconds)
    working = Figure(
        "accept while all works", answers.rate, "requests/s", figure.limit, figure.limit_name, answers.p99_ms,
        busy.peak_rss_mb, busy.detail(len(answers.latencies)),
    )  # fmt: skip
    return [figure, working]
