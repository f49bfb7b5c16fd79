"""A database with the projection's tables, and messages to fold into it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest

from sluice_storage.database import Database
from sluice_storage.migrations import migrate
from status_api.adapters.projection import SCHEMA, Projection
from status_api.adapters.status_store import StatusStore
from status_api.handlers.projecting import Projector

DEADLINE = timedelta(hours=72)


@pytest.fixture
async def database(postgres_dsn: str) -> AsyncIterator[Database]:
    """The schema `status`, migrated and empty."""
    await migrate(postgres_dsn, SCHEMA, "status_api")
    async with await Database.open(postgres_dsn, SCHEMA, application_name="test", max_size=8) as database:
        yield database


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
