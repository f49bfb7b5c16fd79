"""What has been over for long enough goes, whole and with everything of its own; nothing else does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from sluice_runtime.clock import ManualClock
from sluice_storage.database import Database
from status_api.adapters import retention
from status_api.adapters.projection import SCHEMA
from status_api.adapters.retention import Retention
from status_api.adapters.status_store import StatusStore, TriggerFilter, TriggerPlace
from status_api.handlers import expiring
from status_api.handlers.expiring import Expirer

pytestmark = pytest.mark.integration

NOW = datetime(2026, 6, 1, tzinfo=UTC)
KEPT = timedelta(days=40)
LONG_AGO, LATELY = NOW - KEPT - timedelta(seconds=1), NOW - KEPT + timedelta(seconds=1)
OURS, THEIRS = UUID(int=100), UUID(int=200)
TABLES = ("triggers", "versions", "executions", "jobs", "unsent", "reasons", "receipt_deadlines", "hidden_messages")

ADD_TRIGGER = """
INSERT INTO triggers (trigger_id, workspace_id, accepted_at, planned_at, flow_type, category, channel, trigger_source)
VALUES ($1, $2, $3, $3, 'direct_channel', 'marketing', 'sms', 'direct_api')
"""
ADD_EXECUTION = """
INSERT INTO executions (execution_id, trigger_id, workspace_id, channel, step_order, started_at, expected, commanded_at,
                        commanded_total, last_ended_at, sent, filtered, message_accepted)
VALUES ($1, $2, $3, 'sms', 1, $4, 5, $4, 5, $4, $5, 1, $5)
"""
ADD_ROWS = """
WITH sent AS (
    INSERT INTO jobs (execution_id, seq, progress, message, engagements, sent_at, address, timeline)
    SELECT $1, seq, (1 << 29) | (7 << 12) | 1, 1, 0, 0, '+1415555000' || seq, '{}' FROM generate_series(0, 3) AS seq
), unsent AS (
    INSERT INTO unsent (execution_id, state, reason, seq, present) VALUES ($1, 5, 1, 4, true)
), reasons AS (
    INSERT INTO reasons (execution_id, state, reason, code, sentence, n) VALUES ($1, 5, 1, 'excluded', '', 1)
), deadlines AS (
    INSERT INTO receipt_deadlines (execution_id, page, due_at) VALUES ($1, 0, 1)
)
INSERT INTO hidden_messages (execution_id, seq) VALUES ($1, 2)
"""


@pytest.fixture
async def keyed(status_dsn: str, database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    """The tables, cleared in steps so small that everything takes several."""
    monkeypatch.setattr(retention, "ROWS_AT_ONCE", 3)
    monkeypatch.setattr(retention, "EXECUTIONS_AT_ONCE", 2)
    monkeypatch.setattr(expiring, "TRIGGERS_AT_ONCE", 2)
    async with database.connection() as connection:
        await connection.execute("TRUNCATE hidden_messages, expired_executions")
    async with await Database.open(status_dsn, SCHEMA, application_name="test", plans="by_key") as found:
        yield found


@pytest.fixture
def expirer(keyed: Database) -> Expirer:
    return Expirer(StatusStore(keyed), Retention(keyed), ManualClock(NOW), KEPT)


async def add(database: Database, workspace: UUID, accepted_at: datetime, ended_at: datetime, *, sent: int = 4) -> UUID:
    """A trigger of five jobs, of which so many were sent and one was filtered."""
    trigger_id, execution_id = uuid4(), uuid4()
    async with database.connection() as connection:
        await connection.execute(ADD_TRIGGER, trigger_id, workspace, accepted_at)
        await connection.execute("INSERT INTO versions VALUES ($1, $2)", trigger_id, workspace)
        await connection.execute(ADD_EXECUTION, execution_id, trigger_id, workspace, ended_at, sent)
        await connection.execute(ADD_ROWS, execution_id)
    return trigger_id


async def counts(database: Database) -> dict[str, int]:
    async with database.connection() as connection:
        return {
            table: await connection.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608 (names of ours)
            for table in (*TABLES, "expired_executions")
        }


async def shown(database: Database, workspace: UUID) -> set[UUID]:
    rows = await StatusStore(database).triggers(workspace, TriggerFilter(), TriggerPlace(), 200)
    return {row.trigger_id for row in rows}


async def clear(keyed: Database) -> None:
    cleared = Retention(keyed)
    for _ in range(100):
        if not await cleared.remove():
            return
    raise AssertionError("it never comes to an end")


async def test_what_has_been_over_for_long_enough_goes_with_everything_of_its_own(
    keyed: Database, expirer: Expirer
) -> None:
    for _ in range(3):
        await add(keyed, OURS, LONG_AGO, LONG_AGO)
    await add(keyed, THEIRS, LONG_AGO, LONG_AGO)
    assert await expirer.expire(asyncio.Event()) == 4
    assert await shown(keyed, OURS) == set()
    await clear(keyed)
    assert set((await counts(keyed)).values()) == {0}


async def test_what_is_open_or_ended_lately_stays_with_everything_of_its_own(keyed: Database, expirer: Expirer) -> None:
    open_still = await add(keyed, OURS, LONG_AGO, LONG_AGO, sent=3)
    ended_lately = await add(keyed, OURS, LONG_AGO, LATELY)
    begun_lately = await add(keyed, OURS, LATELY, LATELY)
    before = await counts(keyed)
    gone = [await add(keyed, OURS, LONG_AGO - timedelta(days=day), LONG_AGO) for day in range(3)]
    assert await expirer.expire(asyncio.Event()) == len(gone)
    await clear(keyed)
    assert await shown(keyed, OURS) == {open_still, ended_lately, begun_lately}
    assert await counts(keyed) == before


async def test_a_paused_trigger_is_not_over(keyed: Database, expirer: Expirer) -> None:
    paused = await add(keyed, OURS, LONG_AGO, LONG_AGO, sent=0)
    async with keyed.connection() as connection:
        await connection.execute("UPDATE triggers SET paused_at = accepted_at")
    assert await expirer.expire(asyncio.Event()) == 0
    assert await shown(keyed, OURS) == {paused}


async def test_a_trigger_is_shown_whole_or_not_at_all(keyed: Database, expirer: Expirer) -> None:
    """While its jobs are on their way out, no execution is left whose counters they would have to agree with."""
    await add(keyed, OURS, LONG_AGO, LONG_AGO)
    await expirer.expire(asyncio.Event())
    assert await Retention(keyed).remove() > 0
    half_way = await counts(keyed)
    assert half_way["jobs"] > 0
    assert half_way["executions"] == half_way["triggers"] == half_way["versions"] == 0


async def test_the_loop_clears_and_ends_when_it_is_told_to(keyed: Database, expirer: Expirer) -> None:
    await add(keyed, OURS, LONG_AGO, LONG_AGO)
    stop = asyncio.Event()
    running = asyncio.create_task(expirer.run(stop))
    async with asyncio.timeout(20):
        while any((await counts(keyed)).values()):  # noqa: ASYNC110 (the database cannot tell)
            await asyncio.sleep(0.02)
    stop.set()
    await asyncio.wait_for(running, 30)
