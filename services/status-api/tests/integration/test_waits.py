"""People who wait for events are shown with what they wait for, until when, and how it ended, whatever came first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any
from uuid import UUID

import pytest

from sluice_catalog.erasures import Erasure
from sluice_contracts.base import Message
from sluice_contracts.messages.execution import (
    ExecutionCommanded,
    ExecutionStarted,
    PlannedExecution,
    PlannedWait,
    ReportedWaits,
    TriggerControlled,
    TriggerPlanned,
    WaitsReported,
)
from sluice_contracts.messages.trigger import AllRecipients, TriggerAccepted, WorkflowStart
from sluice_contracts.vocabulary import Category, Channel, FlowType, Lane, WaitOutcome, WorkflowType
from sluice_messaging.records import Record
from sluice_storage.database import Database
from status_api.adapters.people import PeopleMemory
from status_api.adapters.projection import Projection
from status_api.adapters.retention import Retention
from status_api.adapters.standstill import StandstillStore
from status_api.adapters.wait_store import WaitStore
from status_api.domain.overview import overview
from status_api.domain.presentation.models import WorkflowBody
from status_api.domain.presentation.waits import present_wait_steps, present_waits_of_person
from status_api.domain.presentation.workflow import present_workflow
from status_api.handlers.projecting import Projector

pytestmark = pytest.mark.integration

START = datetime(2026, 1, 1, tzinfo=UTC)
WORKSPACE, TRIGGER, EXECUTION, EVENT = (UUID(int=place) for place in (1, 2, 3, 4))
ABOUT = {"trigger_id": TRIGGER, "workspace_id": WORKSPACE}
HOUR = 3_600_000


def milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def planned() -> TriggerPlanned:
    wait = PlannedWait(
        step_id="pay", step_order=1, step_name="Pay", event="order.paid", timeout_minutes=60, scheduled_for=START
    )
    after = PlannedExecution(
        execution_id=EXECUTION, step_id="after", step_order=2, step_name="After", channel=Channel.SMS,
        scheduled_for=START + timedelta(hours=1),
    )  # fmt: skip
    return TriggerPlanned(
        **ABOUT, planned_at=START, starts_at=START, flow_type=FlowType.WORKFLOW, workflow_type=WorkflowType.STEPS,
        executions=[after], waits=[wait],
    )  # fmt: skip


def report(*seqs: int, outcome: WaitOutcome | None = None, after: int = 0) -> WaitsReported:
    """Return a report about waits since the start, which ended `after` milliseconds where there is an outcome."""
    since, n = milliseconds(START), len(seqs)
    return WaitsReported(
        **ABOUT,
        step_order=1,
        waits=ReportedWaits(
            seq=list(seqs),
            external_id=[f"user_{seq}" for seq in seqs],
            since=[since] * n,
            until=[since + HOUR] * n,
            outcome=[outcome] * n,
            ended_at=[None if outcome is None else since + after] * n,
            event_id=[EVENT if outcome is WaitOutcome.RECEIVED else None] * n,
        ),
    )


def records(*messages: Message) -> list[Record]:
    return [
        Record("executions", 0, 0, message.key, message.encode(), {"ce_type": message.TYPE}, 0) for message in messages
    ]


async def begun(projector: Projector) -> None:
    accepted = TriggerAccepted(
        **ABOUT, accepted_at=START, lane=Lane.BULK, category=Category.MARKETING, recipients=AllRecipients(),
        plan=WorkflowStart(workflow_id=UUID(int=7), version=1, name="Series"),
    )  # fmt: skip
    await projector.on_triggers(records(accepted))
    await projector.on_executions(records(planned(), report(0, 1)))


async def counts(waits: WaitStore) -> dict[str, Any]:
    (step,) = await waits.steps(WORKSPACE, TRIGGER)
    (shown,) = present_wait_steps([step], cancelled=False)
    return {name: shown[name] for name in ("step_id", "event", "waiting", "received", "timed_out")}


@pytest.fixture
def waits(database: Database) -> WaitStore:
    return WaitStore(database)


async def test_counts_are_the_same_whatever_comes_first_and_however_often(
    projector: Projector, waits: WaitStore, empty: Any
) -> None:
    said = [
        planned(),
        report(0, 1, 2),
        report(0, outcome=WaitOutcome.RECEIVED, after=5),
        report(1, outcome=WaitOutcome.TIMED_OUT, after=HOUR),
    ]
    for order in permutations(said):
        await empty()
        for message in order:
            await projector.on_executions(records(message))
        await projector.on_executions(records(*order))
        assert await counts(waits) == {
            "step_id": "pay", "event": "order.paid", "waiting": 1, "received": 1, "timed_out": 1,
        }  # fmt: skip


async def test_the_later_of_two_ends_is_the_one_that_was_kept(projector: Projector, waits: WaitStore) -> None:
    """What was said before a transaction that then failed was not to be."""
    await projector.on_executions(records(planned(), report(0, outcome=WaitOutcome.RECEIVED, after=5)))
    await projector.on_executions(records(report(0, outcome=WaitOutcome.TIMED_OUT, after=HOUR)))
    assert (await counts(waits))["timed_out"] == 1
    await projector.on_executions(records(report(0, outcome=WaitOutcome.RECEIVED, after=5)))
    assert {**await counts(waits), "step_id": None}["received"] == 0


async def test_a_contacts_wait_says_until_when_and_how_it_ended(projector: Projector, waits: WaitStore) -> None:
    await projector.on_executions(records(planned(), report(0, 1)))
    steps = await waits.steps(WORKSPACE, TRIGGER)

    async def shown(person: str, cancelled_at: datetime | None = None) -> dict[str, Any]:
        found = await waits.of_person(WORKSPACE, TRIGGER, person)
        (one,) = present_waits_of_person(steps, found, cancelled_at=cancelled_at)
        return one

    one = await shown("user_0")
    assert (one["status"], one["event"], one["until"]) == ("waiting", "order.paid", "2026-01-01T01:00:00.000Z")
    await projector.on_executions(records(report(0, outcome=WaitOutcome.RECEIVED, after=5)))
    one = await shown("user_0")
    assert (one["status"], one["ended_at"], one["event_id"]) == ("received", "2026-01-01T00:00:00.005Z", str(EVENT))
    other = await shown("user_1", cancelled_at=START)
    assert (other["status"], other["ended_at"]) == ("cancelled", "2026-01-01T00:00:00.000Z")
    assert await waits.of_person(UUID(int=99), TRIGGER, "user_0") == []
    assert await waits.steps(UUID(int=99), TRIGGER) == []


async def test_a_workflows_body_shows_its_waits_and_its_version_moves_with_them(
    projector: Projector, store: Any, waits: WaitStore
) -> None:
    await begun(projector)
    version = await store.version(WORKSPACE, TRIGGER)
    await projector.on_executions(records(report(2)))
    assert await store.version(WORKSPACE, TRIGGER) > version
    trigger = await store.trigger(WORKSPACE, TRIGGER)
    executions = await store.executions(WORKSPACE, [TRIGGER])
    body = present_workflow(overview(trigger, executions[TRIGGER]), await waits.steps(WORKSPACE, TRIGGER))
    assert WorkflowBody.model_validate(body).waits[0].waiting == 3
    cancelled = present_wait_steps(await waits.steps(WORKSPACE, TRIGGER), cancelled=True)
    assert (cancelled[0]["waiting"], cancelled[0]["cancelled"]) == (0, 3)


async def test_an_execution_does_not_stand_still_while_whoever_is_open_waits(
    projector: Projector, projection: Projection, database: Database
) -> None:
    store, later = StandstillStore(database), START + timedelta(minutes=50)
    started = ExecutionStarted(**ABOUT, execution_id=EXECUTION, started_at=START, expected=2)
    await projector.on_executions(records(planned(), started, report(0, 1)))

    async def standing() -> list[UUID | None]:
        return [found.execution_id for found in await store.find(later, [], 10)]

    assert EXECUTION not in await standing()
    assert await projection.oldest_unfinished() is None
    await projector.on_executions(records(report(0, outcome=WaitOutcome.RECEIVED, after=5)))
    assert EXECUTION in await standing()
    assert await projection.oldest_unfinished() == START
    end = ExecutionCommanded(**ABOUT, execution_id=EXECUTION, at=START, total=2, cancelled=2)
    await projector.on_executions(records(end, TriggerControlled(**ABOUT, at=START, change="cancelled")))
    assert EXECUTION not in await standing()


@pytest.mark.parametrize(("minutes", "ended", "is_asked"), [(50, 1, False), (50, 2, True), (70, 1, True)])
async def test_that_somebody_waits_is_not_believed_for_ever(
    projector: Projector, database: Database, minutes: int, ended: int, is_asked: bool
) -> None:
    """The word that a wait is over may have been lost: all have ended, or the last moment has passed."""
    started = ExecutionStarted(**ABOUT, execution_id=EXECUTION, started_at=START, expected=2)
    await projector.on_executions(records(planned(), started, report(0, 1)))
    async with database.connection() as connection:
        await connection.execute("UPDATE executions SET sent = $1, last_ended_at = $2", ended, START)
    found = await StandstillStore(database).find(START + timedelta(minutes=minutes), [], 10)
    assert (EXECUTION in [each.execution_id for each in found]) is is_asked


async def test_nobody_can_say_whose_the_wait_of_somebody_erased_was(
    projector: Projector, waits: WaitStore, database: Database
) -> None:
    await begun(projector)
    gone = Erasure(WORKSPACE, UUID(int=8), "user_0", (), START + timedelta(hours=1))
    await PeopleMemory(database).forget(WORKSPACE, [gone])
    await projector.on_executions(records(report(0, 1), report(0, outcome=WaitOutcome.RECEIVED, after=5)))
    assert await waits.of_person(WORKSPACE, TRIGGER, "user_0") == []
    assert len(await waits.of_person(WORKSPACE, TRIGGER, "user_1")) == 1
    assert (await counts(waits))["received"] == 1


async def test_waits_go_with_their_trigger(projector: Projector, database: Database) -> None:
    await begun(projector)
    await Retention(database).expire([TRIGGER])
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT (SELECT count(*) FROM waits) + (SELECT count(*) FROM wait_steps)") == 0
