"""What operators did with dead letters, kept in PostgreSQL: the topics themselves can only be appended to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sluice_local.operating.errors import OperatingError
from sluice_local.operating.installation import Connection
from sluice_local.operating.letters import Letter, Mark, Marks, Origin, Place
from sluice_local.operating.messages import dead_letter_topics, source_of
from sluice_storage import statements

SCHEMA: Final = "operations"
KEPT_FOR: Final = timedelta(days=60)
"""Twice as long as dead letters are kept themselves."""

_sql = statements.load("sluice_local.operating", "marks.sql")


async def all_marks(connection: Connection) -> Marks:
    """Return everything that is noted about dead letters."""
    # A letter that does not say where it died is known by where it lies.
    topics = [name for letters in dead_letter_topics() for name in (letters, source_of(letters).name)]
    return {
        Origin(row["topic"], Place(row["partition"], row["record_offset"]), row["fingerprint"]): Mark(
            row["edited_value"], row["edited_at"], row["redriven_at"], row["redrives"]
        )
        for row in await connection.fetch(_sql.marks_of, topics)
    }


async def note_edit(connection: Connection, letter: Letter, value: bytes, now: datetime) -> None:
    """Keep `value` in place of the record's own, for the next redrive."""
    origin = letter.origin
    await connection.execute(_sql.edit, origin.topic, *origin.place, origin.fingerprint, value, now)


async def discard_edit(connection: Connection, letter: Letter) -> bool:
    """Forget the edit of a letter; return whether there was one."""
    origin = letter.origin
    done = await connection.execute(_sql.discard_edit, origin.topic, *origin.place, origin.fingerprint)
    return done != "UPDATE 0"


async def note_redriven(connection: Connection, letters: Sequence[Letter], now: datetime) -> None:
    """Note that the records of `letters`, each once, are stored in their own topic again."""
    origins = [letter.origin for letter in letters]
    await connection.execute(
        _sql.redriven,
        [origin.topic for origin in origins],
        [origin.place.partition for origin in origins],
        [origin.place.offset for origin in origins],
        [origin.fingerprint for origin in origins],
        now,
    )


async def forget(connection: Connection, now: datetime) -> None:
    """Forget what was noted about letters that no topic holds any more."""
    await connection.execute(_sql.forget, now - KEPT_FOR)


async def take_turn(connection: Connection) -> None:
    """Be the only one who redrives until the connection is closed. Raises OperatingError where somebody else is."""
    if not await connection.fetchval(_sql.take_turn):
        raise OperatingError("another redrive is under way; wait until it is done")
