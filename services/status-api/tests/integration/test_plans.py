"""Every statement that is run often finds its rows by an index, in tables large enough that it matters."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from sluice_storage.database import Database
from sluice_storage.statements import load

pytestmark = pytest.mark.integration

START = datetime(2026, 1, 1, tzinfo=UTC)
END = START + timedelta(days=3650)
WORKSPACE = UUID(int=1)
LAST = UUID(int=2**128 - 1)

READS, WRITES = load("status_api", "reads.sql"), load("status_api", "projection.sql")

FILL = """
INSERT INTO triggers (trigger_id, workspace_id, accepted_at, flow_type, category, channel)
SELECT md5('t' || n)::uuid, '00000000-0000-0000-0000-000000000001',
       '2026-01-01Z'::timestamptz + n * interval '1 s', 'direct_channel', 'marketing', 'sms'
FROM generate_series(1, 20000) AS n;
INSERT INTO versions (trigger_id, workspace_id) SELECT trigger_id, workspace_id FROM triggers;
INSERT INTO executions (execution_id, trigger_id, workspace_id, channel, started_at, commanded_total, sent, failed)
SELECT md5('e' || n)::uuid, md5('t' || n)::uuid, '00000000-0000-0000-0000-000000000001', 'sms',
       '2026-01-01Z'::timestamptz + n * interval '1 s', 4, CASE WHEN n % 1000 = 0 THEN 3 ELSE 4 END, 0
FROM generate_series(1, 20000) AS n;
INSERT INTO jobs (execution_id, seq, progress, message, engagements, sent_at, external_id, address, timeline)
SELECT md5('e' || n % 20)::uuid, n / 20, (1 << 30) | (7 << 12), 1, 0, 0, 'user_' || n, '+1415' || n, '{}'
FROM generate_series(0, 79999) AS n;
INSERT INTO unsent (execution_id, state, reason, seq, present)
SELECT md5('e' || n % 20)::uuid, 5 + n % 2, n % 5, n / 20, true FROM generate_series(0, 39999) AS n;
INSERT INTO reasons (execution_id, state, reason, code, sentence, n)
SELECT md5('e' || n)::uuid, 5, 1, 'excluded', '', 1 FROM generate_series(1, 20000) AS n;
INSERT INTO receipt_deadlines (execution_id, page, due_at)
SELECT md5('e' || n % 20000)::uuid, n / 20000, n FROM generate_series(0, 59999) AS n;
"""

TRIGGER, EXECUTION = "md5('t7')::uuid", "md5('e7')::uuid"

HOT: dict[str, tuple[str, tuple[Any, ...]]] = {
    "versions": (READS.versions, ([WORKSPACE], [TRIGGER])),
    "version_of_execution": (READS.version_of_execution, (EXECUTION, WORKSPACE)),
    "trigger": (READS.trigger, (TRIGGER, WORKSPACE)),
    "trigger_page": (READS.trigger_page, (WORKSPACE, END, LAST, START, END, None, None, 51)),
    "trigger_page deep inside": (
        READS.trigger_page,
        (WORKSPACE, START + timedelta(seconds=10_000), LAST, START, END, None, None, 51),
    ),
    "executions": (READS.executions, ([TRIGGER], WORKSPACE)),
    "reasons": (READS.reasons, ([EXECUTION], 100, 10)),
    "job_page": (READS.job_page, (EXECUTION, WORKSPACE, 100, 51, None, None)),
    "job_page in a state": (READS.job_page, (EXECUTION, WORKSPACE, 100, 51, 7, None)),
    "job_page with a message": (READS.job_page, (EXECUTION, WORKSPACE, 100, 51, None, 1)),
    "unsent_job_page": (READS.unsent_job_page, (EXECUTION, WORKSPACE, 100, 51, 6)),
    "jobs_of_person": (READS.jobs_of_person, ([EXECUTION], "user_107")),
    "failed_jobs": (READS.failed_jobs, (EXECUTION, 100, 2000)),
    "due_pages": (WRITES.due_pages, (10, 20)),
    "overdue_jobs": (WRITES.overdue_jobs, (EXECUTION, 0, 200, 10)),
    "first_awaiting": (WRITES.first_awaiting, (EXECUTION, 0, 200)),
    "lock_executions": (WRITES.lock_executions, ([EXECUTION],)),
    "postpone_deadline": (WRITES.postpone_deadline, (EXECUTION, 0, 10)),
    "lift_deadline": (WRITES.lift_deadline, (EXECUTION, 0)),
    "oldest_unfinished": (WRITES.oldest_unfinished, ()),
}

INDEXES = {
    "trigger_page": "triggers_by_time",
    "executions": "executions_by_trigger",
    "reasons": "unsent_by_reason",
    "jobs_of_person": "jobs_by_person",
    "unsent_job_page": "unsent_pkey",
    "failed_jobs": "unsent_pkey",
    "due_pages": "receipt_deadlines_due",
    "oldest_unfinished": "executions_unfinished",
}
"""The index that a statement was given; others would do, and read far more."""


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


@pytest.mark.parametrize("kind", ["", "GENERIC_PLAN, "])
async def test_no_hot_statement_reads_a_table_from_end_to_end(database: Database, kind: str) -> None:
    """A statement that is prepared once may keep a plan that knows no values: that one must be as good."""
    async with database.transaction() as connection:
        await connection.execute(FILL)
        for table in ("triggers", "versions", "executions", "jobs", "unsent", "reasons", "receipt_deadlines"):
            await connection.execute(f"ANALYZE {table}")
        ids = {TRIGGER: await connection.fetchval(f"SELECT {TRIGGER}")}
        ids[EXECUTION] = await connection.fetchval(f"SELECT {EXECUTION}")
        for name, (statement, arguments) in HOT.items():
            given = [_bound(argument, ids) for argument in arguments]
            text = await connection.fetchval(f"EXPLAIN ({kind}FORMAT JSON) {statement}", *given)
            (explained,) = json.loads(text) if isinstance(text, str) else text
            used = {node.get("Index Name") for node in nodes(explained["Plan"])}
            assert INDEXES.get(name) in used | {None}, (name, kind, used)
            read_whole = [node["Relation Name"] for node in nodes(explained["Plan"]) if node["Node Type"] == "Seq Scan"]
            assert not read_whole, (name, kind, read_whole)


async def test_counting_a_receipt_leaves_the_jobs_row_in_its_page(database: Database) -> None:
    """No index of `jobs` may hold what a receipt changes: HOT updates are half the speed of the projection."""
    async with database.connection() as connection:
        indexed = await connection.fetch(
            """
            SELECT DISTINCT a.attname
            FROM pg_index i
            JOIN pg_depend d ON d.objid = i.indexrelid AND d.refobjid = i.indrelid AND d.refobjsubid > 0
            JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = d.refobjsubid
            WHERE i.indrelid = 'jobs'::regclass
            """
        )
    assert {row["attname"] for row in indexed} <= {"execution_id", "seq", "external_id", "address"}
    assert indexed


def _bound(argument: Any, ids: dict[str, UUID]) -> Any:
    if isinstance(argument, list):
        return [_bound(item, ids) for item in argument]
    return ids.get(argument, argument) if isinstance(argument, str) else argument
