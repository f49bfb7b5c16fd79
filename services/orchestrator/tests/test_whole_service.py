"""The orchestrator as it runs: consumers, loops and workers side by side, in several copies, with crashes."""

from __future__ import annotations

import asyncio
import base64
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any
from uuid import UUID, uuid4

import pytest

from orchestrator.app import Parts, build
from orchestrator.settings import OrchestratorSettings
from sluice_catalog.bootstrap import ensure_workspace
from sluice_contracts.messages.command import JobsCommanded
from sluice_contracts.messages.content import InlineSms
from sluice_contracts.messages.delivery import JobsReported
from sluice_contracts.messages.execution import ExecutionCommanded, decode_execution
from sluice_contracts.messages.trigger import AddressRecipients, ContactRecipients, DirectSend, TriggerAccepted
from sluice_contracts.topics import DELIVERIES, EXECUTIONS, commands, triggers
from sluice_contracts.vocabulary import Category, Channel, JobState, Lane
from sluice_messaging.administration import create_topics
from sluice_messaging.kafka import KafkaMessaging
from sluice_messaging.memory import MemoryBroker, MemoryMessaging
from sluice_messaging.ports import Messaging
from sluice_messaging.records import Record, outbound
from sluice_messaging.testing import eventually
from sluice_runtime.clock import SystemClock
from sluice_runtime.secrets import SecretBox
from sluice_storage.database import Database
from sluice_storage.migrations import migrate

pytestmark = pytest.mark.integration

ALL_COMMANDS = [commands(channel, lane) for channel in Channel for lane in Lane]
Loops = dict[str, Callable[[asyncio.Event], Awaitable[None]]]


class Copy:
    """Loops as tasks, to be stopped cleanly or to be killed."""

    def __init__(self, loops: Loops) -> None:
        self._stop = asyncio.Event()
        self._tasks = [asyncio.create_task(_run(loop, self._stop), name=name) for name, loop in loops.items()]

    async def stop(self) -> None:
        self._stop.set()
        await asyncio.gather(*self._tasks)

    async def kill(self) -> None:
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task


async def _run(loop: Callable[[asyncio.Event], Awaitable[None]], stop: asyncio.Event) -> None:
    await loop(stop)


@asynccontextmanager
async def running(loops: Loops) -> AsyncIterator[Copy]:
    copy = Copy(loops)
    try:
        yield copy
    finally:
        await copy.kill()


class Worker:
    """Answers commands of the triggers that it is interested in (None: of all) as sent, and counts them.

    One that `loses_some` says nothing to the first copy of every third page.
    """

    def __init__(self, messaging: Messaging, group: str = "workers") -> None:
        self.jobs: dict[tuple[UUID, int], int] = {}
        self.totals: dict[UUID, ExecutionCommanded] = {}
        self.seen: Counter[tuple[UUID, int, int]] = Counter()
        self._messaging = messaging
        self._consumers = {
            "commands": messaging.batch_consumer(ALL_COMMANDS, group, self._work, max_wait=0.01),
            "executions": messaging.batch_consumer([EXECUTIONS], f"{group}.status", self._count, max_wait=0.01),
        }
        self.loops: Loops = {name: consumer.run for name, consumer in self._consumers.items()}
        self.loses_some = False
        self.interest: set[UUID] | None = None

    @property
    def ready(self) -> bool:
        return all(consumer.ready for consumer in self._consumers.values())

    def balanced(self, executions: int) -> bool:
        done = Counter(execution_id for execution_id, _ in self.jobs)
        return len(self.totals) == executions and all(
            done[execution_id] == said.total for execution_id, said in self.totals.items()
        )

    async def _work(self, records: Sequence[Record]) -> None:
        answers = []
        for record in records:
            command = record.decode(JobsCommanded)
            if self.interest is not None and command.trigger_id not in self.interest:
                continue
            name = (command.execution_id, command.page, command.round)
            self.seen[name] += 1
            if self.loses_some and command.page % 3 == 1 and self.seen[name] == 1:
                continue
            for seq in command.jobs.seq:
                assert self.jobs.setdefault((command.execution_id, seq), command.round) == command.round
            answers.append(outbound(DELIVERIES, _report(command)))
        await self._messaging.publisher.publish(answers)

    async def _count(self, records: Sequence[Record]) -> None:
        for record in records:
            message = decode_execution(record.value)
            if isinstance(message, ExecutionCommanded) and (
                self.interest is None or message.trigger_id in self.interest
            ):
                self.totals[message.execution_id] = message


def _report(command: JobsCommanded) -> JobsReported:
    length = len(command.jobs)
    nothing = [None] * length
    columns: dict[str, Any] = dict.fromkeys(
        ("message", "engagement", "code", "detail", "until", "external_id", "address", "provider"), nothing
    )
    return JobsReported.model_validate(
        {
            "workspace_id": command.workspace_id,
            "trigger_id": command.trigger_id,
            "execution_id": command.execution_id,
            "channel": command.channel,
            "page": command.page,
            "answers_round": command.round,
            "reported_at": command.accepted_at,
            "jobs": {
                **columns,
                "seq": command.jobs.seq,
                "at": [0] * length,
                "state": [JobState.SENT] * length,
                "epoch": [command.epoch] * length,
                "attempt": [1] * length,
                "provider_id": nothing,
                "segments": nothing,
                "cost_micros": nothing,
            },
        }
    )


async def test_copies_that_die_and_answers_that_get_lost_leave_nothing_open(world: Any) -> None:
    world.catalogue.add(3100)
    broker = MemoryBroker(partitions=3)
    messaging = MemoryMessaging(broker)
    settings = world.settings.model_copy(
        update={
            "stage_lease_seconds": 1.01,
            "command_deadline_seconds": 0.5,
            "longest_command_deadline_seconds": 0.5,
            "poll_seconds": 0.05,
        }
    )

    def copy() -> Loops:
        parts = Parts.assemble(settings, world.database, world.catalogue, messaging.publisher, SystemClock())
        consumers = parts.consumers(settings, messaging)
        return {**parts.loops(), **{name: consumer.run for name, consumer in consumers.items()}}

    worker = Worker(messaging)
    worker.loses_some = True
    names = [f"c{number}" for number in range(450)]
    accepted = [
        *[world.broadcast() for _ in range(3)],
        *[world.direct(recipients=ContactRecipients(external_ids=[f"c{number}"])) for number in range(40)],
        world.broadcast(recipients=ContactRecipients(external_ids=names)),
    ]
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running(worker.loops))
        first = await stack.enter_async_context(running(copy()))
        second = await stack.enter_async_context(running(copy()))
        for trigger in accepted:
            await messaging.publisher.publish([outbound(triggers(trigger.lane), trigger)])
        await eventually(lambda: len(worker.seen) > 10)
        await first.kill()
        third = await stack.enter_async_context(running(copy()))
        await eventually(lambda: len(worker.seen) > 25)
        await second.kill()
        await eventually(lambda: worker.balanced(len(accepted)))
        # Whoever died after telling that a stage has ended has left it to the next, who gets it when the lease is over.
        await eventually(lambda: _is_empty(world, "stages"))
        await third.stop()
    assert len(worker.jobs) == 3 * 3100 + 40 + 450
    assert max(worker.seen.values()) > 1


async def _is_empty(world: Any, table: str) -> bool:
    return not await world.rows(f"SELECT FROM {table}")


async def test_codes_are_commanded_over_a_real_broker_and_a_real_catalog(
    postgres_dsn: str, kafka_bootstrap: str
) -> None:
    await migrate(postgres_dsn, "catalog", "sluice_catalog")
    await migrate(postgres_dsn, "orchestrator", "orchestrator")
    await create_topics(kafka_bootstrap)
    clock = SystemClock()
    settings = OrchestratorSettings.model_validate(
        {
            "secret_key": base64.b64encode(b"k" * 32).decode(),
            "postgres": postgres_dsn,
            "kafka": kafka_bootstrap,
        }
    )
    async with await Database.open(postgres_dsn, "catalog", application_name="test") as database:
        workspace, _ = await ensure_workspace(database, SecretBox(bytes(32)), "Ours", clock=clock)
    async with AsyncExitStack() as resources:
        service = await build(settings, resources, clock)
        messaging = await resources.enter_async_context(KafkaMessaging(kafka_bootstrap, "test", clock))
        worker = Worker(messaging, f"workers-{uuid4()}")
        worker.interest = set()
        await resources.enter_async_context(running(worker.loops))
        copy = await resources.enter_async_context(running(dict(service.loops)))
        await eventually(lambda: worker.ready)
        for number in range(20):
            trigger = TriggerAccepted(
                trigger_id=uuid4(),
                workspace_id=workspace,
                accepted_at=clock.now(),
                lane=Lane.PRIORITY,
                category=Category.AUTHENTICATION,
                plan=DirectSend(channel=Channel.SMS, content=InlineSms(text="Your code is {{code}}")),
                recipients=AddressRecipients(channel=Channel.SMS, addresses=[f"+1415555{1000 + number}"]),
                variables={"code": "1234"},
            )
            worker.interest.add(trigger.trigger_id)
            await messaging.publisher.publish([outbound(triggers(trigger.lane), trigger)])
            await eventually(lambda: len(worker.jobs) > number)  # noqa: B023 - awaited before the number changes
        await eventually(lambda: worker.balanced(20))
        await copy.stop()
