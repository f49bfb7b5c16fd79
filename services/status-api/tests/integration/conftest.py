"""A database with the projection's tables, and messages to fold into it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from sluice_storage.database import Database
from sluice_storage.migrations import migrate
from status_api.adapters.projection import SCHEMA, Projection
from status_api.adapters.status_store import StatusStore
from status_api.handlers.projecting import Projector

DEADLINE = timedelta(hours=72)
EMPTY = "TRUNCATE triggers, versions, executions, jobs, unsent, reasons, receipt_deadlines, waits, wait_steps"


@pytest.fixture(scope="session")
def status_dsn(postgres_server: Any) -> Iterator[str]:
    """A database of these tests' own, migrated once: making one for each test would take longer than the tests."""
    name = f"status_{uuid4().hex}"
    postgres_server.execute(f"create database {name}")
    dsn = postgres_server.database(name)
    asyncio.run(migrate(dsn, SCHEMA, "status_api"))
    yield dsn
    postgres_server.execute(f"drop database {name} with (force)")


@pytest.fixture
async def database(status_dsn: str) -> AsyncIterator[Database]:
    """The schema `status`, migrated and empty."""
    async with await Database.open(status_dsn, SCHEMA, application_name="test", max_size=8) as database:
        async with database.connection() as connection:
            await connection.execute(EMPTY)
        yield database


@pytest.fixture
def empty(database: Database) -> Callable[[], Awaitable[None]]:
    """Forgets everything that was folded."""

    async def empty() -> None:
        async with database.connection() as connection:
            await connection.execute(EMPTY)

    return empty


@pytest.fixture
def projection(database: Database) -> Projection:
    return Projection(database, receipt_deadline=DEADLINE)


@pytest.fixture
def projector(projection: Projection) -> Projector:
    """The handlers of the topics, folding into `database`."""
    return Projector(projection, lambda: None)


@pytest.fixture
def store(database: Database) -> StatusStore:
    return StatusStore(database)


@pytest.fixture
def contents(database: Database) -> Callable[[], Any]:
    """Reads everything that a reader of the projection could see, for comparing one state with another."""

    async def read() -> dict[str, list[tuple[Any, ...]]]:
        queries = {
            "triggers": "SELECT * FROM triggers ORDER BY trigger_id",
            "executions": "SELECT * FROM executions ORDER BY execution_id",
            "jobs": "SELECT * FROM jobs ORDER BY execution_id, seq",
            "unsent": "SELECT execution_id, state, reason, seq FROM unsent WHERE present ORDER BY 1, 2, 3, 4",
            "reasons": "SELECT * FROM reasons WHERE n <> 0 ORDER BY execution_id, state, reason",
        }
        async with database.connection() as connection:
            return {name: [tuple(row) for row in await connection.fetch(sql)] for name, sql in queries.items()}

    return read
