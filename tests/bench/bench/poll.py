"""poll: what dashboards read, among a million rows of jobs.

`poll trigger` is `GET /api/v1/triggers/{id}`, `poll jobs` a page of fifty jobs, read by eight callers at once;
`poll 304` is the trigger again, by callers who have seen it, which is what polling mostly is. The limit is a bare
aiohttp handler that answers the same bytes.
"""

from __future__ import annotations

import base64
import random
from itertools import islice

from api_client import ApiClient
from bench.figures import Figure
from bench.fold import History, counted, delivery, publish, workspace_of
from bench.load import put_load, request
from bench.rig import Rig
from sluice_contracts.vocabulary import JobState, MessageState

READERS = 8
POLLERS = 32
_PAGE = 50
_PAGES = 40
_SHARE = 200
"""Reports that are made and appended at a time."""


async def measure(rig: Rig) -> list[Figure]:
    """Return the three figures."""
    with rig.halted("orchestrator"):
        history = await make_jobs(rig)
        trigger = f"/api/v1/triggers/{history.trigger_id}"
        jobs = f"/api/v1/sms/executions/{history.execution_id}/jobs"
        async with rig.api("status-api") as api:
            pages = await _some_pages(api, jobs)
            seen = await api.call("GET", trigger)
            page = await api.call("GET", pages[0])
        if not seen.status == page.status == 200:
            raise RuntimeError(f"cannot be read: {seen}, {page}")
        asked = {**rig.key, "If-None-Match": seen.headers["ETag"]}
        return [
            await _figure(rig, "poll trigger", [request("GET", trigger, rig.key)], READERS, 200, seen.raw),
            await _figure(rig, "poll jobs", [request("GET", path, rig.key) for path in pages], READERS, 200, page.raw),
            await _figure(rig, "poll 304", [request("GET", trigger, asked)], POLLERS, 304, b""),
        ]


async def make_jobs(rig: Rig) -> History:
    """Have status-api fold what a send to so many contacts would have reported; return that."""
    history = History(await workspace_of(rig), rig.sizes.jobs)
    await publish(rig, [history.accepted(), *history.plan()])
    reports = history.reports(JobState.SENT, MessageState.ACCEPTED)
    while share := list(islice(reports, _SHARE)):
        await publish(rig, [delivery(message) for message in share])
    await counted(rig, history.execution_id, "sent", history.jobs)
    async with rig.database() as database:
        await database.execute("ANALYZE status.jobs")
    return history


async def _some_pages(api: ApiClient, path: str) -> list[str]:
    """Return the paths of the first pages, as somebody turns them over."""
    pages = [f"{path}?limit={_PAGE}"]
    while len(pages) < _PAGES:
        cursor = (await api.get(pages[-1]))["pagination"]["next_cursor"]
        if cursor is None:
            break
        pages.append(f"{path}?limit={_PAGE}&cursor={cursor}")
    return pages


async def _figure(rig: Rig, name: str, requests: list[bytes], callers: int, status: int, answer: bytes) -> Figure:
    choose = random.Random(7).choice
    ports = rig.ports("status-api")

    def one() -> bytes:
        return choose(requests)

    (await put_load(ports, callers, 1.5, one)).require(status)
    bare = request("GET", "/")
    with rig.helper("bytes", "--content", base64.b64encode(answer).decode()) as port:
        await put_load([port], callers, 1.0, lambda: bare)
        limit = await put_load([port], callers, rig.sizes.round_seconds, lambda: bare)
    with rig.meter() as meter:
        answers = await put_load(ports, callers, rig.sizes.round_seconds, one)
    answers.require(status)
    return Figure(
        name, answers.rate, "answers/s", limit.rate, "bare aiohttp handler, same bytes", answers.p99_ms,
        meter.peak_rss_mb, {"callers": callers, "limit_p99_ms": limit.p99_ms, **meter.detail(len(answers.latencies))},
    )  # fmt: skip
