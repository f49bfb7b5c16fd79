"""Processes die all the time, at every step between claiming a job and committing its offset; the books balance."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import pytest

from api_client import FINAL, ApiClient, Response, wait_until
from broker import CHANNELS, Broker
from scene import Scene, recount
from sluice_local.stack import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

FAILPOINTS: Final = {
    "channel.after_claim": 0.008,
    "channel.after_send": 0.008,
    "channel.after_record": 0.008,
    "channel.after_emit": 0.002,
    "channel.before_commit": 0.002,
    "messaging.commit": 0.01,
    "orchestrator.after_commit": 0.03,
    "orchestrator.after_publish": 0.03,
    "orchestrator.before_offset": 0.03,
    "orchestrator.stage_leased": 0.03,
    "orchestrator.stage_committed": 0.03,
    "orchestrator.stage_published": 0.03,
    "orchestrator.timers_locked": 0.03,
    "orchestrator.timers_published": 0.03,
}
"""Where a process dies, and how probably each time.

What every command passes again and again, also those that come a second time, is passed more safely.
"""

CONTACTS: Final = 600
CODES: Final = 40
MOST_CODES: Final = 400
OVER_SECONDS: Final = 150.0
LEAST_DEATHS: Final = 2
UNCLEAR_ATTEMPTS: Final = 3
"""Hand-overs that may end in doubt before a code is given up."""

BUCKETS: Final = ("sent", "failed", "filtered", "cancelled", "open")
MORTAL: Final = ("orchestrator", "status-api", *(f"channel-{channel}" for channel in CHANNELS))


class PatientClient(ApiClient):
    """Asks again while a service behind the gateway is coming back."""

    async def call(self, *arguments: Any, **options: Any) -> Response:
        """Call until the gateway finds somebody who answers."""
        answer: Response | None = None

        async def is_answered() -> bool:
            nonlocal answer
            answer = await super(PatientClient, self).call(*arguments, **options)
            return answer.status not in {502, 503, 504}

        await wait_until(is_answered, OVER_SECONDS, lambda: str(answer))
        assert answer is not None
        return answer


@pytest.mark.parametrize("seed", [1, 2])
async def test_whatever_dies_whenever_every_job_is_accounted_for_and_no_campaign_reaches_anybody_twice(
    seed: int, tmp_path: Path
) -> None:
    environment = {
        "SLUICE_FAILPOINTS": ",".join(f"{name}={probability}" for name, probability in FAILPOINTS.items()),
        "SLUICE_FAILPOINT_SEED": str(seed),
        # What is cut off is taken up again soon.
        "SLUICE_LEASE_SECONDS": "2",
        "SLUICE_STAGE_LEASE_SECONDS": "2",
        "SLUICE_COMMAND_DEADLINE_SECONDS": "10",
        "SLUICE_SESSION_SECONDS": "3",
    }
    with Stack(tmp_path / "stack", environment=environment) as stack:
        async with PatientClient(stack.base_url, stack.api_key) as api, Deaths(stack) as deaths:
            scene = Scene(api)
            few = f"{scene.mark}few"
            await scene.contacts(CONTACTS)
            await scene.contacts(20, tag=few)
            campaigns = [
                await scene.broadcast("sms"),
                await scene.broadcast("email"),
                await scene.group(few),
            ]
            series = await scene.steps(0, 1, tag=few)
            codes = [await scene.code(place) for place in range(CODES)]
            for trigger_id in [*campaigns, *codes]:
                await is_over(api, trigger_id)
            while deaths.total < LEAST_DEATHS and len(codes) < MOST_CODES:
                codes.append(await scene.code(len(codes)))
                await is_over(api, codes[-1])
            assert deaths.total >= LEAST_DEATHS
            stack.advance_clock(timedelta(minutes=1))
            await is_over(api, series)
            for trigger_id in [*campaigns, series]:
                copies = await handed_over(scene, trigger_id)
                assert set(copies.values()) == {1}
            for trigger_id in codes:
                await handed_over_once_and_for_each_doubt(scene, trigger_id, takeovers(stack))
        async with Broker(stack.connections.kafka) as broker:
            dead = [topic for topic in await broker.sizes() if topic.endswith(".dlq")]
            assert dead
            assert await broker.records(*dead) == []


async def is_over(api: ApiClient, trigger_id: str) -> None:
    """Wait for a trigger's end."""
    answer: Any = None

    async def has_ended() -> bool:
        nonlocal answer
        # Until the projection has caught up the trigger is not there at all.
        answer = await api.call("GET", f"/api/v1/triggers/{trigger_id}")
        return answer.status == 200 and answer.body["status"] in FINAL

    await wait_until(has_ended, OVER_SECONDS, lambda: str(answer))


async def handed_over(scene: Scene, trigger_id: str) -> Counter[str]:
    """Check the books of a trigger against its jobs and the sandbox; return how often each job was handed over."""
    path = f"/api/v1/triggers/{trigger_id}/ledger"
    journal = await scene.journal(trigger_id)
    # A receipt proves a hand-over that nobody recorded: in the end exactly those jobs are sent that the sandbox got.
    ledger = await scene.api.until(path, lambda body: body["sent"] == len(journal) and settled(body), OVER_SECONDS)
    assert (ledger["open"], ledger["unaccounted"]) == (0, 0)
    sent = set()
    for execution in ledger["executions"]:
        jobs = await scene.jobs(execution)
        assert len({job["id"] for job in jobs}) == len(jobs) == execution["total"] == execution["accepted"]
        assert {bucket: execution[bucket] for bucket in BUCKETS} == recount(jobs)
        sent |= {job["id"] for job in jobs if job["status"] == "sent"}
    assert sent == journal.keys()
    return journal


async def handed_over_once_and_for_each_doubt(scene: Scene, trigger_id: str, doubts: Counter[str]) -> None:
    """Check that a code went out again only after somebody died with it, and was given up only after several had."""
    copies = (await handed_over(scene, trigger_id)).total()
    ledger = await scene.api.get(f"/api/v1/triggers/{trigger_id}/ledger")
    (execution,) = ledger["executions"]
    doubt = doubts[execution["id"]]
    assert copies <= 1 + doubt
    if not copies:
        assert doubt >= UNCLEAR_ATTEMPTS
        assert [reason["code"] for reason in execution["failure_reasons"]] == ["uncertain"]


def settled(ledger: dict[str, Any]) -> bool:
    """Whether every message that was sent has its receipt."""
    return all(execution["analytics"]["awaiting_receipt"] == 0 for execution in ledger["executions"])


def takeovers(stack: Stack) -> Counter[str]:
    """Return how often a worker took over what another had left in doubt, by execution."""
    found: Counter[str] = Counter()
    for channel in CHANNELS:
        *lines, _ = stack.data.log(f"channel-{channel}").read_text().split("\n")
        for line in lines:
            if "wave.taken_over" in line:
                found[json.loads(line)["execution_id"]] += 1
    return found


class Deaths:
    """Counts the processes that ended while the context was open, by watching who runs."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._seen: defaultdict[str, set[int]] = defaultdict(set)
        self._watching: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        assert self._watching is not None
        self._watching.cancel()
        with suppress(asyncio.CancelledError):
            await self._watching

    @property
    def total(self) -> int:
        """How many processes have been replaced."""
        return sum(len(pids) - 1 for pids in self._seen.values())

    async def _watch(self) -> None:
        while True:
            for service in MORTAL:
                self._seen[service].update(self._stack.pids(service))
            await asyncio.sleep(0.1)
