"""Bringing a database and a broker to where the services of this version expect them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg

from sluice_catalog.api_keys import ALL_SCOPES, NewSecret
from sluice_catalog.bootstrap import ensure_workspace
from sluice_contracts.identifiers import new_id
from sluice_local.processes import StartError
from sluice_local.tasks import together
from sluice_messaging.administration import create_topics
from sluice_messaging.errors import BrokerUnavailableError
from sluice_messaging.kafka.address import shown
from sluice_runtime.secrets import PROVIDER_SECRETS, SecretBox, derive_key
from sluice_storage import statements
from sluice_storage.database import Database
from sluice_storage.migrations import MigrationError, migrate

DEFAULT_WORKSPACE: Final = "default"
SCHEMAS: Final = {
    "catalog": "sluice_catalog",
    "answers": "sluice_storage",
    "ingest": "ingest",
    "orchestrator": "orchestrator",
    "status": "status_api",
    "channel_sms": "sluice_channel",
    "channel_email": "sluice_channel",
    "channel_whatsapp": "sluice_channel",
    "operations": "sluice_local.operating",
}
"""Every schema, and the package that holds its migrations."""

_OLDEST_POSTGRES: Final = 18
_CONNECT_SECONDS: Final = 10.0
_DATABASE: Final = "sluice"


async def create_database(dsn: str) -> str:
    """Make the database `sluice` in the server of `dsn` where there is none yet, and return its DSN."""
    connection = await asyncpg.connect(dsn)
    try:
        if not await connection.fetchval("select 1 from pg_database where datname = $1", _DATABASE):
            await connection.execute(f"create database {_DATABASE}")
    finally:
        await connection.close()
    return urlsplit(dsn)._replace(path=f"/{_DATABASE}").geturl()


async def migrate_database(dsn: str) -> None:
    """Apply every migration that is missing, schema by schema.

    Raises StartError where nothing answers, the server is older than 18, or the data was made by other migrations.
    """
    shown = dsn_without_password(dsn)
    try:
        await _require_version(dsn, shown)
        for schema, package in SCHEMAS.items():
            await migrate(dsn, schema, package)
    except MigrationError as error:
        raise StartError(f"the database {shown} was made by another version of this code\n  {error}") from error
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise StartError(f"the database {shown} could not be migrated: {error}") from error


async def _require_version(dsn: str, shown: str) -> None:
    connection = await asyncpg.connect(dsn, timeout=_CONNECT_SECONDS)
    try:
        version = connection.get_server_version()
    finally:
        await connection.close()
    if version.major < _OLDEST_POSTGRES:
        raise StartError(f"{shown} is PostgreSQL {version.major}; {_OLDEST_POSTGRES} or later is needed")


async def migrate_broker(bootstrap: str, replication: int) -> None:
    """Make every topic that is missing, with `replication` copies of each. Raises StartError where nothing answers."""
    try:
        await create_topics(bootstrap, replication)
    except BrokerUnavailableError as error:
        raise StartError(f"the Kafka brokers {shown(bootstrap)} cannot be used: {error}") from error


async def migrate_all(dsn: str, bootstrap: str, replication: int) -> None:
    """Migrate the database and the broker side by side. Raises StartError."""
    await together(migrate_database(dsn), migrate_broker(bootstrap, replication))


async def bootstrap_workspace(dsn: str, secret: bytes, api_key: str, name: str = DEFAULT_WORKSPACE) -> None:
    """See to it that there is a workspace called `name`, that can send, and that `api_key` opens it."""
    database = await Database.open(dsn, "catalog", application_name="sluice-local", min_size=1, max_size=2)
    try:
        box = SecretBox(derive_key(secret, PROVIDER_SECRETS))
        workspace_id, made = await ensure_workspace(database, box, name, secret=api_key)
        if made is None:
            await _ensure_key(database, workspace_id, NewSecret(api_key))
    finally:
        await database.close()


async def _ensure_key(database: Database, workspace_id: UUID, key: NewSecret) -> None:
    """Let `key` into a workspace that was there before it: the data directory is new, or the database another one."""
    bootstrap = statements.load("sluice_catalog", "bootstrap.sql")
    now = datetime.now(UTC)
    async with database.transaction() as connection:
        if await connection.fetchval("select 1 from catalog.api_keys where secret_sha256 = $1", key.sha256):
            return
        await connection.execute(
            bootstrap.add_api_key,
            new_id(now.timestamp()),
            workspace_id,
            "Local stack",
            key.hint,
            key.sha256,
            list(ALL_SCOPES),
            [],
            now,
        )
        await connection.execute(bootstrap.notify, "api_keys")


def dsn_without_password(dsn: str) -> str:
    """Return `dsn` fit to be shown."""
    parts = urlsplit(dsn)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{parts.username}@{host}" if parts.username else host, query="").geturl()
