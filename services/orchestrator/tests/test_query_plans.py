"""The hot statements read through an index on filled tables, whatever the statistics were when they were first run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest

from orchestrator.adapters.statements import queries

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
ID = UUID(int=1)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


async def test_hot_statements_use_their_indexes(world: Any) -> None:
    now = world.clock.now()
    await world.rows(FILL.strip().rstrip(";"), now)
    for statement in MORE:
        await world.rows(statement)
    hot: dict[str, tuple[Any, ...]] = {
        "triggers_by_id": ([ID], []),
        "executions_of": ([ID],),
        "cohort_pages": ([ID], [0]),
        "commands_without_stage": ([ID],),
        "unpublished_pages": ([ID], 0, 4),
        "lease_stages": (now - timedelta(hours=3), "bulk", False, 64, 32, ID, now),
        "hold_leases": ([ID], [2], ID),
        "answer_commands": ([ID] * 50, [0] * 50, [0] * 50),
        "give_credit_back": ([ID], [2], [1]),
        "due_commands": (now - timedelta(hours=3), 100),
        "commands_sent": ([ID], [0], [0], [1], [now]),
        "next_command_due": (),
        "oldest_work": (now, 64),
        "resting_commands_come_now": (ID, now),
        "stages_go_on": (ID,),
    }
    scanned = {}
    for name, arguments in hot.items():
        # `opened_at` has no index: measuring it reads the open commands, a few thousand at most.
        allowed = {"commands"} if name == "oldest_work" else {"turns"}
        (row,) = await world.rows(f"EXPLAIN (FORMAT JSON) {getattr(queries, name)}", *arguments)
        plan = row[0] if isinstance(row[0], list) else orjson.loads(row[0])
        found = {
            node["Relation Name"]
            for node in nodes(plan[0]["Plan"])
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
