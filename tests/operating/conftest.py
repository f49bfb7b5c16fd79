"""The operators' tools as a person runs them, on a stack of their own: they would report what other tests leave."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from uuid import uuid4

import asyncpg
import psutil
import pytest

from api_client import ApiClient
from first_sends import take_first_sends
from sluice_local.arguments import parser
from sluice_local.operating.commands import run
from sluice_local.stack import Stack
from sluice_messaging.kafka import KafkaMessaging


@dataclass(frozen=True, slots=True)
class Said:
    """What a tool printed and its exit code."""

    code: int
    out: str
    err: str


Operate = Callable[..., Awaitable[Said]]

IMPATIENT = {"SLUICE_LEASE_SECONDS": "5", "SLUICE_STAGE_LEASE_SECONDS": "5", "SLUICE_COMMAND_DEADLINE_SECONDS": "10"}
"""What was cut off is taken up again within seconds instead of a minute."""


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running stack that no other test has sent anything through."""
    with Stack(tmp_path_factory.mktemp("operated"), environment=IMPATIENT) as running:
        take_first_sends(running)
        yield running


@pytest.fixture
def operate(stack: Stack, capsys: pytest.CaptureFixture[str]) -> Operate:
    """Run `sluice` with the words given, on the shared stack."""

    async def operate(*words: str, data: str | None = None) -> Said:
        capsys.readouterr()
        code = await run(parser().parse_args([*words, "--data", data or str(stack.data.path)]))
        printed = capsys.readouterr()
        return Said(code, printed.out, printed.err)

    return operate


@pytest.fixture
def standing_still(stack: Stack) -> Callable[[str], AbstractContextManager[int]]:
    """Let a service stand still as it is, inside a `with` that gives its pid, and go on afterwards."""

    @contextmanager
    def standing_still(service: str) -> Iterator[int]:
        (pid,) = stack.pids(service)
        os.kill(pid, signal.SIGSTOP)
        try:
            # A busy machine may let it go on for a moment.
            stack.wait(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED, f"{service} stands still")
            yield pid
        finally:
            os.kill(pid, signal.SIGCONT)

    return standing_still


@pytest.fixture
async def api(stack: Stack) -> AsyncIterator[ApiClient]:
    async with ApiClient(stack.base_url, stack.api_key) as client:
        yield client


@pytest.fixture
async def database(stack: Stack) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(stack.connections.postgres)
    yield connection
    await connection.close()


@pytest.fixture
async def messaging(stack: Stack) -> AsyncIterator[KafkaMessaging]:
    async with KafkaMessaging(stack.connections.kafka, "test") as connected:
        yield connected


@dataclass(frozen=True, slots=True)
class Sender:
    """Sends direct SMS to contacts that it makes."""

    api: ApiClient

    async def send(self, *telephones: str, **more: object) -> str:
        """Send to contacts with these telephones, those without a valid one unknown; return the trigger's id."""
        mark = uuid4().hex[:10]
        contacts = [
            {"external_id": f"{mark}-{place}", "phone_number": telephone} for place, telephone in enumerate(telephones)
        ]
        await self.api.post("/api/v1/contacts/bulk", {"contacts": contacts})
        recipients = {
            "recipient_type": "contacts",
            "contact_external_ids": [contact["external_id"] for contact in contacts],
        }
        answer = await self.api.post("/api/v1/sms/send", {**recipients, "text": "Hello", **more})
        return str(answer["trigger_id"])

    async def handed_over(self, trigger_id: str) -> int:
        """Return how many messages of a trigger the sandbox was given."""
        body = await self.api.get(f"/api/v1/sandbox/messages?trigger_id={trigger_id}&limit=200")
        return len(body["messages"])


@pytest.fixture
def sender(api: ApiClient) -> Sender:
    return Sender(api)
