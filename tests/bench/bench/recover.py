"""recover: how long the share of a killed worker lies still, with another copy of the worker beside it.

Codes come at a steady pace, to all partitions alike, when one of two SMS workers is killed by SIGKILL. What was
accepted before the kill and not handed over, and what comes to the dead worker's partitions after it, waits until
somebody has them again. The value is the time from the kill until the last code accepted in the second after it was
handed over. Codes that were under way inside the worker wait for its lease besides: that is the limit.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from functools import partial

from bench.figures import Figure, median
from bench.otp import Code, hand_overs, send_codes
from bench.rig import Rig, until
from sluice_channel.settings import ChannelSettings

AROUND_SECONDS = 3.0
PACE_SECONDS = 0.02


async def measure(rig: Rig) -> list[Figure]:
    """Return the figure, in seconds."""
    lease = float(ChannelSettings.model_fields["lease_seconds"].default)
    waits, latest = [], []
    for _ in range(rig.sizes.rounds):
        wait, last = await _kill_one(rig)
        waits.append(wait)
        latest.append(last)
    detail = {"rounds": waits, "last_code_of_all_seconds": latest}
    return [Figure("recover", median(waits), "s", lease, "the lease of a claim", detail=detail)]


async def _kill_one(rig: Rig) -> tuple[float, float]:
    """Kill one worker under load; return seconds until its share moved again, and until every code was out."""
    async with rig.api("ingest") as api:
        codes = await send_codes(api, int(AROUND_SECONDS / PACE_SECONDS), PACE_SECONDS)
        sending = asyncio.create_task(send_codes(api, int(AROUND_SECONDS / PACE_SECONDS), PACE_SECONDS))
        await asyncio.sleep(0.5)
        killed_at = time.time()
        os.kill(rig.stack.pids("channel-sms")[0], signal.SIGKILL)
        codes += await sending
    at = await hand_overs(rig, codes, seconds=120)
    after = [code for code in codes if killed_at < code.asked_at < killed_at + 1]
    await _all_consume(rig)
    return _longest(at, after, killed_at), _longest(at, codes, killed_at)


async def _both_run(rig: Rig) -> bool:
    return len(rig.stack.pids("channel-sms")) == 2


def _longest(at: dict[str, float], codes: list[Code], since: float) -> float:
    return max(at[code.trigger_id] for code in codes) - since


async def _all_consume(rig: Rig) -> None:
    """Return once both copies run again and a fresh code goes through at once."""
    async with rig.api("ingest") as api:
        await until(partial(_both_run, rig), 30)
        for _ in range(30):
            codes = await send_codes(api, 20, PACE_SECONDS)
            at = await hand_overs(rig, codes)
            if max(at[code.trigger_id] - code.asked_at for code in codes) < 1:
                return
