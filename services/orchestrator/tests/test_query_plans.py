"""The hot statements read through an index on filled tables, whatever the statistics were when they were first run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from orchestrator.adapters.statements import queries
from sluice_storage.database import Database

pytestmark = pytest.mark.integration

FILL = """
INSERT INTO triggers (trigger_id, workspace_id, accepted, plan, planned_at)
SELECT uuidv7(), uuidv7(), 'x', 'x', $1::timestamptz - make_interval(secs => n) FROM generate_series(1, 20000) AS n;
"""
MORE = (
    """INSERT INTO executions (execution_id, trigger_id, step_order, content, started_at, expected)
       SELECT uuidv7(), trigger_id, 1, 'x', planned_at, 1 FROM triggers""",
    """INSERT INTO cohort_pages (trigger_id, page, contact_ids) SELECT trigger_id, 0, '{}' FROM triggers""",
    """INSERT INTO commands (execution_id, page, round, epoch, trigger_id, step_order, seqs, attempts, credit, sends,
                             opened_at, due_at)
       SELECT execution_id, 0, 0, 0, trigger_id, 1, '{0}', '{0}', true, 1, started_at, started_at + interval '1 day'
       FROM executions""",
    """INSERT INTO stages (trigger_id, step_order, workspace_id, lane, walks, scheduled_for, due_at)
       SELECT trigger_id, 2, workspace_id, 'bulk', false, planned_at, planned_at + interval '1 day' FROM triggers""",
    "ANALYZE",
)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


async def plan_of(database: Database, statement: str) -> dict[str, Any]:
    """Return the plan that the orchestrator's connections keep for `statement`: one for whatever values come."""
    values = ["NULL"] * max((int(number) for number in re.findall(r"\$(\d+)", statement)), default=0)
    async with database.connection() as connection:
        await connection.execute(f"PREPARE hot AS {statement}")
        try:
            execution = f"EXECUTE hot ({', '.join(values)})" if values else "EXECUTE hot"
            found = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {execution}")
        finally:
            await connection.execute("DEALLOCATE hot")
    plan: dict[str, Any] = (found if isinstance(found, list) else orjson.loads(found))[0]["Plan"]
    return plan


async def test_hot_statements_use_their_indexes(world: Any) -> None:
    now = world.clock.now()
    await world.rows(FILL.strip().rstrip(";"), now)
    for statement in MORE:
        await world.rows(statement)
    hot = (
        "triggers_by_id",
        "executions_of",
        "cohort_pages",
        "commands_without_stage",
        "unpublished_pages",
        "lease_stages",
        "hold_leases",
        "answer_commands",
        "give_credit_back",
        "due_commands",
        "commands_sent",
        "next_command_due",
        "oldest_work",
        "resting_commands_come_now",
        "stages_go_on",
    )
    scanned = {}
    for name in hot:
        # `opened_at` has no index: measuring it reads the open commands, a few thousand at most.
        allowed = {"commands"} if name == "oldest_work" else {"turns"}
        plan = await plan_of(world.database, getattr(queries, name))
        found = {
            node["Relation Name"]
            for node in nodes(plan)
            if node["Node Type"] == "Seq Scan" and node.get("Relation Name") not in allowed
        }
        if found:
            scanned[name] = found
    assert not scanned


async def test_feeding_a_stage_stays_in_the_page(world: Any) -> None:
    world.catalogue.add(4000)
    await world.deliver(world.broadcast())
    await world.work()
    await world.rows("SELECT pg_stat_force_next_flush()")
    row = await world.row(
        "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relid = 'orchestrator.stages'::regclass"
    )
    assert row["n_tup_upd"] > 20
    assert row["n_tup_hot_upd"] >= row["n_tup_upd"] * 0.9
