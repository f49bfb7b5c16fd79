"""Ingest as it runs, over a real broker and a real PostgreSQL, and while either is away."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from ingest.app import build
from ingest.settings import IngestSettings
from sluice_catalog.bootstrap import ensure_workspace
from sluice_contracts.messages.trigger import TriggerAccepted
from sluice_messaging.administration import create_topics
from sluice_messaging.kafka import KafkaMessaging
from sluice_messaging.records import Record
from sluice_runtime.clock import SystemClock
from sluice_runtime.secrets import PROVIDER_SECRETS, SecretBox, derive_key
from sluice_runtime.service import Service
from sluice_storage.database import Database
from sluice_storage.migrations import migrate

pytestmark = pytest.mark.integration

SECRET = b"s" * 32
KEY = "sk_live_whole"
SMS = "/api/v1/messages/sms/send"
BODY = {"recipient_type": "direct_sms", "direct_sms": "+14155550100", "text": "Hello"}

Client = TestClient[web.Request, web.Application]


class Line:
    """A line to PostgreSQL that can be cut and mended."""

    def __init__(self, dsn: str) -> None:
        self._target = urlsplit(dsn)
        self._open: set[asyncio.StreamWriter] = set()
        self._carrying: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    @property
    def dsn(self) -> str:
        user = self._target.netloc.rpartition("@")[0]
        return self._target._replace(netloc=f"{user}@127.0.0.1:{self.port}").geturl()

    async def mend(self) -> None:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        if self._carrying:
            await asyncio.wait(self._carrying)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._carrying.add(task)
        task.add_done_callback(self._carrying.discard)
        far_reader, far_writer = await asyncio.open_connection(self._target.hostname, self._target.port)
        self._open |= {writer, far_writer}
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        self._open -= {writer, far_writer}


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        return
    finally:
        writer.transport.abort()


@pytest.fixture
async def line(postgres_dsn: str) -> AsyncIterator[Line]:
    await migrate(postgres_dsn, "catalog", "sluice_catalog")
    await migrate(postgres_dsn, "answers", "sluice_storage")
    async with await Database.open(postgres_dsn, "catalog", application_name="test") as database:
        box = SecretBox(derive_key(SECRET, PROVIDER_SECRETS))
        await ensure_workspace(database, box, "main", secret=KEY)
    made = Line(postgres_dsn)
    await made.mend()
    yield made
    await made.cut()


@asynccontextmanager
async def running(kafka: str, postgres: str, *, publish_seconds: float = 5) -> AsyncIterator[tuple[Client, Service]]:
    settings = IngestSettings(
        kafka=kafka,
        postgres=postgres,
        secret_key=base64.b64encode(SECRET).decode(),
        publish_seconds=publish_seconds,
    )
    async with AsyncExitStack() as resources:
        service = await build(settings, resources, SystemClock())
        stop = asyncio.Event()
        loops = [asyncio.ensure_future(loop(stop)) for loop in service.loops.values()]
        assert service.http is not None
        async with TestClient(TestServer(service.http), headers={"X-API-Key": KEY}) as client:
            yield client, service
        stop.set()
        await asyncio.wait_for(asyncio.gather(*loops), 30)


async def eventually(holds: Callable[[], Any], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not await holds():  # noqa: ASYNC110 - the condition lies in another process
            await asyncio.sleep(0.02)


async def open_for_business(client: Client, service: Service) -> bool:
    """Ready, and every partition of topics made a moment ago has its leader."""
    if await service.ready() is not None:
        return False
    answers = [await client.post(SMS, json={**BODY, "category": name}) for name in ("utility", "transactional") * 10]
    return all(answer.status == 200 for answer in answers)


async def ready(service: Service) -> bool:
    return await service.ready() is None


async def appended(kafka: str, trigger_ids: set[str]) -> dict[str, list[TriggerAccepted]]:
    """Read both lanes until every one of `trigger_ids` has been seen."""
    seen: dict[str, list[TriggerAccepted]] = {}
    stop = asyncio.Event()

    async def note(record: Record) -> None:
        trigger = record.decode(TriggerAccepted)
        seen.setdefault(str(trigger.trigger_id), []).append(trigger)
        if trigger_ids <= seen.keys():
            stop.set()

    async with KafkaMessaging(kafka, "test", SystemClock()) as messaging:
        consumer = messaging.keyed_consumer(["triggers.priority", "triggers.bulk"], f"test-{uuid4()}", note)
        await asyncio.wait_for(consumer.run(stop), 60)
    return {trigger_id: seen[trigger_id] for trigger_id in trigger_ids}


async def test_what_is_accepted_lies_in_the_topic_of_its_lane(kafka_bootstrap: str, line: Line) -> None:
    await create_topics(kafka_bootstrap)
    async with running(kafka_bootstrap, line.dsn) as (client, service):
        await eventually(partial(open_for_business, client, service))
        ids = set()
        for body in (BODY, {**BODY, "category": "marketing"}):
            answer = await client.post(SMS, json=body)
            assert answer.status == 200
            ids.add((await answer.json())["trigger_id"])
    found = await appended(kafka_bootstrap, ids)
    assert sorted(trigger.lane for [trigger] in found.values()) == ["bulk", "priority"]


async def test_accepting_goes_on_while_postgres_is_away(kafka_bootstrap: str, line: Line) -> None:
    await create_topics(kafka_bootstrap)
    async with running(kafka_bootstrap, line.dsn) as (client, service):
        await eventually(partial(open_for_business, client, service))
        await line.cut()
        began = time.monotonic()
        ids = []
        for place in range(20):
            headers = {"Idempotency-Key": f"key-{place % 10}"} if place < 15 else {}
            answer = await client.post(SMS, json=BODY, headers=headers)
            assert answer.status == 200, await answer.text()
            ids.append((await answer.json())["trigger_id"])
        assert time.monotonic() - began < 15
        assert ids[:5] == ids[10:15]
        assert await ready(service)
        await line.mend()
        answer = await client.post(SMS, json=BODY)
        assert answer.status == 200
    found = await appended(kafka_bootstrap, set(ids))
    assert all(len(triggers) == 1 for triggers in found.values())


async def test_an_answer_is_given_again_by_the_next_process(
    kafka_bootstrap: str, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A machine that has much else to do is not to be taken for a Postgres that is silent.
    monkeypatch.setattr("sluice_storage.answers._ASK_SECONDS", 30.0)
    await create_topics(kafka_bootstrap)
    answers = []
    for _ in range(2):
        async with running(kafka_bootstrap, line.dsn) as (client, service):
            await eventually(partial(open_for_business, client, service))
            answer = await client.post(SMS, json=BODY, headers={"Idempotency-Key": "once"})
            answers.append((await answer.json(), answer.headers.get("Idempotency-Replay")))
    assert answers[0][0] == answers[1][0]
    assert [replay for _, replay in answers] == [None, "true"]


async def test_a_broker_that_cannot_be_reached_is_a_503_in_time_and_shows_in_readiness(line: Line) -> None:
    async with running("127.0.0.1:1", line.dsn, publish_seconds=1.5) as (client, service):
        await eventually(lambda: loaded(client))
        began = time.monotonic()
        answer = await client.post(SMS, json=BODY)
        assert (answer.status, answer.content_type) == (503, "application/problem+json")
        assert int(answer.headers["Retry-After"]) > 0
        assert time.monotonic() - began < 10
        assert await service.ready() == "the broker takes no events"


async def loaded(client: Client) -> bool:
    return (await client.post(SMS, json={})).status == 422
