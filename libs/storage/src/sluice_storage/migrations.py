"""Migrations: numbered SQL files, each applied once, in order, in a transaction of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import asyncpg
import structlog

from sluice_storage.statements import sql_folder

_FILE_NAME: Final = re.compile(r"(\d{3})_[a-z0-9_]+\.sql")
_SCHEMA_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")
_STATEMENT_SECONDS: Final = 600.0
_LOCK_SPACE: Final = 0x5106

_log = structlog.get_logger()


class MigrationError(Exception):
    """The files and what was applied before do not fit together."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file. `checksum` is the SHA-256 of its bytes, line ends made one."""

    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return sha256(self.sql.encode()).hexdigest()


async def migrate(dsn: str, schema: str, package: str, directory: str = "migrations") -> list[str]:
    """Apply the files `NNN_name.sql` of `directory` in `package` to `schema`; return the names of those applied now.

    What was applied is recorded in `<schema>.schema_migrations`. Callers at the same time wait for one another.

    Raises MigrationError when an applied file has changed or is gone, when a new one comes before an applied one, or
    when a file's name is wrong; asyncpg.PostgresError when a file fails, which then leaves nothing behind.
    """
    return await apply(dsn, schema, read(package, directory))


def read(package: str, directory: str = "migrations") -> list[Migration]:
    """Return the migrations of `package` in order.

    Raises MigrationError when a file's name is not `NNN_name.sql` or a number stands there twice.
    """
    found = [
        Migration(entry.name, entry.read_text(encoding="utf-8").replace("\r\n", "\n"))
        for entry in sql_folder(package, directory).joinpath(directory).iterdir()
        if entry.name.endswith(".sql")
    ]
    numbers: dict[str, str] = {}
    for migration in found:
        match = _FILE_NAME.fullmatch(migration.name)
        if match is None:
            raise MigrationError(f"{package}: {migration.name} is not named NNN_name.sql")
        if match[1] in numbers:
            raise MigrationError(f"{package}: {numbers[match[1]]} and {migration.name} have one number")
        numbers[match[1]] = migration.name
    return sorted(found, key=lambda migration: migration.name)


async def apply(dsn: str, schema: str, migrations: Sequence[Migration]) -> list[str]:
    """Apply `migrations`, given in order, to `schema`; as `migrate`."""
    if _SCHEMA_NAME.fullmatch(schema) is None:
        raise ValueError(f"{schema!r} cannot be a schema's name")
    connection = await asyncpg.connect(
        dsn,
        timeout=10,
        command_timeout=_STATEMENT_SECONDS,
        server_settings={"search_path": schema, "application_name": f"migrate {schema}"},
    )
    try:
        # The lock belongs to the session, so that a migrator that dies gives it back.
        await connection.execute("SELECT pg_advisory_lock($1, hashtext($2))", _LOCK_SPACE, schema)
        await _prepare(connection, schema)
        pending = _pending(schema, migrations, await _applied(connection))
        for migration in pending:
            await _apply(connection, schema, migration)
    finally:
        await connection.close(timeout=5)
    return [migration.name for migration in pending]


async def _prepare(connection: asyncpg.Connection[asyncpg.Record], schema: str) -> None:
    if await connection.fetchval("SELECT to_regnamespace($1) IS NULL", schema):
        await connection.execute(f"CREATE SCHEMA {schema}")
    await connection.execute(
        """
        CREATE TABLE IF NOT EXISTS schema_migrations (
            name text PRIMARY KEY,
            checksum text NOT NULL,
            applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
        )
        """
    )


async def _applied(connection: asyncpg.Connection[asyncpg.Record]) -> dict[str, str]:
    rows = await connection.fetch("SELECT name, checksum FROM schema_migrations ORDER BY name")
    return {row["name"]: row["checksum"] for row in rows}


def _pending(schema: str, migrations: Sequence[Migration], applied: dict[str, str]) -> list[Migration]:
    known = {migration.name: migration for migration in migrations}
    for name, checksum in applied.items():
        if name not in known:
            raise MigrationError(f"{schema}: {name} was applied and is gone")
        if known[name].checksum != checksum:
            raise MigrationError(f"{schema}: {name} was applied and has changed since; write a new migration")
    pending = [migration for migration in migrations if migration.name not in applied]
    if pending and applied and pending[0].name < max(applied):
        raise MigrationError(f"{schema}: {pending[0].name} is new but comes before {max(applied)}, which was applied")
    return pending


async def _apply(connection: asyncpg.Connection[asyncpg.Record], schema: str, migration: Migration) -> None:
    async with connection.transaction():
        await connection.execute(migration.sql)
        # A file may have moved the path for itself; ours is set again for what is recorded and for the next file.
        await connection.execute("SELECT set_config('search_path', $1, false)", schema)
        await connection.execute(
            "INSERT INTO schema_migrations (name, checksum) VALUES ($1, $2)", migration.name, migration.checksum
        )
    _log.info("migration.applied", schema=schema, name=migration.name)
