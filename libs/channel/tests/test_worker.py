"""A whole worker: commands in, reports out, and the sandbox's receipts through a door and back."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from sluice_channel import signatures
from sluice_contracts import topics
from sluice_contracts.messages.control import TriggerControl
from sluice_contracts.messages.delivery import JobsReported
from sluice_contracts.messages.receipt import CallbackReceived
from sluice_contracts.vocabulary import Category, Channel, JobState, Lane, MessageState
from sluice_messaging.memory import MemoryMessaging
from sluice_messaging.records import outbound

pytestmark = pytest.mark.integration


@pytest.fixture
async def door(bench) -> AsyncIterator[str]:
    """Ingest's callback door: verifies and appends."""
    publisher = MemoryMessaging(bench.broker, bench.clock).publisher

    async def take(request: web.Request) -> web.Response:
        account, body = UUID(request.match_info["account"]), await request.read()
        secret = signatures.sandbox_secret(bench.settings.secret_bytes, account)
        signed = signatures.SignedRequest("POST", str(request.url), {
            name.lower(): value for name, value in request.headers.items()
        }, body)  # fmt: skip
        if not signatures.verify("sandbox", signed, {"callback_secret": secret}):
            return web.Response(status=403)
        message = CallbackReceived(
            channel=Channel.SMS,
            workspace_id=bench.workspace,
            account_id=account,
            provider="sandbox",
            received_at=bench.clock.now(),
            body=b64encode(body).decode(),
        )
        await publisher.publish([outbound(topics.receipts(Channel.SMS), message, b"key")])
        return web.Response()

    app = web.Application()
    app.router.add_post("/callbacks/sms/{account}", take)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


async def test_a_broadcast_ends_with_every_message_delivered(bench, door, until) -> None:
    await bench.execute("UPDATE catalog.provider_accounts SET provider = 'sandbox' WHERE id = $1", bench.account)
    bench.settings = bench.settings.model_copy(update={"public_url": door, "sandbox_delay_seconds": 0.0})
    worker = await bench.worker()
    publisher = worker.messaging.publisher
    commands = [bench.command(200, first=200 * page) for page in range(3)]
    commands.append(bench.command(1, category=Category.AUTHENTICATION, lane=Lane.PRIORITY))
    for command in commands:
        topic = topics.commands(Channel.SMS, command.lane)
        await publisher.publish([outbound(topic, command)])
    stop = asyncio.Event()
    loops = [asyncio.create_task(loop(stop)) for loop in worker.loops().values()]
    states: Counter[MessageState | JobState | None] = Counter()
    read = 0

    def all_delivered() -> bool:
        nonlocal read
        records = bench.broker.records(topics.DELIVERIES)
        if len(records) == read:
            return False
        read = len(records)
        states.clear()
        for record in records:
            report = JobsReported.decode(record.value)
            states.update(report.jobs.message if report.answers_round is None else report.jobs.state)
        return states[MessageState.DELIVERED] >= 601

    async def is_ready() -> bool:
        return await worker.ready() is None

    await until(all_delivered)
    await until(is_ready)
    stop.set()
    await asyncio.gather(*loops)
    assert states == {JobState.SENT: 601, MessageState.DELIVERED: 601}
    kept = await bench.fetch("SELECT count(*) AS n, count(DISTINCT job_id) AS jobs FROM sandbox_messages")
    assert dict(kept[0]) == {"n": 601, "jobs": 601}
    for lane in Lane:
        assert bench.broker.lag(f"channel-sms-{lane}", topics.commands(Channel.SMS, lane)) == 0


async def test_a_cancelled_trigger_is_known_before_the_first_command_is_taken(bench, until) -> None:
    worker = await bench.worker()
    publisher = worker.messaging.publisher
    command = bench.command(3)
    control = TriggerControl(
        trigger_id=command.trigger_id, workspace_id=bench.workspace, at=bench.clock.now(), mode="cancelled"
    )
    await publisher.publish(
        [
            outbound(topics.CONTROL, control),
            outbound(topics.commands(Channel.SMS, Lane.BULK), command),
        ]
    )
    stop = asyncio.Event()
    loops = [asyncio.create_task(loop(stop)) for loop in worker.loops().values()]
    await until(bench.reports)
    stop.set()
    await asyncio.gather(*loops)
    assert bench.reports()[0].jobs.state == [JobState.CANCELLED] * 3
    assert not bench.provider.handed_over


async def test_a_lost_broker_is_waited_out_and_nothing_is_sent_twice(bench, until) -> None:
    worker = await bench.worker()
    command = bench.command(3)
    record = outbound(topics.commands(Channel.SMS, Lane.BULK), command)
    await worker.messaging.publisher.publish([record])

    async def lose_the_broker(_: object) -> None:
        bench.broker.available = False

    bench.provider.after = lose_the_broker
    stop = asyncio.Event()
    loops = [asyncio.create_task(loop(stop)) for loop in worker.loops().values()]
    await until(lambda: bench.provider.handed_over)
    bench.broker.available = True
    await until(bench.reports)
    stop.set()
    await asyncio.gather(*loops)
    assert bench.reports()[0].jobs.state == [JobState.SENT] * 3
    assert set(bench.provider.times.values()) == {1}


async def test_old_things_are_forgotten_a_little_at_a_time(bench) -> None:
    worker = await bench.worker()
    await bench.carry_out(bench.command(120), worker)
    assert await worker.purge.purge() == 0
    bench.clock.advance(timedelta(days=bench.settings.retention_days, seconds=1))
    assert await worker.purge.purge() == 3
    assert not await bench.fetch("SELECT 1 FROM waves")
