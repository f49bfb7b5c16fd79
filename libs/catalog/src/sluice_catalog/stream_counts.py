"""What came into streams and what was refused, by calendar day (UTC): written in batches, read for statistics."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, NamedTuple
from uuid import UUID

from sluice_storage import statements
from sluice_storage.database import Database

_statements: Final = statements.load("sluice_catalog", "streams.sql")


class StreamDay(NamedTuple):
    """One stream on one day."""

    stream_id: UUID
    day: date


class RefusalKey(NamedTuple):
    """What refusals are counted by. `address` is empty where too many different ones were refused to keep them all."""

    stream_id: UUID
    day: date
    reason: str
    address: str


class Tally(NamedTuple):
    """How many, and when the last of them was."""

    number: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class DayCount:
    """What was accepted on one day."""

    day: date
    accepted: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class RefusalCount:
    """What was refused for one reason to one address."""

    reason: str
    address: str
    refused: int
    last_at: datetime


class StreamCounts:
    """The counts of all streams. Every method raises what the database raises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(
        self, accepted: Mapping[StreamDay, Tally], refused: Mapping[RefusalKey, Tally]
    ) -> dict[StreamDay, int]:
        """Add to the counts, all or nothing; return what was accepted on the named days by everybody together."""
        async with self._database.transaction() as connection:
            totals = await connection.fetch(
                _statements.count_accepted,
                [key.stream_id for key in accepted],
                [key.day for key in accepted],
                [tally.number for tally in accepted.values()],
                [tally.last_at for tally in accepted.values()],
            )
            await connection.execute(
                _statements.count_refused,
                [key.stream_id for key in refused],
                [key.day for key in refused],
                [key.reason for key in refused],
                [key.address for key in refused],
                [tally.number for tally in refused.values()],
                [tally.last_at for tally in refused.values()],
            )
        return {StreamDay(row["stream_id"], row["day"]): row["accepted"] for row in totals}

    async def accepted_on(self, stream_ids: Collection[UUID], day: date) -> dict[StreamDay, int]:
        """Return what streams accepted on a day; those that accepted nothing are left out."""
        async with self._database.connection() as connection:
            found = await connection.fetch(_statements.accepted_of_day, list(stream_ids), day)
        return {StreamDay(row["stream_id"], day): row["accepted"] for row in found}

    async def days(self, stream_id: UUID, first: date, last: date) -> list[DayCount]:
        """Return what a stream accepted on each day from `first` to `last` on which it accepted anything."""
        async with self._database.connection() as connection:
            found = await connection.fetch(_statements.days_of_stream, stream_id, first, last)
        return [DayCount(row["day"], row["accepted"], row["last_at"]) for row in found]

    async def refusals(self, stream_id: UUID, first: date, last: date) -> list[RefusalCount]:
        """Return what a stream refused from `first` to `last`, the commonest first."""
        async with self._database.connection() as connection:
            found = await connection.fetch(_statements.refusals_of_stream, stream_id, first, last)
        return [RefusalCount(row["reason"], row["address"], row["refused"], row["last_at"]) for row in found]
