"""How old the oldest open work is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from orchestrator.adapters.statements import queries
from sluice_storage.database import Connection


@dataclass(frozen=True, slots=True)
class OldestWork:
    """When the oldest unanswered command was opened, and the first moments at which a stage and a command are due."""

    opened_at: datetime | None
    stage_due_at: datetime | None
    command_due_at: datetime | None


async def oldest_work(connection: Connection, now: datetime, fed_below: int) -> OldestWork:
    """Look for the oldest open work.

    What rests until somebody resumes it, or has `fed_below` commands under way, does not count.
    """
    row = await connection.fetchrow(queries.oldest_work, now, fed_below)
    return OldestWork(None, None, None) if row is None else OldestWork(**dict(row))
