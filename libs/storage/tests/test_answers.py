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
from sluice_runtime.http.guard.answers import Answer, Verdict
from sluice_storage.answers import PACKAGE, SCHEMA, PostgresAnswers
from sluice_storage.database import Database
from sluice_storage.migrations import migrate

WORKSPACE = UUID(int=1)
NOW = datetime(2026, 11, 23, tzinfo=UTC)
PRINT = b"f" * 32


def answer(body: bytes = b'{"secret":"sk_live_abc"}', fingerprint: bytes = PRINT, at: datetime = NOW) -> Answer:
    return Answer(fingerprint, 201, {"Content-Type": "application/json"}, body, at)


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a machine that has much else to do not be taken for a Postgres that is silent."""
    monkeypatch.setattr("sluice_storage.answers._ASK_SECONDS", 30.0)


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


async def found(answers: PostgresAnswers, key: str, workspace: UUID = WORKSPACE) -> Answer | None:
    """Return the answer kept for a key; where there is none, leave it as it was."""
    place = (workspace, key)
    claimed = await answers.claim(place, PRINT)
    if isinstance(claimed, Answer):
        return claimed
    assert claimed is Verdict.GO_AHEAD
    answers.abandon(place)
    return None


async def rows(database: Database) -> list[Any]:
    async with database.connection() as connection:
        return await connection.fetch("SELECT key, body FROM answers ORDER BY key")


async def claims(database: Database) -> list[Any]:
    async with database.connection() as connection:
        return await connection.fetch("SELECT key FROM claims")


@pytest.mark.integration
async def test_another_copy_finds_the_answer_as_it_was_given(database: Database) -> None:
    first = store(database)
    for place in range(1200):
        first.put((WORKSPACE, f"k{place}"), answer())
    await flush(first)
    other = store(database)
    assert await found(other, "k1199") == answer()
    assert await found(other, "nobody's") is None
    assert await found(other, "k1", UUID(int=2)) is None
    assert len(await rows(database)) == 1200


@pytest.mark.integration
async def test_an_answer_lies_sealed(database: Database) -> None:
    kept = store(database)
    kept.put((WORKSPACE, "k"), answer())
    await flush(kept)
    [row] = await rows(database)
    assert "sk_live" not in row["body"]
    assert await found(store(database, key=b"o" * 32), "k") is None


@pytest.mark.integration
async def test_the_first_answer_stays_until_its_day_is_over(database: Database) -> None:
    clock = ManualClock(NOW)
    kept = store(database, clock)
    kept.put((WORKSPACE, "k"), answer(b"first"))
    kept.put((WORKSPACE, "k"), answer(b"second"))
    await flush(kept)
    kept.put((WORKSPACE, "k"), answer(b"third"))
    await flush(kept)
    answered = await found(kept, "k")
    assert answered is not None
    assert answered.body == b"first"
    clock.advance(timedelta(hours=24))
    assert await found(kept, "k") is None
    kept.put((WORKSPACE, "k"), answer(b"fourth", at=clock.now()))
    await flush(kept)
    answered = await found(kept, "k")
    assert answered is not None
    assert answered.body == b"fourth"


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


@pytest.mark.integration
async def test_of_two_copies_one_answers_a_request(database: Database) -> None:
    copies, place = [store(database) for _ in range(4)], (WORKSPACE, "k")
    verdicts = await asyncio.gather(*(copy.claim(place, PRINT) for copy in copies))
    assert sorted(verdict is Verdict.GO_AHEAD for verdict in verdicts) == [False, False, False, True]
    busy = copies[verdicts.index(Verdict.GO_AHEAD)]
    assert verdicts.count(Verdict.IN_PROGRESS) == 3
    assert await copies[0].claim(place, b"o" * 32) is Verdict.ANOTHER_REQUEST
    busy.put(place, answer())
    await flush(busy)
    assert [await copy.claim(place, PRINT) for copy in copies] == [answer()] * 4
    assert await claims(database) == []


@pytest.mark.integration
async def test_a_request_without_an_answer_leaves_its_key_to_the_next(database: Database) -> None:
    first, other, place = store(database), store(database), (WORKSPACE, "k")
    assert await first.claim(place, PRINT) is Verdict.GO_AHEAD
    first.abandon(place)
    await flush(first)
    assert await other.claim(place, b"o" * 32) is Verdict.GO_AHEAD


@pytest.mark.integration
async def test_the_claim_of_a_process_that_is_no_more_ends_by_itself(database: Database) -> None:
    clock, place = ManualClock(NOW), (WORKSPACE, "k")
    assert await store(database, clock).claim(place, PRINT) is Verdict.GO_AHEAD
    successor = store(database, clock)
    assert await successor.claim(place, PRINT) is Verdict.IN_PROGRESS
    clock.advance(timedelta(seconds=10))
    assert await successor.claim(place, PRINT) is Verdict.GO_AHEAD
    clock.advance(timedelta(seconds=10))
    await flush(store(database, clock))
    assert await claims(database) == []


async def test_without_postgres_nothing_is_found_and_nobody_waits() -> None:
    nowhere = "postgresql://nobody@127.0.0.1:1/none"
    async with await Database.open(nowhere, SCHEMA, application_name="test", min_size=0) as database:
        kept = store(database)
        kept.put((WORKSPACE, "k"), answer())
        began = time.monotonic()
        for _ in range(100):
            assert await kept.claim((WORKSPACE, "k"), PRINT) is Verdict.GO_AHEAD
        await flush(kept)
        assert time.monotonic() - began < 10
