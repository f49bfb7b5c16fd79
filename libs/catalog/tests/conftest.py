"""A catalog in a real database, with two workspaces."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

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
    secret: str
    stranger: UUID


@pytest.fixture
async def place(postgres_dsn: str) -> AsyncIterator[Place]:
    await migrate(postgres_dsn, "catalog", "sluice_catalog")
    clock = ManualClock(datetime(2026, 3, 1, 12, 0, tzinfo=UTC))
    secret_box = SecretBox(bytes(32))
    async with await Database.open(postgres_dsn, "catalog", application_name="test", max_size=4) as database:
        workspace, secret = await ensure_workspace(database, secret_box, "Ours", clock=clock)
        stranger, _ = await ensure_workspace(database, secret_box, "Theirs", clock=clock)
        assert secret is not None
        catalog = Catalog(database, secret_box, clock)
        yield Place(postgres_dsn, database, catalog, clock, secret_box, workspace, secret, stranger)
