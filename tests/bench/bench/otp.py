"""otp: how long a code takes from the request to the provider while a campaign drains, beside the same when idle.

Codes are sent at a steady pace, whatever became of the one before. The moment of the hand-over is the one that the
sandbox writes down inside its send call. The value is the 99th percentile, in milliseconds; the ratio says how many
times slower a code is while the campaign runs.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from api_client import ApiClient
from bench.audience import make_audience
from bench.campaigns import make_template, run_campaign
from bench.figures import Figure, median, percentile
from bench.rig import Rig, until

TEMPLATE = "bench_sale"
PACE_SECONDS = 0.04
_HANDED_OVER = """
SELECT trigger_id, min(at) AS at FROM channel_sms.sandbox_calls WHERE trigger_id = ANY($1::uuid[]) GROUP BY 1
"""


@dataclass(frozen=True, slots=True)
class Code:
    """A code on its way: its trigger, and when it was asked for, by the wall clock."""

    trigger_id: str
    asked_at: float


async def measure(rig: Rig) -> list[Figure]:
    """Return the figure of the idle stack and of the busy one."""
    async with rig.api("ingest") as api:
        await make_template(api, "sms", TEMPLATE, text="Hi {{ first_name }}: {{ what }}")
        await send_codes(api, 50)
        with rig.meter() as quiet:
            idle = await delays(rig, await send_codes(api, rig.sizes.codes))
        tag = await make_audience(rig, rig.sizes.contacts)
        with rig.meter() as meter:
            campaign = asyncio.create_task(
                run_campaign(rig, "sms", tag, TEMPLATE, rig.sizes.contacts, receipts=False), name="campaign"
            )
            await asyncio.sleep(0.5)
            codes: list[Code] = []
            while not campaign.done():
                codes += await send_codes(api, 25)
            course = await campaign
        busy = await delays(rig, codes)
    idle_p99 = percentile(idle, 0.99)
    p99 = percentile(busy, 0.99)
    detail = {
        "codes": len(busy), "median_ms": median(busy), "slowest_ms": max(busy), "contacts": rig.sizes.contacts,
        "campaign_seconds": course.final_seconds, **meter.detail(),
    }  # fmt: skip
    return [
        Figure("otp idle", idle_p99, "ms", None, "", idle_p99, quiet.peak_rss_mb, {"median_ms": median(idle)}),
        Figure("otp", p99, "ms", idle_p99, "the same on an idle stack", p99, meter.peak_rss_mb, detail),
    ]


async def send_codes(api: ApiClient, number: int, pace: float = PACE_SECONDS) -> list[Code]:
    """Ask for `number` codes, one every `pace` seconds; return them in order."""
    asked = []
    for place in range(number):
        asked.append(asyncio.create_task(_send_code(api, place)))
        await asyncio.sleep(pace)
    return list(await asyncio.gather(*asked))


async def _send_code(api: ApiClient, place: int) -> Code:
    body = {
        "recipient_type": "direct_sms", "direct_sms": f"+1415559{place % 10_000:04d}", "text": "Your code is 123456",
        "category": "authentication",
    }  # fmt: skip
    asked_at = time.time()
    answer = await api.post("/api/v1/messages/sms/send", body)
    return Code(str(answer["trigger_id"]), asked_at)


async def hand_overs(rig: Rig, codes: list[Code], seconds: float = 90) -> dict[str, float]:
    """Return when each code was handed over first, by the wall clock. Raises TimeoutError where one never is."""
    found: dict[str, float] = {}
    async with rig.database() as database:

        async def is_there() -> bool:
            rows: list[Any] = await database.fetch(_HANDED_OVER, [code.trigger_id for code in codes])
            moments: dict[str, datetime] = {str(row["trigger_id"]): row["at"] for row in rows}
            found.update({trigger: at.timestamp() for trigger, at in moments.items()})
            return len(found) == len(codes)

        await until(is_there, seconds, pause=0.2)
    return found


async def delays(rig: Rig, codes: list[Code]) -> list[float]:
    """Return the milliseconds from each request to its hand-over."""
    at = await hand_overs(rig, codes)
    return [(at[code.trigger_id] - code.asked_at) * 1000 for code in codes]
