"""The simulated storage is true to PostgreSQL: what runs asked of it, asked of the real one, is answered the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from simulated import copies
from simulated.database import Asked, Server
from simulated.loop import SimulationLoop
from simulated.run import simulate
from simulated.storage import Store
from simulated.world import World
from sluice_storage.database import Database
from sluice_storage.migrations import migrate
from status_api.domain.fold import TimelineEntry

pytestmark = pytest.mark.integration

SCHEMAS = {
    "orchestrator": "orchestrator",
    "channel_sms": "sluice_channel",
    "channel_email": "sluice_channel",
    "status": "status_api",
}
TABLES = {
    "orchestrator": (
        "triggers", "cohort_pages", "executions", "stages", "turns", "commands", "page_rounds", "retries",
        "outcomes", "wait_stages", "waits", "releases", "awaited_events", "rule_entries",
    ),
    "channel_sms": ("waves", "pace", "parked_receipts"),
    "channel_email": ("waves", "pace", "parked_receipts"),
    "status": ("triggers", "executions", "receipt_deadlines", "wait_steps", "waits"),
}  # fmt: skip
SEEDS = (21, 12, 6, 26, 4, 5, 25, 37, *range(200))
"""Played until every statement that there is a twin of has been asked; only a run that asks a new one is played.

The first few have been found to ask all of them, and the least besides; should they do so no more, there are others.
"""

CLOCK = """
CREATE SCHEMA simulation;
CREATE FUNCTION simulation.clock_timestamp() RETURNS timestamptz LANGUAGE sql STABLE
    RETURN current_setting('simulation.now')::timestamptz;
"""


class Replay:
    """Plays statements to a real database, in the order and in the transactions in which they were asked."""

    def __init__(self, dsn: str, resources: AsyncExitStack) -> None:
        self._dsn = dsn
        self._resources = resources
        self._databases: dict[str, Database] = {}
        self._open: dict[tuple[str, int], tuple[Any, AsyncExitStack]] = {}
        self.asked: set[str] = set()

    async def prepare(self) -> None:
        connection = await asyncpg.connect(self._dsn)
        await connection.execute(CLOCK)
        await connection.close()
        for schema, package in SCHEMAS.items():
            await migrate(self._dsn, schema, package)
            self._databases[schema] = await self._resources.enter_async_context(
                await Database.open(self._dsn, schema, application_name="replay", min_size=0, max_size=20)
            )

    async def empty(self) -> None:
        for schema, database in self._databases.items():
            async with database.connection() as connection:
                rows = await connection.fetch(
                    "SELECT tablename FROM pg_tables WHERE schemaname = $1"
                    " AND tablename NOT IN ('schema_migrations', 'sandbox_playback')",
                    schema,
                )
                await connection.execute(f"TRUNCATE {', '.join(row['tablename'] for row in rows)} RESTART IDENTITY")

    async def play(self, asked: Asked) -> None:
        """Ask the same; the answer must be the same."""
        key = (asked.schema, asked.transaction)
        if asked.sql is None:
            found = self._open.pop(key, None)
            if found is not None:
                connection, resources = found
                await connection.execute("COMMIT" if asked.name == "commit" else "ROLLBACK")
                await resources.aclose()
            return
        connection = await self._connection(key)
        await connection.execute("SELECT set_config('simulation.now', $1, false)", asked.at.isoformat())
        self.asked.add(statement(asked))
        if asked.many:
            await connection.executemany(asked.sql, asked.arguments)
        else:
            rows = await connection.fetch(asked.sql, *asked.arguments[0])
            assert answer(rows) == answer(asked.rows), f"{asked.schema}.{asked.name}{asked.arguments}"

    async def interrupt(self) -> None:
        """Roll back what was under way when the run was over."""
        for connection, resources in self._open.values():
            await connection.execute("ROLLBACK")
            await resources.aclose()
        self._open.clear()

    async def rows(self, schema: str, table: str) -> list[dict[str, Any]]:
        async with self._databases[schema].connection() as connection:
            return [dict(row) for row in await connection.fetch(f"SELECT * FROM {table}")]  # noqa: S608 (our own names)

    async def _connection(self, key: tuple[str, int]) -> Any:
        if key not in self._open:
            resources = AsyncExitStack()
            connection = await resources.enter_async_context(self._databases[key[0]].connection())
            await connection.execute(f"SET search_path TO simulation, {key[0]}, pg_catalog")
            await connection.execute("BEGIN")
            # Whatever would have to wait here did not wait in the simulation: its locks are not the real ones.
            await connection.execute("SET LOCAL lock_timeout = '2s'")
            self._open[key] = (connection, resources)
        return self._open[key][0]


def statement(asked: Asked) -> str:
    """The statement's name, the same for every channel."""
    return f"{asked.schema.partition('_')[0]}.{asked.name}"


def answer(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Rows in any order; single values without a name."""
    found = [dict(row) for row in rows]
    return sorted(
        repr(value(next(iter(row.values()))))
        if len(row) == 1
        else repr(sorted((name, value(row[name])) for name in row))
        for row in found
    )


def value(item: Any) -> Any:
    if isinstance(item, float):
        return round(item, 4)
    if isinstance(item, list | tuple):
        return [value(one) for one in item]
    if isinstance(item, datetime) and item.tzinfo is None:
        return item.replace(tzinfo=UTC)
    return str(item) if type(item).__name__ == "UUID" or isinstance(item, str) else item


def kept(store: Store, table: str) -> list[dict[str, Any]]:
    return [dict(row) for row in store.table(table).values()]


async def test_postgres_answers_every_statement_as_its_twin_did(
    postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores: dict[str, Store] = {}
    original = copies.Stage.__post_init__

    def remember(stage: copies.Stage) -> None:
        original(stage)
        stores.update({schema: server.store for schema, server in stage.servers.items()})

    monkeypatch.setattr(copies.Stage, "__post_init__", remember)
    async with AsyncExitStack() as resources:
        replay = Replay(postgres_dsn, resources)
        await replay.prepare()
        for asked in by_hand():
            await replay.play(asked)
        await replay.empty()
        for seed in SEEDS:
            trace: list[Asked] = []
            in_thread(seed, trace)
            if {statement(asked) for asked in trace if asked.sql is not None} <= replay.asked:
                continue
            for asked in trace:
                await replay.play(asked)
            await replay.interrupt()
            await compare(replay, stores)
            await replay.empty()
            if not never_asked(replay.asked):
                break
        assert not never_asked(replay.asked), "no seed asks these"


def by_hand() -> list[Asked]:
    """What next to no run asks."""
    trace: list[Asked] = []
    world = World(0, SimulationLoop())
    orchestrator = Server(world, "orchestrator", copies._ORCHESTRATOR, trace)
    channel = Server(world, "channel_sms", copies._CHANNEL, trace)
    one, other, now = UUID(int=1), UUID(int=2), world.loop.now()
    wave = (one, 0, 0, 0)
    claim = (*wave, one, 3.0, 0, 9, one, one, None, "marketing", 0, b"{}", b"[]", False, now)
    command = (one, 0, 0, 0, one, 1, [0, 1], [0, 0], True, 1, now, now)
    for server, name, *rows in (
        (channel, "claim", claim),
        (channel, "claim", claim),
        (channel, "own_claim", (*wave, one, 9.0)),
        (channel, "own_claim", (*wave, other, 9.0)),
        (channel, "own_claim", (other, 0, 0, 0, one, 9.0)),
        (channel, "own_record", (*wave, one)),
        (channel, "park", ([b"a", b"b"], now, now)),
        (channel, "postpone", (1, now + timedelta(hours=1))),
        (channel, "postpone", (7, now + timedelta(hours=1))),
        (channel, "due_receipts", (now, now + timedelta(hours=2), 5)),
        (channel, "unpark", ([2, 9],)),
        (channel, "count_parked", ()),
        (orchestrator, "open_command", command),
        (orchestrator, "add_wait_stage", (one, 1, other, True, now, now)),
        (orchestrator, "advance_wait_stage", (one, 1, 1, other, now + timedelta(hours=1))),
        (orchestrator, "advance_wait_stage", (other, 1, 1, None, now)),
        (orchestrator, "drop_commands", ([one, other], [0, 0], [0, 0])),
        (orchestrator, "due_commands", (now, 5)),
        (orchestrator, "unanswered_commands_come_now", (other, now, now)),
        (orchestrator, "note_retries", (one, [4, 1], 1)),
        (orchestrator, "note_retries", (one, [1, 2, 4], 1)),
        (orchestrator, "note_retries", (one, [4], 2)),
    ):
        sql = next(sql for sql, (own, _) in server.twins.items() if own == name)
        tx = server.store.begin()
        server.ask(tx, sql, rows, many=False)
        server.end(tx, "commit")
    return trace


def in_thread(seed: int, trace: list[Asked]) -> None:
    """A run has an event loop of its own, and a thread can run only one."""
    with ThreadPoolExecutor(1) as pool:
        outcome = pool.submit(simulate, seed, trace=trace).result()
    assert not outcome.violations


def never_asked(asked: set[str]) -> set[str]:
    known = {
        f"{schema}.{name}"
        for schema, twins in (
            ("orchestrator", copies._ORCHESTRATOR),
            ("channel", copies._CHANNEL),
            ("status", copies._STATUS),
        )
        for name, _ in twins.values()
    }
    return known - asked


async def compare(replay: Replay, stores: Mapping[str, Store]) -> None:
    """Hold the contents of the tables against each other."""
    for schema, tables in TABLES.items():
        for table in tables:
            assert answer(await replay.rows(schema, table)) == answer(kept(stores[schema], table)), f"{schema}.{table}"
    status = stores["status"]
    real_jobs = {
        (row["execution_id"], row["seq"]): {**row, "timeline": entries(row["timeline"])}
        for row in await replay.rows("status", "jobs")
    }
    twin_jobs = {
        (row["execution_id"], row["seq"]): {"execution_id": row["execution_id"], "seq": row["seq"]}
        | asdict(row["facts"])
        for row in status.table("jobs").values()
    }
    assert real_jobs.keys() == twin_jobs.keys()
    for key, row in real_jobs.items():
        assert row == twin_jobs[key] | {"timeline": entries(twin_jobs[key]["timeline"])}
    real_reasons = {
        (row["execution_id"], row["state"], row["code"], row["sentence"]): row["n"]
        for row in await replay.rows("status", "reasons")
    }
    assert real_reasons == {key: row["n"] for key, row in status.table("reasons").items()}
    present = sum(row["present"] for row in await replay.rows("status", "unsent"))
    assert present == sum(row["present"] for row in status.table("unsent").values())


def entries(timeline: Mapping[str, Sequence[Any]]) -> dict[str, TimelineEntry]:
    return {key: TimelineEntry(*entry) for key, entry in timeline.items()}
