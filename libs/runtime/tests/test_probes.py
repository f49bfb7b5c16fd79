from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from sluice_runtime.http import probes
from sluice_runtime.http.application import application
from sluice_runtime.http.probes import Health, Heartbeat


@asynccontextmanager
async def probed(health: Health) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    app = application()
    health.add_to(app)
    async with TestClient(TestServer(app)) as client:
        yield client


def answering(reason: str | None) -> Callable[[], Awaitable[str | None]]:
    async def ready() -> str | None:
        return reason

    return ready


async def failing() -> str | None:
    raise RuntimeError("no")


async def hanging() -> str | None:
    await asyncio.Event().wait()
    return None


async def ask(health: Health, path: str) -> tuple[int, Any]:
    async with probed(health) as client:
        answer = await client.get(path)
        return answer.status, await answer.json()


async def test_a_service_is_ready_when_it_has_no_reason_not_to_be() -> None:
    assert await ask(Health(Heartbeat(), answering(None)), "/ready") == (200, {"ready": True, "reason": None})


@pytest.mark.parametrize(
    ("ready", "reason"),
    [
        (answering("no partitions yet"), "no partitions yet"),
        (failing, "RuntimeError while checking"),
        (hanging, "the readiness check takes too long"),
    ],
)
async def test_a_service_that_is_not_ready_says_why(
    ready: Callable[[], Awaitable[str | None]], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probes, "_READY_SECONDS", 0.05)
    assert await ask(Health(Heartbeat(), ready), "/ready") == (503, {"ready": False, "reason": reason})


async def test_a_stopping_service_is_alive_and_not_ready() -> None:
    health = Health(Heartbeat(), answering(None))
    health.stopping = True
    assert (await ask(health, "/ready"))[0] == 503
    assert (await ask(health, "/live"))[0] == 200


async def test_a_loop_that_has_not_turned_for_long_is_not_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    heartbeat = Heartbeat()
    monkeypatch.setattr(heartbeat, "age", lambda: probes.STALE_SECONDS + 1)
    assert (await ask(Health(heartbeat, answering(None)), "/live"))[0] == 503


async def test_the_heart_beats_and_measures_its_lag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "BEAT_SECONDS", 0.01)
    heartbeat = Heartbeat()
    born = heartbeat._beat_at
    beating = asyncio.create_task(heartbeat.run())
    while heartbeat._beat_at == born:  # noqa: ASYNC110 - the beat is what is tested, and it signals nobody
        await asyncio.sleep(0.005)
    assert heartbeat.age() < 5
    beating.cancel()
    await asyncio.wait([beating])


async def test_metrics_are_served() -> None:
    async with probed(Health(Heartbeat(), answering(None))) as client:
        answer = await client.get("/metrics")
        text = await answer.text()
    assert answer.content_type == "text/plain"
    assert "# HELP sluice_http_seconds" in text
