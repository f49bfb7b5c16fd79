"""Answers kept in Postgres are seen by every copy, sealed, for a day; without Postgres nobody is held up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from sluice_runtime.clock import ManualClock
from sluice_runtime.guard.answers import Answer
from sluice_storage.answers import PACKAGE, SCHEMA, PostgresAnswers
from sluice_storage.database import Database
from sluice_storage.migrations import migrate

WORKSPACE = UUID(int=1)
NOW = datetime(2026, 11, 23, tzinfo=UTC)


def answer(body: bytes = b'{"secret":"sk_live_abc"}', fingerprint: bytes = b"f" * 32, at: datetime = NOW) -> Answer:
    return Answer(fingerprint, 201, {"Content-Type": "application/json"}, body, at)


@pytest.fixture
async def database(postgres_dsn: str) -> AsyncIterator[Database]:
    await migrate(postgres_dsn, SCHEMA, PACKAGE)
    async with await Database.open(postgres_dsn, SCHEMA, application_name="test") as opened:
        yield opened


def store(database: Database, clock: ManualClock | None = None, key: bytes = b"k" * 32) -> PostgresAnswers:
    return PostgresAnswers(database, key, clock or ManualClock(NOW))


async def flush(answers: PostgresAnswers) -> None:
    stop = asyncio.Event()
    stop.set()
    await answers.run(stop)


async def rows(database: Database) -> list[Any]:
    async with database.connection() as connection:
        return await connection.fetch("SELECT key, body FROM answers ORDER BY key")


@pytest.mark.integration
async def test_another_copy_finds_the_answer_as_it_was_given(database: Database) -> None:
    first = store(database)
    for place in range(1200):
        first.put((WORKSPACE, f"k{place}"), answer())
    await flush(first)
    other = store(database)
    assert await other.find((WORKSPACE, "k1199")) == answer()
    assert await other.find((WORKSPACE, "nobody's")) is None
    assert await other.find((UUID(int=2), "k1")) is None
    assert len(await rows(database)) == 1200


@pytest.mark.integration
async def test_an_answer_lies_sealed(database: Database) -> None:
    kept = store(database)
    kept.put((WORKSPACE, "k"), answer())
    await flush(kept)
    [row] = await rows(database)
    assert "sk_live" not in row["body"]
    assert await store(database, key=b"o" * 32).find((WORKSPACE, "k")) is None


@pytest.mark.integration
async def test_the_first_answer_stays_until_its_day_is_over(database: Database) -> None:
    clock = ManualClock(NOW)
    kept = store(database, clock)
    kept.put((WORKSPACE, "k"), answer(b"first"))
    kept.put((WORKSPACE, "k"), answer(b"second"))
    await flush(kept)
    kept.put((WORKSPACE, "k"), answer(b"third"))
    await flush(kept)
    found = await kept.find((WORKSPACE, "k"))
    assert found is not None
    assert found.body == b"first"
    clock.advance(timedelta(hours=24))
    assert await kept.find((WORKSPACE, "k")) is None
    kept.put((WORKSPACE, "k"), answer(b"fourth", at=clock.now()))
    await flush(kept)
    found = await kept.find((WORKSPACE, "k"))
    assert found is not None
    assert found.body == b"fourth"


@pytest.mark.integration
async def test_what_is_older_than_a_day_is_deleted(database: Database) -> None:
    clock = ManualClock(NOW)
    kept = store(database, clock)
    kept.put((WORKSPACE, "k"), answer())
    await flush(kept)
    clock.advance(timedelta(hours=25))
    await flush(store(database, clock))
    assert await rows(database) == []


@pytest.mark.integration
async def test_answers_that_wait_for_postgres_are_bounded_and_the_newest_stay(database: Database) -> None:
    kept = store(database)
    for place in range(50):
        kept.put((WORKSPACE, f"k{place:02}"), answer(b"x" * 1_000_000))
    await flush(kept)
    keys = [row["key"] for row in await rows(database)]
    assert keys == [f"k{place:02}" for place in range(50 - len(keys), 50)]
    assert len(keys) == 33


async def test_without_postgres_nothing_is_found_and_nobody_waits() -> None:
    nowhere = "postgresql://nobody@127.0.0.1:1/none"
    async with await Database.open(nowhere, SCHEMA, application_name="test", min_size=0) as database:
        kept = store(database)
        kept.put((WORKSPACE, "k"), answer())
        began = time.monotonic()
        for _ in range(100):
            assert await kept.find((WORKSPACE, "k")) is None
        await flush(kept)
        assert time.monotonic() - began < 2
