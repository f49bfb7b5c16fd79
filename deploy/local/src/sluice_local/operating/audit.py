"""`sluice audit`: the counters that dashboards show against the jobs behind them, and against each other."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from collections.abc import Callable
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg

from sluice_local.operating.errors import OperatingError
from sluice_local.operating.installation import Connection, Installation
from sluice_local.operating.quantities import counted
from sluice_storage import statements

SETTLE_SECONDS: Final = 2.0
"""After how long something that was found is looked at once more."""

_STATEMENT_SECONDS: Final = 1_800.0

_sql = statements.load("sluice_local.operating", "audit.sql")


class Discrepancy(NamedTuple):
    """Something that cannot be right about one execution."""

    trigger_id: UUID
    execution_id: UUID
    channel: str
    sentence: str

    def __str__(self) -> str:
        return f"trigger {self.trigger_id} execution {self.execution_id} ({self.channel}): {self.sentence}"


class Books(NamedTuple):
    """How much was looked at, and what was found."""

    triggers: int
    executions: int
    discrepancies: list[Discrepancy]


async def audit(installation: Installation, arguments: Namespace) -> int:
    """Print every execution whose books do not balance; return 1 if there is one."""
    trigger_id: UUID | None = arguments.trigger_id
    async with installation.database("status", _STATEMENT_SECONDS) as connection:
        books = await read(connection, trigger_id)
        if trigger_id is not None and not books.triggers:
            raise OperatingError(f"there is no trigger {trigger_id} in this installation")
        if books.discrepancies:
            # A plan and the reports about it come through different topics: the plan may be on its way.
            await asyncio.sleep(SETTLE_SECONDS)
            lasting = set(books.discrepancies)
            books = await read(connection, trigger_id)
            books = books._replace(discrepancies=[each for each in books.discrepancies if each in lasting])
    for discrepancy in books.discrepancies:
        print(discrepancy)
    looked_at = f"{counted(books.executions, 'execution')} of {counted(books.triggers, 'trigger')}"
    differing = len({each.execution_id for each in books.discrepancies})
    print(f"{looked_at}: " + (f"{differing} out of balance" if differing else "every counter is what its jobs say"))
    return 1 if differing else 0


async def read(connection: Connection, trigger_id: UUID | None) -> Books:
    """Return the books of one trigger or of all, as they were at one moment."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        triggers = await connection.fetchval(_sql.triggers, trigger_id)
        executions = await connection.fetchval(_sql.executions, trigger_id)
        found = [
            Discrepancy(row["trigger_id"], row["execution_id"], row["channel"] or "unknown channel", sentence(row))
            for statement, sentence in _CHECKS
            for row in await connection.fetch(statement, trigger_id)
        ]
    return Books(triggers, executions, found)


def _outsiders(row: asyncpg.Record) -> str:
    outside = counted(row["jobs"], "job")
    return f"{outside} outside its cohort of {row['people']}, from position {row['first']} on"


def _unplanned(row: asyncpg.Record) -> str:
    whose = "its trigger's plan does not name it" if row["known"] else "nobody knows its trigger"
    return f"reports about {counted(row['jobs'], 'job')}, and {whose}"


_CHECKS: Final[tuple[tuple[str, Callable[[asyncpg.Record], str]], ...]] = (
    (_sql.differing_counters, lambda row: f"{row['name']} is {row['stored']} and its jobs say {row['recounted']}"),
    (_sql.broken_sums, lambda row: f"{row['name']}: {row['one']} and {row['other']}"),
    (_sql.outsiders, _outsiders),
    (_sql.unplanned, _unplanned),
)
"""Each statement with the sentence that a row of it makes."""
