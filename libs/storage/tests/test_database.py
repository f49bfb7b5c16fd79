from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from sluice_storage import database as databases
from sluice_storage.database import Connection, Database
from sluice_storage.errors import is_transient
from sluice_storage.migrations import Migration, apply

pytestmark = pytest.mark.integration

TABLES = Migration("001_things.sql", "CREATE TABLE things (id int PRIMARY KEY, data jsonb, note text);")


@pytest.fixture
async def database(postgres_dsn: str) -> AsyncIterator[Database]:
    await apply(postgres_dsn, "ingest", [TABLES])
    async with await Database.open(postgres_dsn, "ingest", application_name="ingest", max_size=2) as database:
        yield database


async def ids(database: Database) -> list[int]:
    async with database.connection() as connection:
        return [row["id"] for row in await connection.fetch("SELECT id FROM things ORDER BY id")]


async def test_a_connection_knows_its_schema_its_name_and_its_limits(database: Database) -> None:
    async with database.connection() as connection:
        shown = {
            name: await connection.fetchval("SELECT current_setting($1)", name)
            for name in ("search_path", "application_name", "statement_timeout", "jit", "plan_cache_mode")
        }
    assert shown == {
        "search_path": "ingest",
        "application_name": "ingest",
        "statement_timeout": "30s",
        "jit": "off",
        "plan_cache_mode": "auto",
    }


async def test_plans_can_be_made_for_actual_values(postgres_dsn: str) -> None:
    opening = Database.open(postgres_dsn, "status", application_name="status", plans="custom")
    async with await opening as database, database.connection() as connection:
        assert await connection.fetchval("SHOW plan_cache_mode") == "force_custom_plan"


@pytest.mark.parametrize(
    "value",
    [{"a": [1, None, "ü", {"b": 1.5}]}, [], "text", 7, True, {"big": 2**70 + 1}, {"deep": [[[[]]]]}],
)
async def test_json_goes_in_and_comes_out_as_values(database: Database, value: Any) -> None:
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT $1::jsonb", value) == value
        assert await connection.fetchval("SELECT $1::json", value) == value


async def test_what_json_cannot_say_becomes_null(database: Database) -> None:
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT $1::jsonb", {"a": math.nan}) == {"a": None}


async def test_json_of_many_rows_travels_as_texts(database: Database) -> None:
    values = [databases.encode_json({"n": number}) for number in range(3)]
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO things (id, data) SELECT id, data::jsonb FROM unnest($1::int[], $2::text[]) AS t (id, data)",
            [0, 1, 2],
            values,
        )
        assert await connection.fetchval("SELECT data FROM things WHERE id = 2") == {"n": 2}


async def test_a_transaction_commits_at_its_end_and_rolls_back_on_an_error(database: Database) -> None:
    async def fail() -> None:
        async with database.transaction() as connection:
            await connection.execute("INSERT INTO things VALUES (1)")
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await fail()
    assert await ids(database) == []
    async with database.transaction() as connection:
        await connection.execute("INSERT INTO things VALUES (2)")
    assert await ids(database) == [2]


async def test_work_is_repeated_once_where_a_migration_has_changed_its_table(
    database: Database, postgres_dsn: str
) -> None:
    calls = 0

    async def work(connection: Connection) -> Any:
        nonlocal calls
        calls += 1
        await connection.execute("INSERT INTO things (id) VALUES ($1)", calls)
        return await connection.fetch("SELECT * FROM things")

    more = Migration("002_more.sql", "ALTER TABLE things ADD more int;")

    # Two transactions of one connection, so that the second meets the statement that the first has prepared.
    async with await Database.open(postgres_dsn, "ingest", application_name="x", max_size=1) as single:
        await single.in_transaction(work)
        await apply(postgres_dsn, "ingest", [TABLES, more])
        rows = await single.in_transaction(work)
    assert calls == 3
    assert [(row["id"], row["more"]) for row in rows] == [(1, None), (3, None)]


async def test_a_statement_that_takes_too_long_is_cut_off_and_the_pool_lives_on(postgres_dsn: str) -> None:
    opening = Database.open(postgres_dsn, "ingest", application_name="x", max_size=1, command_seconds=1.0)
    async with await opening as database:
        with pytest.raises((asyncpg.QueryCanceledError, TimeoutError)) as caught:
            async with database.connection() as connection:
                await connection.execute("SELECT pg_sleep(20)")
        assert is_transient(caught.value)
        assert await database.healthy(seconds=30)


async def test_a_connection_that_the_server_has_cut_is_transient_and_replaced(database: Database) -> None:
    async def lose() -> None:
        async with database.connection() as killer, database.connection() as victim:
            await killer.execute("SELECT pg_terminate_backend($1)", victim.get_server_pid())
            await victim.execute("SELECT pg_sleep(5)")

    # Which class it is depends on where the cut is noticed first.
    cut = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
    with pytest.raises(cut) as caught:
        await lose()
    assert is_transient(caught.value)
    assert await ids(database) == []


async def test_a_pool_that_is_used_up_times_out(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    async with database.connection(), database.connection():
        monkeypatch.setattr(databases, "ACQUIRE_SECONDS", 0.05)
        with pytest.raises(TimeoutError):
            async with database.connection():
                pass
        assert not await database.healthy(seconds=0.05)
    assert await database.healthy(seconds=30)


async def test_a_connection_that_came_back_whole_is_lent_again(database: Database) -> None:
    pids = set()
    for _ in range(3):
        async with database.connection() as connection:
            pids.add(connection.get_server_pid())
    assert len(pids) == 1


async def test_a_connection_that_comes_back_in_a_transaction_is_lent_without_it(database: Database) -> None:
    async with database.connection() as connection:
        await connection.execute("BEGIN; INSERT INTO things (id) VALUES (1)")
    assert await ids(database) == []


async def test_whoever_waits_gets_the_connection_that_comes_back(database: Database) -> None:
    taken, give_back = asyncio.Event(), asyncio.Event()

    async def borrow() -> None:
        async with database.connection(), database.connection():
            taken.set()
            await give_back.wait()

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(borrow())
        await taken.wait()
        waiting = [group.create_task(ids(database)) for _ in range(5)]
        await asyncio.sleep(0)
        give_back.set()
    assert [task.result() for task in waiting] == [[]] * 5


async def test_a_connection_at_hand_that_the_server_has_cut_is_not_lent_again(database: Database) -> None:
    async with database.connection() as killer:
        async with database.connection() as victim:
            pid = victim.get_server_pid()
        await killer.execute("SELECT pg_terminate_backend($1, 5000)", pid)
        async with database.connection() as another:
            assert another.get_server_pid() != pid


async def test_closing_waits_for_what_is_borrowed(database: Database) -> None:
    async with database.connection() as connection:
        closing = asyncio.create_task(database.close())
        assert await connection.fetchval("SELECT 1 FROM pg_sleep(0.1)") == 1
        assert not closing.done()
    await asyncio.wait_for(closing, 30)


async def test_closing_does_not_wait_for_ever_for_what_is_borrowed(
    postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databases, "CLOSE_SECONDS", 0.1)
    database = await Database.open(postgres_dsn, "ingest", application_name="x")
    borrowed, give_back = asyncio.Event(), asyncio.Event()

    async def borrow() -> None:
        async with database.connection():
            borrowed.set()
            await give_back.wait()

    borrower = asyncio.create_task(borrow())
    await borrowed.wait()
    await asyncio.wait_for(database.close(), 30)
    give_back.set()
    await asyncio.wait([borrower])
    await database.close()
    assert not await database.healthy()


async def test_without_waiting_an_absent_server_is_an_error() -> None:
    with pytest.raises(ConnectionError):
        await Database.open("postgresql://127.0.0.1:1/none", "ingest", application_name="x")


async def test_a_lazy_pool_meets_an_absent_server_only_when_it_is_used() -> None:
    database = await Database.open("postgresql://127.0.0.1:1/none", "ingest", application_name="x", min_size=0)
    assert not await database.healthy()
    await database.close()


async def test_waiting_goes_on_until_the_server_is_there(postgres_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real, tries = asyncpg.create_pool, 0

    async def absent_at_first(*arguments: Any, **options: Any) -> Any:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise ConnectionRefusedError
        return await real(*arguments, **options)

    monkeypatch.setattr(asyncpg, "create_pool", absent_at_first)
    monkeypatch.setattr(databases, "_FIRST_WAIT_SECONDS", 0.001)
    async with await Database.open(postgres_dsn, "ingest", application_name="x", wait=True) as database:
        assert await database.healthy(seconds=30)
    assert tries == 3


async def test_waiting_ends_where_waiting_does_not_help(postgres_dsn: str) -> None:
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await Database.open(f"{postgres_dsn}_absent", "ingest", application_name="x", wait=True)
