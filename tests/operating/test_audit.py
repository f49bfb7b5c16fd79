"""The audit finds whatever was tampered with, and names it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from api_client import ApiClient
from sluice_local.operating import audit

pytestmark = pytest.mark.e2e


@pytest.fixture(autouse=True)
def little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What these tests break does not mend itself, and is not waited for."""
    monkeypatch.setattr(audit, "SETTLE_SECONDS", 0.05)


@pytest.fixture
async def trigger_id(api: ApiClient, sender: Any) -> str:
    """A trigger that is over: two messages sent, one filtered."""
    trigger_id: str = await sender.send("+14155550161", "+14155550162", "nonsense")
    await api.finished(trigger_id)
    return trigger_id


@pytest.fixture
async def execution(trigger_id: str, database: asyncpg.Connection[asyncpg.Record]) -> AsyncIterator[asyncpg.Record]:
    """Its only execution; whatever a test does to it is undone."""
    sql = "SELECT * FROM status.executions WHERE trigger_id::text = $1"
    execution = await database.fetchrow(sql, trigger_id)
    assert execution is not None
    jobs = await database.fetch("SELECT seq FROM status.jobs WHERE execution_id = $1", execution["execution_id"])
    yield execution
    await database.execute(
        "UPDATE status.executions SET sent = $2, filtered = $3, commanded_total = $4 WHERE execution_id = $1",
        execution["execution_id"], execution["sent"], execution["filtered"], execution["commanded_total"],
    )  # fmt: skip
    await database.execute(
        "DELETE FROM status.jobs WHERE execution_id = $1 AND seq <> ALL($2::integer[])",
        execution["execution_id"], [job["seq"] for job in jobs],
    )  # fmt: skip


async def test_books_that_balance_are_said_to(operate: Any, trigger_id: str) -> None:
    answer = await operate("audit", trigger_id)
    assert (answer.code, answer.out) == (0, "1 execution of 1 trigger: every counter is what its jobs say\n")


async def test_a_counter_that_was_tampered_with_is_found(
    operate: Any, execution: asyncpg.Record, trigger_id: str, database: asyncpg.Connection[asyncpg.Record]
) -> None:
    await database.execute(
        "UPDATE status.executions SET sent = sent + 5 WHERE execution_id = $1", execution["execution_id"]
    )
    one, every = await operate("audit", trigger_id), await operate("audit", "--all")
    for answer in (one, every):
        assert answer.code == 1
        assert f"execution {execution['execution_id']} (sms): sent is 7 and its jobs say 2" in answer.out
        assert "jobs that are over, and all jobs: 8 and 3" in answer.out
        assert "messages in any state, and jobs sent: 2 and 7" in answer.out
    assert one.out.endswith("1 execution of 1 trigger: 1 out of balance\n")


async def test_reasons_must_add_up_to_what_was_filtered(
    operate: Any, execution: asyncpg.Record, trigger_id: str, database: asyncpg.Connection[asyncpg.Record]
) -> None:
    sql = "UPDATE status.reasons SET n = n + $2 WHERE execution_id = $1 AND state = 5"
    assert await database.execute(sql, execution["execution_id"], 1) == "UPDATE 1"
    answer = await operate("audit", trigger_id)
    await database.execute(sql, execution["execution_id"], -1)
    assert answer.code == 1
    assert "reasons of filtered jobs, and such jobs: 2 and 1" in answer.out


async def test_a_job_outside_the_cohort_is_found(
    operate: Any, execution: asyncpg.Record, trigger_id: str, database: asyncpg.Connection[asyncpg.Record]
) -> None:
    await database.execute(
        """INSERT INTO status.jobs (execution_id, seq, progress, message, engagements, timeline)
           VALUES ($1, 3, 0, 0, 0, '{}')""",
        execution["execution_id"],
    )
    answer = await operate("audit", trigger_id)
    assert answer.code == 1
    assert "1 job outside its cohort of 3, from position 3 on" in answer.out


async def test_reports_for_an_execution_that_nobody_planned_are_found(
    operate: Any, database: asyncpg.Connection[asyncpg.Record], trigger_id: str
) -> None:
    stranger, nobody = uuid4(), uuid4()
    for execution_id, owner in ((stranger, UUID(trigger_id)), (nobody, uuid4())):
        await database.execute(
            """INSERT INTO status.executions (execution_id, trigger_id, workspace_id, channel)
               VALUES ($1, $2, $2, 'sms')""",
            execution_id, owner,
        )  # fmt: skip
    answer = await operate("audit", "--all")
    await database.execute("DELETE FROM status.executions WHERE execution_id = ANY($1::uuid[])", [stranger, nobody])
    assert answer.code == 1
    assert f"execution {stranger} (sms): reports about 0 jobs, and its trigger's plan does not name it" in answer.out
    assert f"execution {nobody} (sms): reports about 0 jobs, and nobody knows its trigger" in answer.out


async def test_an_unknown_trigger_is_not_taken_for_one_that_balances(operate: Any) -> None:
    answer = await operate("audit", str(uuid4()))
    assert answer.code == 2
    assert "there is no trigger" in answer.err
