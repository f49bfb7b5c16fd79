"""What operators did with dead letters, kept in PostgreSQL: the topics themselves can only be appended to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sluice_local.operating.errors import OperatingError
from sluice_local.operating.installation import Connection
from sluice_local.operating.letters import Letter, Mark, Marks, Place, written_at
from sluice_messaging.records import Record
from sluice_storage import statements

SCHEMA = "operations"

_sql = statements.load("sluice_local.operating", "marks.sql")


async def marks_of(connection: Connection, topic: str) -> Marks:
    """Return everything noted about the letters in `topic`."""
    return {
        Place(row["partition"], row["record_offset"]): Mark(
            row["written_at"], row["edited_value"], row["edited_at"], row["redriven_at"], row["redrives"]
        )
        for row in await connection.fetch(_sql.marks_of, topic)
    }


async def note_edit(connection: Connection, record: Record, value: bytes, now: datetime) -> None:
    """Keep `value` in place of the record's own, for the next redrive."""
    await connection.execute(_sql.edit, record.topic, record.partition, record.offset, written_at(record), value, now)


async def discard_edit(connection: Connection, topic: str, place: Place) -> bool:
    """Forget the edit of a letter; return whether there was one."""
    return await connection.execute(_sql.discard_edit, topic, place.partition, place.offset) != "UPDATE 0"


async def note_redriven(connection: Connection, topic: str, letters: Sequence[Letter], now: datetime) -> None:
    """Note that `letters` of `topic` are stored in their own topic again."""
    await connection.execute(
        _sql.redriven,
        topic,
        [letter.place.partition for letter in letters],
        [letter.place.offset for letter in letters],
        [written_at(letter.record) for letter in letters],
        now,
    )


async def forget(connection: Connection, topic: str, partition: int, before: int) -> None:
    """Forget what was noted about letters that `topic` does not hold any more."""
    await connection.execute(_sql.forget, topic, partition, before)


async def take_turn(connection: Connection) -> None:
    """Be the only one who redrives until the connection is closed. Raises OperatingError where somebody else is."""
    if not await connection.fetchval(_sql.take_turn):
        raise OperatingError("another redrive is under way; wait until it is done")
