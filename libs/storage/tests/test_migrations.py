from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from sluice_storage.migrations import Migration, MigrationError, apply, migrate, read

pytestmark = pytest.mark.integration

FIRST = Migration("001_jobs.sql", "CREATE TABLE jobs (id int PRIMARY KEY);")
SECOND = Migration("002_state.sql", "ALTER TABLE jobs ADD state text; CREATE INDEX ON jobs (state);")


@pytest.fixture
async def connection(postgres_dsn: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(postgres_dsn)
    yield connection
    await connection.close()


async def columns(connection: asyncpg.Connection[asyncpg.Record], schema: str = "ingest") -> list[str]:
    rows = await connection.fetch(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = $1 AND table_name = 'jobs' ORDER BY 1",
        schema,
    )
    return [row[0] for row in rows]


async def test_files_are_applied_once_and_in_order(
    postgres_dsn: str, connection: asyncpg.Connection[asyncpg.Record]
) -> None:
    assert await apply(postgres_dsn, "ingest", [FIRST]) == ["001_jobs.sql"]
    assert await apply(postgres_dsn, "ingest", [FIRST, SECOND]) == ["002_state.sql"]
    assert await apply(postgres_dsn, "ingest", [FIRST, SECOND]) == []
    assert await columns(connection) == ["id", "state"]


async def test_schemas_do_not_mix(postgres_dsn: str, connection: asyncpg.Connection[asyncpg.Record]) -> None:
    await apply(postgres_dsn, "ingest", [FIRST])
    await apply(postgres_dsn, "status", [FIRST, SECOND])
    assert await columns(connection, "ingest") == ["id"]
    assert await columns(connection, "status") == ["id", "state"]


async def test_callers_at_the_same_time_apply_each_file_once(postgres_dsn: str) -> None:
    applied = await asyncio.gather(*(apply(postgres_dsn, "ingest", [FIRST, SECOND]) for _ in range(5)))
    assert sorted(applied, key=len)[-1] == ["001_jobs.sql", "002_state.sql"]
    assert sum(map(len, applied)) == 2


async def test_an_applied_file_that_has_changed_is_named(postgres_dsn: str) -> None:
    await apply(postgres_dsn, "ingest", [FIRST])
    with pytest.raises(MigrationError, match=r"001_jobs\.sql was applied and has changed"):
        await apply(postgres_dsn, "ingest", [Migration(FIRST.name, FIRST.sql + " "), SECOND])


async def test_an_applied_file_that_is_gone_is_named(postgres_dsn: str) -> None:
    await apply(postgres_dsn, "ingest", [FIRST, SECOND])
    with pytest.raises(MigrationError, match=r"002_state\.sql was applied and is gone"):
        await apply(postgres_dsn, "ingest", [FIRST])


async def test_a_file_that_comes_too_late_is_named(postgres_dsn: str) -> None:
    await apply(postgres_dsn, "ingest", [SECOND_ALONE])
    with pytest.raises(MigrationError, match=r"001_jobs\.sql is new but comes before 002_other\.sql"):
        await apply(postgres_dsn, "ingest", [FIRST, SECOND_ALONE])


SECOND_ALONE = Migration("002_other.sql", "CREATE TABLE other (id int);")


async def test_a_file_that_fails_leaves_nothing_behind_and_those_before_it_stay(
    postgres_dsn: str, connection: asyncpg.Connection[asyncpg.Record]
) -> None:
    broken = Migration("002_broken.sql", "ALTER TABLE jobs ADD state text; SELECT 1/0;")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await apply(postgres_dsn, "ingest", [FIRST, broken])
    assert await columns(connection) == ["id"]
    assert await apply(postgres_dsn, "ingest", [FIRST, SECOND]) == ["002_state.sql"]


async def test_a_file_that_moves_the_search_path_moves_it_for_itself_only(postgres_dsn: str) -> None:
    wandering = Migration("001_path.sql", "SET search_path TO public; CREATE TABLE here (id int);")
    second = Migration("002_jobs.sql", FIRST.sql)
    assert await apply(postgres_dsn, "ingest", [wandering, second]) == ["001_path.sql", "002_jobs.sql"]
    assert await apply(postgres_dsn, "ingest", [wandering, second]) == []


async def test_a_schemas_name_cannot_smuggle_sql(postgres_dsn: str) -> None:
    for name in ('x"; DROP SCHEMA public; --', "Ingest", "1st", ""):
        with pytest.raises(ValueError, match="schema"):
            await apply(postgres_dsn, name, [FIRST])


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "package_with_migrations" / "sql" / "migrations"
    folder.mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path)
    return folder


async def test_the_files_of_a_package_are_applied(postgres_dsn: str, package: Path) -> None:
    (package / "002_state.sql").write_text(SECOND.sql)
    (package / "001_jobs.sql").write_bytes(FIRST.sql.replace(";", ";\r\n").encode())
    (package / "README.md").write_text("not a migration")
    assert await migrate(postgres_dsn, "ingest", "package_with_migrations") == ["001_jobs.sql", "002_state.sql"]
    (package / "001_jobs.sql").write_bytes(FIRST.sql.replace(";", ";\n").encode())
    assert await migrate(postgres_dsn, "ingest", "package_with_migrations") == []


@pytest.mark.parametrize(
    ("names", "complaint"),
    [(["1_jobs.sql"], "NNN_name"), (["001_Jobs.sql"], "NNN_name"), (["001_a.sql", "001_b.sql"], "one number")],
)
def test_names_that_leave_the_order_open_are_refused(package: Path, names: list[str], complaint: str) -> None:
    for name in names:
        (package / name).write_text("SELECT 1")
    with pytest.raises(MigrationError, match=complaint):
        read("package_with_migrations")
