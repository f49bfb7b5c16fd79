"""bulk: `POST /api/v1/messages/bulk`, a hundred messages a request, each of them a trigger of its own.

The limit is what one process can append of the same bytes, under keys of their own, through the same publisher and with
nothing else to do, in portions of a hundred that are awaited as ours are. What works on triggers is halted meanwhile.
`bulk` is one process of ingest, `bulk by 2` two.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from uuid import UUID

import orjson

from bench.bare import TOPIC
from bench.doors import BULK, body, make_template, sample_record
from bench.figures import Figure, median, named
from bench.load import put_load, request
from bench.rig import CONSUMERS, Rig
from sluice_contracts.messages.trigger import TriggerAccepted
from sluice_messaging.kafka.publisher import KafkaPublisher
from sluice_messaging.records import OutboundRecord, headers_of

ITEMS = 100
CALLERS = 8
WARM_SECONDS = 1.5


async def measure(rig: Rig) -> list[Figure]:
    """Return the figures, in items."""
    await make_template(rig)
    value = await sample_record(rig)
    await rig.make_topic(TOPIC, 6)
    call = {"messages": [{"channel": "sms", **body()}] * ITEMS}
    return [
        await measure_door(rig, "bulk", "items/s", BULK, call, value, copies)
        for copies in sorted({1, rig.sizes.ingest_copies})
    ]


async def measure_door(
    rig: Rig, name: str, unit: str, path: str, call: Mapping[str, object], value: bytes, copies: int = 1
) -> Figure:
    """Return how fast a bulk door takes in the `ITEMS` items of `call`, each of which leaves behind such a `value`.

    The limit appends to `TOPIC`, which is there.
    """
    sizes = rig.sizes
    ours = request("POST", path, rig.key, orjson.dumps(call))
    ports = rig.ports("ingest", copies)
    limits, rates, p99s = [], [], []
    with rig.halted(*CONSUMERS):
        (await put_load(ports, CALLERS, WARM_SECONDS, lambda: ours)).require(200)
        for _ in range(sizes.rounds):
            limits.append(await raw_rate(rig.stack.connections.kafka, value, sizes.round_seconds))
            with rig.meter() as meter:
                answers = await put_load(ports, CALLERS, sizes.round_seconds, lambda: ours)
            answers.require(200)
            rates.append(answers.rate * ITEMS)
            p99s.append(answers.p99_ms)
    items = len(answers.latencies) * ITEMS
    return Figure(
        named(name, copies), median(rates), unit, median(limits), "one process that only appends the same bytes",
        median(p99s), meter.peak_rss_mb, {"rounds": rates, "limits": limits, **meter.detail(items)},
    )  # fmt: skip


async def raw_rate(kafka: str, value: bytes, seconds: float) -> float:
    """Return the records a second that this process appends."""
    publisher = KafkaPublisher(kafka, "raw")
    headers = headers_of(TriggerAccepted)
    began = time.perf_counter()
    appended = 0

    async def append() -> None:
        nonlocal appended
        while time.perf_counter() - began < seconds:
            keys = [str(UUID(bytes=os.urandom(16), version=4)).encode() for _ in range(ITEMS)]
            await publisher.publish([OutboundRecord(TOPIC, key, value, headers) for key in keys])
            appended += ITEMS

    await asyncio.gather(*(append() for _ in range(CALLERS)))
    rate = appended / (time.perf_counter() - began)
    await publisher.close()
    return rate
