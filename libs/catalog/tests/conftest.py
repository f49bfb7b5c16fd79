"""A catalog in a real database, with two workspaces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from sluice_catalog.bootstrap import ensure_workspace
from sluice_catalog.repository import Catalog
from sluice_runtime.clock import ManualClock
from sluice_runtime.secrets import SecretBox
from sluice_storage.database import Database
from sluice_storage.migrations import migrate


@dataclass(frozen=True, slots=True)
class Place:
    """Where a test works. `workspace` is its own, `stranger` somebody else's."""

    dsn: str
    database: Database
    catalog: Catalog
    clock: ManualClock
    secret_box: SecretBox
    workspace: UUID
    name: str
    secret: str
    stranger: UUID


@pytest.fixture(scope="module")
def catalog_dsn(postgres_server: Any) -> Iterator[str]:
    """A database with the catalog's tables. Tests share it: each has workspaces of its own."""
    name = f"catalog_{uuid4().hex}"
    postgres_server.execute(f"create database {name}")
    dsn = postgres_server.database(name)
    asyncio.run(migrate(dsn, "catalog", "sluice_catalog"))
    yield dsn
    postgres_server.execute(f"drop database {name} with (force)")


@pytest.fixture
async def place(catalog_dsn: str) -> AsyncIterator[Place]:
    clock = ManualClock(datetime(2026, 3, 1, 12, 0, tzinfo=UTC))
    secret_box = SecretBox(bytes(32))
    name = f"Ours {uuid4()}"
    async with await Database.open(catalog_dsn, "catalog", application_name="test", max_size=4) as database:
        workspace, secret = await ensure_workspace(database, secret_box, name, clock=clock)
        stranger, _ = await ensure_workspace(database, secret_box, f"Theirs {uuid4()}", clock=clock)
        assert secret is not None
        catalog = Catalog(database, secret_box, clock)
        yield Place(catalog_dsn, database, catalog, clock, secret_box, workspace, name, secret, stranger)
