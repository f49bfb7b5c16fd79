"""Messages that the projection has missed are asked for again, where nothing was heard for long."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest

from sluice_contracts import topics
from sluice_contracts.base import Message
from sluice_contracts.messages.command import ReportsRequested
from sluice_contracts.messages.content import InlineSms
from sluice_contracts.messages.delivery import JobsReported, ReportedJobs
from sluice_contracts.messages.execution import (
    ExecutionCommanded,
    ExecutionStarted,
    PlannedExecution,
    TriggerPlanned,
)
from sluice_contracts.messages.trigger import (
    AllRecipients,
    DirectSend,
    RepeatRequested,
    RetryRequested,
    TriggerAccepted,
)
from sluice_contracts.vocabulary import Category, Channel, FlowType, JobState, Lane, MessageState
from sluice_messaging.errors import BrokerUnavailableError
from sluice_messaging.records import OutboundRecord
from sluice_runtime.clock import ManualClock
from sluice_storage.database import Database
from status_api.adapters.projection import Projection
from status_api.adapters.standstill import StandstillStore
from status_api.domain.batch import Batch
from status_api.domain.facts import fold_accepted, fold_executions
from status_api.handlers.standstill import Asker

pytestmark = pytest.mark.integration

START = datetime(2026, 1, 1, tzinfo=UTC)
SILENCE = timedelta(minutes=5)
WORKSPACE, TRIGGER, EXECUTION = (UUID(int=place) for place in (1, 2, 3))
ABOUT = {"trigger_id": TRIGGER, "workspace_id": WORKSPACE}
COLUMNS = tuple(ReportedJobs.model_fields)


class Asked:
    """What was asked; while it is `away`, nothing can be."""

    def __init__(self) -> None:
        self.records: list[OutboundRecord] = []
        self.away = False

    async def publish(self, records: Sequence[OutboundRecord], *, timeout: float = 5.0) -> None:  # noqa: ASYNC109
        if self.away:
            raise BrokerUnavailableError("away")
        self.records += records

    async def healthy(self) -> bool:
        return not self.away

    def take(self, topic: str, message: type[Message]) -> list[Any]:
        """Return what was asked on a topic since the last time."""
        found = [message.decode(record.value) for record in self.records if record.topic == topic]
        self.records = [record for record in self.records if record.topic != topic]
        return found


class Scene:
    def __init__(self, database: Database, projection: Projection) -> None:
        self.projection = projection
        self.clock = ManualClock(START)
        self.asked = Asked()
        self.asker = Asker(StandstillStore(database), self.asked, self.clock, SILENCE)

    async def start(self, total: int | None = 3, *, known: int = 3) -> None:
        """An SMS execution with `total` jobs is accepted, planned, started, and commanded unless `total` is None.

        Only the first `known` of plan, start and commands are heard of.
        """
        accepted = TriggerAccepted(
            **ABOUT,
            accepted_at=START,
            lane=Lane.BULK,
            category=Category.MARKETING,
            plan=DirectSend(channel=Channel.SMS, content=InlineSms(text="Hi")),
            recipients=AllRecipients(),
        )
        planned = TriggerPlanned(
            **ABOUT,
            planned_at=START,
            starts_at=START,
            flow_type=FlowType.DIRECT_CHANNEL,
            executions=[
                PlannedExecution(
                    execution_id=EXECUTION,
                    channel=Channel.SMS,
                    scheduled_for=START,
                    step_id="direct",
                    step_order=1,
                    step_name="SMS",
                )
            ],
        )
        facts: list[Any] = [planned, ExecutionStarted(**ABOUT, execution_id=EXECUTION, started_at=START, expected=3)]
        if total is not None:
            facts.append(ExecutionCommanded(**ABOUT, execution_id=EXECUTION, at=START, total=total))
        await self.projection.fold_facts(fold_accepted([accepted]), [])
        await self.projection.fold_facts(*fold_executions(facts[:known]))

    async def report(self, *seqs: int, **values: Any) -> None:
        """Fold the same report about each of `seqs`: sent, to somebody, unless told."""
        said = {"state": JobState.SENT, "message": MessageState.ACCEPTED, "address": "+14155550123", "attempt": 1}
        said |= {"epoch": 0, "at": int(self.clock.now().timestamp() * 1000), **values}
        rows = [dict.fromkeys(COLUMNS) | said | {"seq": seq} for seq in seqs]
        message = JobsReported(
            **ABOUT,
            execution_id=EXECUTION,
            channel=Channel.SMS,
            page=seqs[0] // 200,
            reported_at=self.clock.now(),
            jobs=ReportedJobs(**{name: [row[name] for row in rows] for name in COLUMNS}),
        )
        await self.projection.fold_reports(Batch.of_reports([message]))

    async def retry(self, *seqs: int) -> None:
        """Hear that somebody asked for another try of `seqs`."""
        request = RetryRequested(
            **ABOUT, requested_at=self.clock.now(), execution_id=EXECUTION, page=0, epoch=1, seqs=list(seqs)
        )
        await self.projection.fold_reports(Batch.of_retries([request]))

    async def requests(self, after: timedelta) -> list[ReportsRequested]:
        """Let time pass and look; return what was asked of the worker."""
        self.clock.advance(after)
        await self.asker.look()
        return self.asked.take(topics.commands(Channel.SMS, Lane.BULK), ReportsRequested)


@pytest.fixture
def scene(database: Database, projection: Projection) -> Scene:
    return Scene(database, projection)


async def test_whoever_knows_is_asked_about_an_execution_of_which_nothing_was_heard_for_long(scene: Scene) -> None:
    await scene.start()
    await scene.report(0, 2)
    assert not await scene.requests(SILENCE - timedelta(seconds=1))
    (request,) = await scene.requests(timedelta(seconds=2))
    assert (request.workspace_id, request.trigger_id, request.execution_id) == (WORKSPACE, TRIGGER, EXECUTION)
    assert (request.first_page, request.ended, request.and_later) == (0, [2], True)
    (repeat,) = scene.asked.take(topics.triggers(Lane.PRIORITY), RepeatRequested)
    assert (repeat.trigger_id, repeat.workspace_id) == (TRIGGER, WORKSPACE)


async def test_every_job_without_an_end_is_asked_for_and_pages_of_which_nothing_is_known_count_as_zero(
    scene: Scene,
) -> None:
    await scene.start(700)
    await scene.report(*range(200))
    await scene.report(400, 401, state=JobState.FAILED, message=None)
    await scene.report(402, state=JobState.HELD, message=None)
    (request,) = await scene.requests(SILENCE * 2)
    assert request.ended == [200, 0, 2]


async def test_nothing_is_asked_about_what_is_over(scene: Scene) -> None:
    await scene.start(2)
    await scene.report(0, 1)
    assert not await scene.requests(SILENCE * 2)
    assert not scene.asked.records


async def test_what_a_retry_came_to_is_asked_for_where_it_was_missed(scene: Scene) -> None:
    await scene.start(3)
    await scene.report(0, 1)
    await scene.report(2, state=JobState.FAILED, message=None)
    assert not await scene.requests(SILENCE * 9)
    await scene.retry(2)
    assert not await scene.requests(SILENCE - timedelta(seconds=1))
    (request,) = await scene.requests(timedelta(seconds=2))
    assert (request.execution_id, request.ended) == (EXECUTION, [2])
    assert scene.asked.take(topics.triggers(Lane.PRIORITY), RepeatRequested)
    await scene.report(2, epoch=1)
    assert not await scene.requests(SILENCE * 99)


async def test_nothing_is_asked_while_all_that_is_open_waits_for_a_moment_to_come(scene: Scene) -> None:
    await scene.start(2)
    await scene.report(0)
    until = int((START + timedelta(hours=9)).timestamp() * 1000)
    await scene.report(1, state=JobState.HELD, message=None, until=until)
    assert not await scene.requests(SILENCE * 2)
    assert not scene.asked.records
    (request,) = await scene.requests(timedelta(hours=10))
    assert request.ended == [1]


async def test_an_execution_whose_end_was_missed_is_asked_about(scene: Scene) -> None:
    await scene.start(None)
    await scene.report(0, 1, 2)
    assert await scene.requests(SILENCE * 2)
    assert scene.asked.take(topics.triggers(Lane.PRIORITY), RepeatRequested)


@pytest.mark.parametrize("known", [0, 1, 2])
async def test_a_trigger_is_asked_about_however_little_was_heard_of_it(scene: Scene, known: int) -> None:
    await scene.start(2, known=known)
    await scene.requests(SILENCE - timedelta(seconds=1))
    assert not scene.asked.records
    await scene.requests(timedelta(seconds=2))
    (repeat,) = scene.asked.take(topics.triggers(Lane.PRIORITY), RepeatRequested)
    assert (repeat.trigger_id, repeat.workspace_id) == (TRIGGER, WORKSPACE)
    await scene.requests(timedelta(seconds=2))
    assert not scene.asked.records


async def test_an_execution_that_is_not_due_yet_is_not_asked_about(scene: Scene, database: Database) -> None:
    await scene.start(2, known=1)
    async with database.connection() as connection:
        await connection.execute("UPDATE executions SET scheduled_for = $1", START + timedelta(hours=1))
    assert not await scene.requests(SILENCE * 2)
    assert not scene.asked.records
    await scene.requests(timedelta(hours=2))
    assert scene.asked.take(topics.triggers(Lane.PRIORITY), RepeatRequested)


async def test_an_execution_that_is_not_due_and_has_ended_jobs_is_asked_about(scene: Scene, database: Database) -> None:
    """Behind a wait people go on long before the last moment at which they may."""
    await scene.start(2, known=1)
    async with database.connection() as connection:
        await connection.execute("UPDATE executions SET scheduled_for = $1", START + timedelta(hours=10))
    await scene.requests(SILENCE * 2)
    assert not scene.asked.records
    await scene.report(0)
    await scene.requests(timedelta(seconds=1))
    assert scene.asked.take(topics.triggers(Lane.PRIORITY), RepeatRequested)


@pytest.mark.parametrize("column", ["cancelled_at", "failed_at"])
async def test_what_is_stopped_before_it_starts_is_not_asked_about(
    scene: Scene, database: Database, column: str
) -> None:
    await scene.start(2, known=1)
    async with database.connection() as connection:
        await connection.execute(f"UPDATE triggers SET {column} = $1", START)  # noqa: S608 (one of two columns)
    await scene.requests(SILENCE * 2)
    assert not scene.asked.records


async def test_a_paused_trigger_is_asked_about_because_its_resumption_may_have_been_missed(
    scene: Scene, database: Database
) -> None:
    await scene.start(2, known=1)
    async with database.connection() as connection:
        await connection.execute("UPDATE triggers SET paused_at = $1", START)
    await scene.requests(SILENCE * 2)
    assert scene.asked.take(topics.triggers(Lane.PRIORITY), RepeatRequested)


async def test_a_sent_job_of_which_nobody_knows_whose_it_is_is_asked_for_although_all_are_over(scene: Scene) -> None:
    await scene.start(2)
    await scene.report(0)
    await scene.report(1, address=None, message=MessageState.DELIVERED)
    (request,) = await scene.requests(SILENCE * 2)
    assert request.ended == [1]
    await scene.report(1)
    assert not await scene.requests(timedelta(hours=3))


async def test_the_longer_nothing_comes_the_more_rarely_it_is_asked(scene: Scene) -> None:
    await scene.start()
    asked = [minute for minute in range(240) if await scene.requests(timedelta(minutes=1))]
    assert asked[0] == 5
    pauses = [later - earlier for earlier, later in pairwise(asked)]
    assert pauses == [5, 10, 20, 40, 60, 60]


async def test_while_the_broker_is_away_nothing_is_taken_for_asked(scene: Scene) -> None:
    await scene.start()
    scene.asked.away = True
    with pytest.raises(BrokerUnavailableError):
        await scene.requests(SILENCE * 2)
    stop = asyncio.Event()
    running = asyncio.create_task(scene.asker.run(stop))
    scene.asked.away = False
    assert await scene.requests(timedelta(0))
    stop.set()
    await running


async def test_one_copy_asks_at_a_time(scene: Scene, database: Database) -> None:
    await scene.start()
    async with database.transaction() as connection:
        await connection.execute("SELECT pg_advisory_xact_lock(hashtext('status.standstill'))")
        assert not await scene.requests(SILENCE * 2)
    assert await scene.requests(timedelta(0))
