"""One fresh stack that is measured, and what every measurement needs of it."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from api_client import ApiClient
from bench.meter import Meter
from bench.sizes import Sizes
from sluice_local import processes
from sluice_local.services import copy_name
from sluice_local.stack import Stack

UNLIMITED: Final = {"SLUICE_RATE_LIMIT_PER_SECOND": "10000000", "SLUICE_RATE_LIMIT_BURST": "100000000"}
"""The limiter decides about every request as always, and lets all of the load pass."""

CONSUMERS: Final = ("orchestrator", "channel-sms", "channel-email", "channel-whatsapp", "status-api")
"""What works on accepted triggers."""


class Rig:
    """A running stack. The load talks to the services directly: the gateway would take its share of the cores."""

    def __init__(self, stack: Stack, sizes: Sizes, folder: Path) -> None:
        self.stack = stack
        self.sizes = sizes
        self.folder = folder

    def ports(self, service: str, copies: int = 1) -> list[int]:
        """Return where the copies of a service listen."""
        return [self.stack.data.known_port(copy_name(service, number)) for number in range(1, copies + 1)]

    @property
    def key(self) -> dict[str, str]:
        """The header that opens every door."""
        return {"X-API-Key": self.stack.api_key}

    def api(self, service: str) -> ApiClient:
        """Return a client of one service."""
        return ApiClient(f"http://127.0.0.1:{self.ports(service)[0]}", self.stack.api_key)

    async def make_topic(self, name: str, partitions: int) -> None:
        """Make a topic of our own, with as many copies as the stack's have."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.stack.connections.kafka)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(name, partitions, 1)])
        finally:
            await admin.close()

    def meter(self) -> Meter:
        """Return a meter of every process of the stack."""
        return Meter(self.stack.data.processes())

    @asynccontextmanager
    async def database(self) -> AsyncIterator[asyncpg.Connection[Any]]:
        """A connection of our own, to prepare what a measurement needs and to look without disturbing anybody."""
        connection = await asyncpg.connect(self.stack.connections.postgres)
        try:
            yield connection
        finally:
            await connection.close()

    @contextmanager
    def halted(self, *services: str) -> Iterator[None]:
        """Stop `services` by SIGSTOP inside the block: what they would do is no part of what is measured."""
        for service in services:
            self.stack.kill(service, signal.SIGSTOP)
        try:
            yield
        finally:
            for service in services:
                self.stack.kill(service, signal.SIGCONT)

    @contextmanager
    def helper(self, *arguments: str) -> Iterator[int]:
        """Run `python -m bench.bare …` beside the stack; yields the port that it listens on."""
        port = processes.free_port()
        command = [sys.executable, "-m", "bench.bare", *arguments, "--port", str(port)]
        log = self.folder / f"{arguments[0]}.log"
        process = processes.spawn(command, log=log)
        try:
            processes.wait_until(lambda: processes.is_listening(port), process, arguments[0], log, 15)
            yield port
        finally:
            processes.stop(process, signal.SIGTERM, 5)


@contextmanager
def running(folder: Path, sizes: Sizes, copies: Mapping[str, int], environment: Mapping[str, str]) -> Iterator[Rig]:
    """Start a stack with nothing in it, on one broker, and stop it afterwards."""
    with Stack(folder / "stack", copies=copies, environment={**UNLIMITED, **environment}) as stack:
        yield Rig(stack, sizes, folder)


async def until(condition: Callable[[], Awaitable[bool]], seconds: float, pause: float = 0.05) -> float:
    """Ask `condition` until it holds; return the seconds that took. Raises TimeoutError after `seconds`."""
    began = time.perf_counter()
    while not await condition():
        if time.perf_counter() - began > seconds:
            raise TimeoutError(f"not within {seconds:.0f} s")
        await asyncio.sleep(pause)
    return time.perf_counter() - began
