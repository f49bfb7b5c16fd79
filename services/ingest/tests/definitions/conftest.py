"""The doors to definitions behind a real HTTP server and a real database, with two workspaces' clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from aiohttp.test_utils import TestClient, TestServer

from ingest.definitions import operations
from sluice_catalog.bootstrap import ensure_workspace
from sluice_catalog.credentials import Authenticator
from sluice_catalog.repository import Catalog
from sluice_catalog.snapshot import CatalogSnapshot
from sluice_runtime.clock import ManualClock
from sluice_runtime.http.application import application
from sluice_runtime.http.operations import add_operations
from sluice_runtime.secrets import SecretBox
from sluice_storage.database import Database
from sluice_storage.migrations import migrate


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: Any
    headers: Any

    @property
    def fields(self) -> list[str]:
        return [error["field"] for error in self.body["errors"]]


@dataclass(frozen=True, slots=True)
class Caller:
    """A client with one workspace's key."""

    client: TestClient[Any, Any]
    key: str = field(repr=False)

    async def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.client.request(
            method, f"/api/v1{path}", json=body, headers={"X-API-Key": self.key, **named}
        ) as response:
            content = await response.read()
            return Answer(
                response.status, await response.json(content_type=None) if content else None, response.headers
            )


@dataclass(frozen=True, slots=True)
class Doors:
    """Everything a test needs."""

    ours: Caller
    theirs: Caller
    client: TestClient[Any, Any]
    snapshot: CatalogSnapshot
    catalog: Catalog
    database: Database
    workspace: Any

    def with_key(self, key: str) -> Caller:
        return Caller(self.client, key)


@pytest.fixture(scope="module")
def catalog_dsn(postgres_server: Any) -> Iterator[str]:
    """A database with the catalog's tables. Tests share it: each has workspaces of its own."""
    name = f"definitions_{uuid4().hex}"
    postgres_server.execute(f"create database {name}")
    dsn = postgres_server.database(name)
    asyncio.run(migrate(dsn, "catalog", "sluice_catalog"))
    yield dsn
    postgres_server.execute(f"drop database {name} with (force)")


@pytest.fixture
async def doors(catalog_dsn: str) -> AsyncIterator[Doors]:
    clock = ManualClock(datetime(2026, 3, 1, 12, 0, tzinfo=UTC))
    secret_box = SecretBox(bytes(32))
    async with await Database.open(catalog_dsn, "catalog", application_name="test", max_size=4) as database:
        workspace, ours = await ensure_workspace(database, secret_box, f"Ours {uuid4()}", clock=clock)
        _, theirs = await ensure_workspace(database, secret_box, f"Theirs {uuid4()}", clock=clock)
        assert ours is not None
        assert theirs is not None
        snapshot = CatalogSnapshot(database, secret_box)
        await snapshot.refresh()
        app = application()
        add_operations(app, operations(database, snapshot, secret_box, clock), Authenticator(snapshot))
        async with TestClient(TestServer(app)) as client:
            yield Doors(
                Caller(client, ours),
                Caller(client, theirs),
                client,
                snapshot,
                Catalog(database, secret_box, clock),
                database,
                workspace,
            )
