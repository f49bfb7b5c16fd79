"""The one port in front: which path reaches which service, and what a caller sees while a copy is replaced."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from sluice_local import gateway, processes


async def serve(name: str, port: int) -> web.AppRunner:
    """Run a service that answers every request with its name and what it was asked."""

    async def answer(request: web.Request) -> web.Response:
        return web.json_response({"service": name, "forwarded_for": request.headers.get("X-Forwarded-For")})

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return runner


@pytest.fixture
def ports() -> dict[str, int]:
    """A port for the gateway, ingest and two copies of status-api; nothing listens on them yet."""
    return dict(zip(("gateway", "ingest", "status-1", "status-2"), processes.free_ports(4), strict=True))


@pytest.fixture
def caddy(ports: dict[str, int], tmp_path: Path) -> Iterator[None]:
    caddyfile, log = tmp_path / "Caddyfile", tmp_path / "caddy.log"
    caddyfile.write_text(gateway.configuration())
    process = processes.spawn(
        [gateway.find_caddy(), "run", "--adapter", "caddyfile", "--config", caddyfile],
        log=log,
        environment=gateway.environment(
            "127.0.0.1", ports["gateway"], [ports["ingest"]], [ports["status-1"], ports["status-2"]], tmp_path
        ),
    )
    try:
        processes.wait_until(lambda: processes.is_listening(ports["gateway"]), process, "caddy", log, timeout=60)
        yield
    finally:
        process.kill()
        process.wait()


@pytest.fixture
async def session(ports: dict[str, int], caddy: None) -> AsyncIterator[aiohttp.ClientSession]:
    async with AsyncExitStack() as resources:
        for name in ("ingest", "status-1", "status-2"):
            runner = await serve(name.rstrip("-12"), ports[name])
            resources.push_async_callback(runner.cleanup)
        yield await resources.enter_async_context(aiohttp.ClientSession(f"http://127.0.0.1:{ports['gateway']}"))


async def test_reads_go_to_status_and_everything_else_to_ingest(session: aiohttp.ClientSession) -> None:
    expected = {
        "/api/v1/triggers": "status",
        "/api/v1/triggers?limit=1": "status",
        "/api/v1/triggers/780cab43/workflow": "status",
        "/api/v1/messages/executions/def456/jobs": "status",
        "/api/v1/sms/executions/def456": "status",
        "/api/v1/whatsapp/executions/def456/jobs?status=filtered": "status",
        "/api/v1/sandbox/messages": "status",
        "/api/v1/trigger-rules": "ingest",
        "/api/v1/messages/sms/send": "ingest",
        "/api/v1/workflows/trigger": "ingest",
        "/api/v1/contacts": "ingest",
        "/callbacks/sms/a1": "ingest",
        "/ready": "ingest",
        "/api/docs": "ingest",
    }
    actual = {}
    for path in expected:
        async with session.get(path) as response:
            actual[path] = (await response.json())["service"]
    assert actual == expected


@pytest.mark.parametrize("path", ["/metrics", "/live"])
async def test_what_operators_read_is_not_served_to_callers(session: aiohttp.ClientSession, path: str) -> None:
    async with session.get(path) as response:
        assert response.status == 404


async def test_a_caller_cannot_say_where_it_comes_from(session: aiohttp.ClientSession) -> None:
    async with session.get("/api/v1/contacts", headers={"X-Forwarded-For": "203.0.113.7"}) as response:
        assert (await response.json())["forwarded_for"] == "127.0.0.1"


async def test_a_request_waits_for_a_service_that_is_being_replaced(ports: dict[str, int], caddy: None) -> None:
    async with aiohttp.ClientSession(f"http://127.0.0.1:{ports['gateway']}") as session:
        asked = asyncio.create_task(session.post("/api/v1/events", json={"name": "signed_up"}))
        await asyncio.sleep(0.3)
        assert not asked.done()
        runner = await serve("ingest", ports["ingest"])
        try:
            async with await asked as response:
                assert (await response.json())["service"] == "ingest"
        finally:
            await runner.cleanup()


async def test_one_copy_is_enough(ports: dict[str, int], caddy: None) -> None:
    runner = await serve("status", ports["status-2"])
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{ports['gateway']}") as session:
            for _ in range(6):
                async with session.get("/api/v1/triggers") as response:
                    assert response.status == 200
    finally:
        await runner.cleanup()
