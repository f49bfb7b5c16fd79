"""The statements of the hot path keep to their indexes on filled tables."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from sluice_storage import statements

pytestmark = pytest.mark.integration

ledger = statements.load("sluice_channel", "ledger.sql")
receipts = statements.load("sluice_channel", "receipts.sql")
allowances = statements.load("sluice_channel", "allowances.sql")
sandbox = statements.load("sluice_channel", "sandbox.sql")

FILL = """
INSERT INTO waves
SELECT md5((n / 4)::text)::uuid, 0, 0, n % 4, (n % 4) * 50, (n % 4) * 50 + 49, gen_random_uuid(), gen_random_uuid(),
    NULL, 'marketing', 0, gen_random_uuid(), now(), now() - make_interval(secs => n), now(), NULL, NULL, '', ''
FROM generate_series(0, 19999) AS n;
INSERT INTO allowances
SELECT gen_random_uuid(), n, '00000000-0000-0000-0000-000000000001', 'person ' || n % 5000,
    now() - make_interval(secs => n), 1
FROM generate_series(0, 19999) AS n;
INSERT INTO conversations
SELECT '00000000-0000-0000-0000-000000000001', '+1' || n, gen_random_uuid(), 0, 0, now()
FROM generate_series(0, 19999) AS n;
INSERT INTO parked_receipts (receipt, parked_at, due_at)
SELECT '', now(), now() + make_interval(secs => n) FROM generate_series(0, 19999) AS n;
INSERT INTO sandbox_calls (token, workspace_id, account_id, trigger_id, at)
SELECT gen_random_uuid(), '00000000-0000-0000-0000-000000000001', gen_random_uuid(), gen_random_uuid(), now()
FROM generate_series(0, 4999) AS n;
INSERT INTO sandbox_messages (call_id, place, job_id, reference, attempt, accepted, address)
SELECT call.id, n, n, n, 1, true, '+1' || call.id || n FROM sandbox_calls AS call, generate_series(0, 9) AS n;
ANALYZE waves, allowances, conversations, parked_receipts, sandbox_calls, sandbox_messages;
"""


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


async def scans(bench, statement: str, *arguments: object) -> set[tuple[str, str]]:
    """Return how each table is read: (table, kind of scan)."""
    async with bench.database.transaction() as connection:
        await connection.execute("SET LOCAL plan_cache_mode = force_custom_plan")
        found = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {statement}", *arguments)
    plan = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
    return {(node["Relation Name"], node["Node Type"]) for node in nodes(plan) if "Relation Name" in node}


async def test_no_statement_reads_a_whole_table(bench) -> None:
    execution = uuid4()
    place = (execution, 0, 0)
    jobs = ([execution] * 50, [0] * 50, [0] * 50, list(range(50)))
    workspace = uuid4()
    await bench.execute(FILL)
    (newest,) = await bench.fetch(
        "SELECT transaction_id::text, id FROM sandbox_calls AS call ORDER BY call.transaction_id DESC, id DESC LIMIT 1"
    )
    cases: list[tuple[str, tuple[object, ...]]] = [
        (ledger.waves_of_command, place),
        (ledger.record, (*place, 0, uuid4(), b"", None, bench.clock.now())),
        (ledger.take_over, (*place, 0, uuid4(), 30.0)),
        (ledger.renew, (*place, 0, uuid4(), 30.0)),
        (ledger.prove_own, (*place, 0, [1])),
        (ledger.proven_before, place),
        (ledger.waves_of_commands, ([execution, uuid4()], [0, 0], [0, 0])),
        (ledger.facts_of_jobs, jobs),
        (receipts.conversations_with, (workspace, ["+11", "+12"])),
        (allowances.counted_here, (workspace, ["person 1"], bench.clock.now(), execution, [1])),
        (allowances.already_counted, (execution, [1, 2])),
        (sandbox.to_play, (newest["transaction_id"], newest["id"] - 100, 40)),
        (sandbox.contents, ([1, 2], [0, 1])),
    ]
    for statement, arguments in cases:
        read = await scans(bench, statement, *arguments)
        assert not [table for table, kind in read if kind == "Seq Scan"], statement


async def test_recording_a_wave_stays_in_its_page(bench) -> None:
    """HOT: no index is touched by an update, and the page has room for it."""
    await bench.execute("SELECT pg_stat_reset_single_table_counters('waves'::regclass)")
    for _ in range(5):
        await bench.carry_out(bench.command(200))
    async with bench.database.connection() as connection:
        await connection.execute("SELECT pg_stat_force_next_flush()")
    rows = await bench.fetch("SELECT fillfactor FROM (SELECT unnest(reloptions) AS fillfactor FROM pg_class "
                             "WHERE oid = 'waves'::regclass) AS options")  # fmt: skip
    assert "fillfactor=50" in {row["fillfactor"] for row in rows}
    indexed = await bench.fetch(
        "SELECT attname FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey) "
        "WHERE indrelid = 'waves'::regclass"
    )
    assert {row["attname"] for row in indexed} == {"execution_id", "page", "round", "wave", "claimed_at"}
