"""Erased people: nothing says any more whose jobs those were, every number stays, and no repeat brings a name back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from sluice_catalog.erasures import Erasure
from sluice_contracts.base import Message
from sluice_contracts.identifiers import execution_id_for
from sluice_contracts.messages.content import InlineSms
from sluice_contracts.messages.delivery import JobsReported, ReportedJobs
from sluice_contracts.messages.trigger import AllRecipients, DirectSend, TriggerAccepted
from sluice_contracts.vocabulary import Category, Channel, JobState, Lane, MessageState
from sluice_messaging.records import Record
from sluice_storage.database import Database
from status_api.adapters import people
from status_api.adapters.people import PeopleMemory
from status_api.adapters.projection import SCHEMA
from status_api.adapters.status_store import JobPage, StatusStore
from status_api.handlers.projecting import Projector

pytestmark = pytest.mark.integration

START = datetime(2026, 1, 1, tzinfo=UTC)
START_MS = int(START.timestamp() * 1000)
OURS, THEIRS = UUID(int=100), UUID(int=200)
PHONE, OTHER_PHONE = "+14155550100", "+14155550111"
ADA = Erasure(OURS, UUID(int=7), "ada", (PHONE, "ada@example.com"), START + timedelta(hours=1))


@pytest.fixture
async def memory(status_dsn: str, database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PeopleMemory]:
    """Walks in steps so small that every walk has several."""
    monkeypatch.setattr(people, "AT_ONCE", 2)
    async with database.connection() as connection:
        await connection.execute("TRUNCATE events")
    async with await Database.open(status_dsn, SCHEMA, application_name="test", plans="by_key") as keyed:
        yield PeopleMemory(keyed)


def record(topic: str, message: Message) -> Record:
    return Record(topic, 0, 0, None, message.encode(), {}, 0)


def accepted(trigger: UUID, workspace: UUID, at: datetime) -> Record:
    message = TriggerAccepted(
        trigger_id=trigger,
        workspace_id=workspace,
        accepted_at=at,
        lane=Lane.BULK,
        category=Category.MARKETING,
        plan=DirectSend(channel=Channel.SMS, content=InlineSms(text="Hi")),
        recipients=AllRecipients(),
    )
    return record("triggers.bulk", message)


def reported(trigger: UUID, workspace: UUID, *rows: dict[str, Any]) -> Record:
    columns = {
        name: [{"at": START_MS, "epoch": 0, "attempt": 1}.get(name) if name not in row else row[name] for row in rows]
        for name in ReportedJobs.model_fields
    }
    message = JobsReported(
        workspace_id=workspace,
        trigger_id=trigger,
        execution_id=execution_id_for(trigger, 1, "sms"),
        channel=Channel.SMS,
        page=0,
        answers_round=0,
        reported_at=START,
        jobs=ReportedJobs(**columns),
    )
    return record("deliveries", message)


def job(seq: int, state: JobState, external_id: str | None, address: str, **more: Any) -> dict[str, Any]:
    return {"seq": seq, "state": state, "external_id": external_id, "address": address, **more}


def history(trigger: UUID, workspace: UUID) -> Record:
    """Ada in every way in which she can be named, among others."""
    because = f"The handset of {PHONE} said no"
    return reported(
        trigger,
        workspace,
        job(0, JobState.SENT, "ada", PHONE, provider="sandbox", provider_id="sandbox-1", segments=1, cost_micros=100),
        job(1, JobState.FAILED, "ada", "+14155550199", code="rejected", detail=because),
        job(2, JobState.FILTERED, "ada", PHONE, code="excluded", detail="Excluded by hand"),
        job(3, JobState.SENT, None, PHONE, message=MessageState.UNDELIVERED, code="30003", detail=because),
        job(4, JobState.SENT, "bob", OTHER_PHONE),
        job(5, JobState.SENT, "not ada", "+14155550122"),
    )


async def texts(database: Database) -> str:
    async with database.connection() as connection:
        rows = [
            await connection.fetch(f"SELECT t::text FROM {table} t")  # noqa: S608 (names of ours)
            for table in ("triggers", "executions", "jobs", "unsent", "reasons", "events")
        ]
    return "\n".join(row[0] for table in rows for row in table)


async def jobs_of(store: StatusStore, workspace: UUID, trigger: UUID) -> JobPage:
    page = await store.job_page(workspace, execution_id_for(trigger, 1, "sms"), None, -1, 100)
    assert page is not None
    return page


async def test_nothing_says_any_more_whose_jobs_they_were(
    projector: Projector, memory: PeopleMemory, store: StatusStore, database: Database, contents: Callable[[], Any]
) -> None:
    triggers = [UUID(int=place) for place in range(1, 6)]
    for trigger in triggers:
        await projector.on_triggers([accepted(trigger, OURS, START)])
        await projector.on_deliveries([history(trigger, OURS)])
    before, page = await contents(), await jobs_of(store, OURS, triggers[0])
    assert await memory.forget(OURS, [ADA]) == 4 * len(triggers)
    known = await texts(database)
    assert not any(text in known for text in (PHONE, "+14155550199", '"ada"', ",ada,", "handset"))
    assert OTHER_PHONE in known
    after, erased = await contents(), await jobs_of(store, OURS, triggers[0])
    for table in ("executions", "unsent", "reasons"):
        assert after[table] == before[table]
    assert erased.version > page.version
    assert [(row.external_id, row.address) for row in erased.jobs] == [
        *[(None, None)] * 4,
        ("bob", OTHER_PHONE),
        ("not ada", "+14155550122"),
    ]
    kept = [(row.state, row.message_state, row.outcome and row.outcome.code) for row in erased.jobs]
    assert kept == [(row.state, row.message_state, row.outcome and row.outcome.code) for row in page.jobs]
    assert erased.jobs[0].outcome == page.jobs[0].outcome
    assert (await store.reasons([execution_id_for(triggers[0], 1, "sms")]))[0].contacts == ()


async def test_no_repeat_brings_a_name_back(
    projector: Projector, memory: PeopleMemory, database: Database, contents: Callable[[], Any]
) -> None:
    trigger = UUID(int=1)
    await projector.on_triggers([accepted(trigger, OURS, START)])
    await projector.on_deliveries([history(trigger, OURS)])
    await memory.forget(OURS, [ADA])
    forgotten = await contents()
    await projector.on_deliveries([history(trigger, OURS)])
    assert await contents() == forgotten
    assert await memory.forget(OURS, [ADA]) == 0


async def test_who_comes_back_under_the_same_name_and_who_is_somebody_elses_are_left_alone(
    projector: Projector, memory: PeopleMemory, store: StatusStore
) -> None:
    later, foreign = UUID(int=1), UUID(int=2)
    await projector.on_triggers([accepted(later, OURS, ADA.until), accepted(foreign, THEIRS, START)])
    await projector.on_deliveries([history(later, OURS), history(foreign, THEIRS)])
    assert await memory.forget(OURS, [ADA]) == 0
    for workspace, trigger in ((OURS, later), (THEIRS, foreign)):
        assert (await jobs_of(store, workspace, trigger)).jobs[0].address == PHONE


async def test_events_forget_who_they_were_about(memory: PeopleMemory, database: Database) -> None:
    insert = """
        INSERT INTO events (event_id, workspace_id, name, external_id, source, occurred_at, accepted_at, evaluated_at,
                            outcome, waits, rules)
        SELECT md5('e' || n)::uuid, $1, 'bought', CASE WHEN n % 2 = 0 THEN 'ada' ELSE 'bob' END, 'api', $2, $2, $2,
               'nothing', 0, '[]'
        FROM generate_series(1, 7) AS n
    """
    async with database.connection() as connection:
        await connection.execute(insert, OURS, START)
        assert await memory.forget(OURS, [ADA]) == 3
        assert await connection.fetchval("SELECT array_agg(DISTINCT external_id) FROM events") == ["bob", None]
