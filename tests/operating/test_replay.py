"""Doing again what was not done: failed, never answered, or done and never shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from api_client import ApiClient, wait_until

pytestmark = pytest.mark.e2e

GOOD = "+14155550151"
INVALID = "+15005550001"
"""The sandbox rejects it."""


async def all_answered(database: asyncpg.Connection[asyncpg.Record], trigger_id: str) -> None:
    """Return once the orchestrator has heard what status has shown already: nothing of the trigger is under way."""

    async def is_so() -> bool:
        sql = "SELECT NOT EXISTS (SELECT FROM orchestrator.commands WHERE trigger_id::text = $1)"
        return bool(await database.fetchval(sql, trigger_id))

    await wait_until(is_so, describe=lambda: "a command is still under way")


async def test_failed_jobs_are_retried_and_nobody_else_is_messaged(
    operate: Any, api: ApiClient, sender: Any, database: asyncpg.Connection[asyncpg.Record]
) -> None:
    trigger_id = await sender.send(GOOD, INVALID)
    assert (await api.finished(trigger_id))["summary"]["failed"] == 1
    await all_answered(database, trigger_id)
    answer = await operate("replay", trigger_id)
    assert answer.code == 0, answer
    assert answer.out == "retried 1 job that had failed\n"
    over = await api.finished(trigger_id)
    assert (over["summary"]["sent"], over["summary"]["failed"]) == (1, 1)


async def test_a_command_that_nobody_answers_is_sent_again_and_carried_out_once(
    operate: Any, standing_still: Any, api: ApiClient, sender: Any, database: asyncpg.Connection[asyncpg.Record]
) -> None:
    with standing_still("channel-sms"):
        trigger_id = await sender.send(GOOD, GOOD, category="transactional")

        async def sends() -> int:
            sql = "SELECT coalesce(max(sends), 0) FROM orchestrator.commands WHERE trigger_id::text = $1"
            return int(await database.fetchval(sql, trigger_id))

        await wait_until(lambda: _at_least(sends, 1), describe=lambda: "nothing was commanded")
        left = await operate("replay", trigger_id)
        assert "nothing to do again" in left.out
        assert "left alone: 1 command under way" in left.out
        answer = await operate("replay", trigger_id, "--older-than", "0s")
        assert answer.code == 0
        assert "asked for 1 command to be sent again with 2 jobs" in answer.out
        await wait_until(lambda: _at_least(sends, 2), describe=lambda: "the command was not sent again")
        seen = await operate("doctor")
        assert seen.code == 1
        assert f"trigger {trigger_id}: nobody answers 1 command with 2 jobs" in seen.out
    assert (await api.finished(trigger_id))["summary"]["sent"] == 2
    assert await sender.handed_over(trigger_id) == 2


async def _at_least(count: Any, wanted: int) -> bool:
    return int(await count()) >= wanted


async def test_reports_that_were_lost_are_made_again_from_the_ledger(
    operate: Any, api: ApiClient, sender: Any, database: asyncpg.Connection[asyncpg.Record]
) -> None:
    trigger_id = await sender.send(GOOD, "not a number", category="transactional")
    before = await api.finished(trigger_id)
    row = "FROM status.executions WHERE trigger_id::text = $1"

    async def is_delivered() -> bool:
        return bool(await database.fetchval(f"SELECT message_delivered = 1 {row}", trigger_id))

    # A receipt that came later would make its job be shown again.
    await wait_until(is_delivered, describe=lambda: "the message was not delivered")
    await all_answered(database, trigger_id)
    execution = await database.fetchval(f"SELECT execution_id {row}", trigger_id)
    async with database.transaction():
        for table in ("jobs", "unsent", "reasons"):
            await database.execute(f"DELETE FROM status.{table} WHERE execution_id = $1", execution)  # noqa: S608
        await database.execute(
            """UPDATE status.executions SET sent = 0, filtered = 0, failed = 0, message_accepted = 0, message_sent = 0,
               message_delivered = 0, segments = 0, cost_micros = 0 WHERE execution_id = $1""",
            execution,
        )
        await database.execute(
            "UPDATE status.versions SET version = version + 1 WHERE trigger_id::text = $1", trigger_id
        )
    assert (await api.get(f"/api/v1/triggers/{trigger_id}"))["status"] == "processing"
    answer = await operate("replay", trigger_id)
    assert answer.code == 0
    assert "sms: reported 2 jobs again, which the ledger knows to be over" in answer.out
    assert (await api.finished(trigger_id))["summary"] == before["summary"]
    assert (await operate("audit", trigger_id)).code == 0
    assert (await operate("replay", trigger_id)).out == "nothing to do again\n"
    assert await sender.handed_over(trigger_id) == 1


async def test_a_cancelled_or_unknown_trigger_is_not_done_again(
    operate: Any, api: ApiClient, sender: Any, database: asyncpg.Connection[asyncpg.Record]
) -> None:
    trigger_id = await sender.send(GOOD, trigger_at=(datetime.now(UTC) + timedelta(days=90)).isoformat())
    await api.until(f"/api/v1/triggers/{trigger_id}", lambda body: body["scheduled_at"] is not None)

    async def is_planned() -> bool:
        sql = "SELECT EXISTS (SELECT FROM orchestrator.stages WHERE trigger_id::text = $1)"
        return bool(await database.fetchval(sql, trigger_id))

    # When it begins was said with the request: status may show that before the orchestrator has read of it.
    await wait_until(is_planned, describe=lambda: "the trigger was not planned")
    assert "1 step whose jobs are still to be commanded" in (await operate("replay", trigger_id)).out
    await api.post(f"/api/v1/triggers/{trigger_id}/cancel", {})
    await api.finished(trigger_id)
    answer = await operate("replay", trigger_id)
    assert answer.code == 2
    assert "was cancelled" in answer.err
    unknown = await operate("replay", "01a1fe2e-f9a8-7d92-8b8d-5fcb10d220aa")
    assert unknown.code == 2
    assert "there is no trigger 01a1fe2e" in unknown.err
