from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import asyncpg
import pytest

from sluice_storage.listener import Listener

pytestmark = pytest.mark.integration


class Ear:
    """What a listener told its owner."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []
        self.connections = 0
        self._changed = asyncio.Event()

    async def on_notify(self, channel: str, payload: str) -> None:
        self.heard.append((channel, payload))
        self._changed.set()
        if payload == "raise":
            raise RuntimeError("no")

    def on_reconnect(self) -> None:
        self.connections += 1
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not condition():
                await self._changed.wait()
                self._changed.clear()


@asynccontextmanager
async def listening(dsn: str, ear: Ear, *, probe_seconds: float = 15.0) -> AsyncIterator[None]:
    stop = asyncio.Event()
    listener = Listener(dsn, ["catalog_changed", "wake"], ear.on_notify, ear.on_reconnect, probe_seconds=probe_seconds)
    running = asyncio.create_task(listener.run(stop))
    await ear.until(lambda: ear.connections == 1)
    yield
    stop.set()
    await asyncio.wait_for(running, 30)


@pytest.fixture
async def connection(postgres_dsn: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(postgres_dsn)
    yield connection
    await connection.close()


async def cut(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'listener' AND datname = current_database()"
    )


async def test_notifications_are_heard_in_order(
    postgres_dsn: str, connection: asyncpg.Connection[asyncpg.Record]
) -> None:
    ear = Ear()
    async with listening(postgres_dsn, ear):
        for number in range(50):
            await connection.execute("SELECT pg_notify('catalog_changed', $1)", str(number))
        await connection.execute("SELECT pg_notify('wake', '')")
        await ear.until(lambda: len(ear.heard) == 51)
    assert ear.heard == [("catalog_changed", str(number)) for number in range(50)] + [("wake", "")]


async def test_a_lost_connection_is_opened_again_and_its_owner_is_told(
    postgres_dsn: str, connection: asyncpg.Connection[asyncpg.Record]
) -> None:
    ear = Ear()
    async with listening(postgres_dsn, ear):
        await cut(connection)
        await ear.until(lambda: ear.connections == 2)
        await connection.execute("SELECT pg_notify('wake', 'again')")
        await ear.until(lambda: ear.heard == [("wake", "again")])


async def test_a_callback_that_fails_ends_nothing(
    postgres_dsn: str, connection: asyncpg.Connection[asyncpg.Record]
) -> None:
    ear = Ear()
    async with listening(postgres_dsn, ear):
        await connection.execute("SELECT pg_notify('wake', 'raise')")
        await connection.execute("SELECT pg_notify('wake', 'after')")
        await ear.until(lambda: len(ear.heard) == 2)
    assert ear.connections == 1


async def test_silence_is_probed_and_is_no_fault(
    postgres_dsn: str, connection: asyncpg.Connection[asyncpg.Record]
) -> None:
    ear = Ear()
    probes = "SELECT query = 'SELECT 1' FROM pg_stat_activity WHERE application_name = 'listener'"
    async with listening(postgres_dsn, ear, probe_seconds=0.02), asyncio.timeout(30):
        while not await connection.fetchval(f"{probes} AND datname = current_database()"):
            pass
    assert ear.connections == 1


async def test_an_absent_server_is_waited_for_and_a_stop_is_heeded_meanwhile() -> None:
    ear, stop = Ear(), asyncio.Event()
    listener = Listener("postgresql://127.0.0.1:1/none", ["wake"], ear.on_notify, ear.on_reconnect)
    running = asyncio.create_task(listener.run(stop))
    done, _ = await asyncio.wait([running], timeout=0.3)
    assert not done
    stop.set()
    await asyncio.wait_for(running, 30)
    assert ear.connections == 0
