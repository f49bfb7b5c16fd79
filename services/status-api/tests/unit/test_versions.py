from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from uuid import UUID, uuid4

import pytest

from status_api.adapters.versions import Asked, Versions

WORKSPACE = UUID(int=1)


class Table:
    """Versions that change; a read takes until `gate` is opened, and is of what was there when it began."""

    def __init__(self) -> None:
        self.rows: dict[Asked, int] = {}
        self.reads: list[set[Asked]] = []
        self.gate = asyncio.Event()
        self.began = asyncio.Event()
        self.error: Exception | None = None

    async def read(self, asked: Collection[Asked]) -> Mapping[Asked, int]:
        self.reads.append(set(asked))
        seen = dict(self.rows)
        self.began.set()
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return seen


async def test_all_who_ask_while_a_read_is_under_way_are_answered_by_one_more() -> None:
    table = Table()
    versions = Versions(table.read)
    triggers = [uuid4() for _ in range(50)]
    table.rows = {(WORKSPACE, trigger): place for place, trigger in enumerate(triggers)}
    first = asyncio.create_task(versions.of(WORKSPACE, triggers[0]))
    await table.began.wait()
    others = [asyncio.create_task(versions.of(WORKSPACE, trigger)) for trigger in triggers]
    await asyncio.sleep(0)
    table.gate.set()
    assert await first == 0
    assert await asyncio.gather(*others) == list(range(50))
    assert [len(read) for read in table.reads] == [1, 50]


async def test_nobody_is_answered_with_what_was_read_before_they_asked() -> None:
    table = Table()
    versions = Versions(table.read)
    trigger = uuid4()
    table.rows = {(WORKSPACE, trigger): 1}
    early = asyncio.create_task(versions.of(WORKSPACE, trigger))
    await table.began.wait()
    table.rows = {(WORKSPACE, trigger): 2}
    late = asyncio.create_task(versions.of(WORKSPACE, trigger))
    await asyncio.sleep(0)
    table.gate.set()
    assert (await early, await late) == (1, 2)


async def test_what_is_not_there_or_another_workspaces_has_no_version() -> None:
    table = Table()
    table.gate.set()
    trigger = uuid4()
    table.rows = {(WORKSPACE, trigger): 1}
    versions = Versions(table.read)
    assert await versions.of(WORKSPACE, uuid4()) is None
    assert await versions.of(UUID(int=2), trigger) is None


async def test_a_read_that_fails_fails_for_those_who_asked_and_for_nobody_after_them() -> None:
    table = Table()
    table.error = OSError("away")
    versions = Versions(table.read)
    trigger = uuid4()
    asking = [asyncio.create_task(versions.of(WORKSPACE, trigger)) for _ in range(2)]
    await table.began.wait()
    table.gate.set()
    for asked in asking:
        with pytest.raises(OSError, match="away"):
            await asked
    table.error, table.rows = None, {(WORKSPACE, trigger): 3}
    assert await versions.of(WORKSPACE, trigger) == 3


async def test_one_who_leaves_takes_the_answer_from_nobody_else() -> None:
    table = Table()
    trigger = uuid4()
    table.rows = {(WORKSPACE, trigger): 1}
    versions = Versions(table.read)
    leaving, staying = (asyncio.create_task(versions.of(WORKSPACE, trigger)) for _ in range(2))
    await table.began.wait()
    leaving.cancel()
    await asyncio.sleep(0)
    table.gate.set()
    assert await staying == 1
