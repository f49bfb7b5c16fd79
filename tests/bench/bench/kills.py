"""kills: what a campaign comes to when its worker is killed in the middle, counted by the one who receives the mail.

A campaign of email through SMTP; `kill -9` of the email worker after a quarter, a half and three quarters of it; the
supervisor starts it again, as one would. In the second run everything is killed once, in the middle: every service,
the broker, the database, the gateway. Counted at the sink: who was never reached, who was reached twice. Said by Sluice
itself: sent, and failed with the code `uncertain`, which is what it cannot know and for a campaign does not repeat.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from api_client import ApiClient
from bench.audience import make_audience
from bench.campaigns import send_to_audience
from bench.figures import Figure
from bench.rig import CONSUMERS, Rig
from bench.sinks import CountingSink
from bench.smtp import TEMPLATE, add_relay, add_template

LONGEST_SECONDS = 300.0
EVERYTHING = ("ingest", *CONSUMERS, "caddy", "kafka", "postgres")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the sink counted, and what the ledger says."""

    never: int
    twice: int
    ledger: dict[str, Any]
    seconds: float


def tell(size: int, received: Counter[str], ledger: dict[str, Any], seconds: float) -> Outcome:
    """Compare what the sink got with an audience of `size`."""
    twice = sum(number > 1 for number in received.values())
    return Outcome(size - len(received), twice, ledger, seconds)


async def measure(rig: Rig) -> list[Figure]:
    """Return two figures: how many were never reached in either run, beside what Sluice itself calls uncertain."""
    await add_template(rig)
    size = rig.sizes.mails
    figures = []
    async with CountingSink() as sink:
        await add_relay(rig, sink.port)
        runs = {
            "3 kills of the email worker": (("channel-email",), [1 / 4, 1 / 2, 3 / 4]),
            "1 kill of everything": (EVERYTHING, [1 / 2]),
        }
        for name, (services, moments) in runs.items():
            outcome = await _run(rig, sink, size, services, moments)
            said = {key: outcome.ledger[key] for key in ("total", "sent", "failed", "open", "unaccounted")}
            reasons = [part["failure_reasons"] for part in outcome.ledger["executions"]]
            detail = {
                "recipients": size, "never_reached": outcome.never, "reached_twice": outcome.twice, "says": said,
                "failure_reasons": reasons, "seconds": round(outcome.seconds, 1),
            }  # fmt: skip
            print(f"  {name}: {detail}", flush=True)
            failed = float(outcome.ledger["failed"])
            figures.append(
                Figure(f"never reached, {name}", outcome.never, "people", failed, "said to be failed", detail=detail)
            )
            figures.append(Figure(f"reached twice, {name}", outcome.twice, "people"))
    return figures


async def _run(rig: Rig, sink: CountingSink, size: int, services: tuple[str, ...], moments: list[float]) -> Outcome:
    tag = await make_audience(rig, size)
    sink.received.clear()
    began = time.perf_counter()
    trigger_id = await send_to_audience(rig, "email", tag, TEMPLATE)
    for moment in moments:
        while len(sink.received) < size * moment:
            if time.perf_counter() - began > LONGEST_SECONDS:
                raise TimeoutError(f"{len(sink.received)} of {size} received")
            await asyncio.sleep(0.005)
        for service in services:
            rig.stack.kill(service, signal.SIGKILL)
    async with rig.api("status-api") as api:
        ledger = await _final(api, trigger_id, size)
    return tell(size, Counter(sink.received), ledger, time.perf_counter() - began)


async def _final(api: ApiClient, trigger_id: str, size: int) -> dict[str, Any]:
    """Return the ledger once nothing in it is open. Raises TimeoutError."""
    deadline = time.perf_counter() + LONGEST_SECONDS
    while time.perf_counter() < deadline:
        # What is asked of a service that is just being started again is refused, or never answered.
        with contextlib.suppress(OSError, AssertionError, TimeoutError):
            answer = await api.call("GET", f"/api/v1/triggers/{trigger_id}/ledger")
            if answer.status == 200 and answer.body["accepted"] == size and answer.body["open"] == 0:
                return dict(answer.body)
        await asyncio.sleep(0.25)
    raise TimeoutError("the campaign does not come to an end")
