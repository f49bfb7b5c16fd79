"""The rate limit of a provider account, kept by all copies of all workers together: slots reserved in Postgres."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sluice_storage import statements
from sluice_storage.database import Database

LONGEST_WAIT_SECONDS: Final = 2.0
"""How long a worker waits in place for a slot; what would take longer is held and comes back."""

_sql = statements.load("sluice_channel", "pacing.sql")


@dataclass(frozen=True, slots=True)
class Reservation:
    """`granted` slots, the first in `wait` seconds, then one every `interval`.

    The rest queue up behind `tail` seconds from now, at the same interval.
    """

    granted: int
    wait: float
    interval: float
    tail: float

    def come_back(self, place: int, now: datetime) -> datetime:
        """Return when the `place`-th of those without a slot should come back, on a whole second."""
        return now + timedelta(seconds=math.ceil(max(self.tail, 0.0) + place * self.interval))


class Pacing:
    """Reserves slots. An account without a limit never comes here."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._opened: set[UUID] = set()

    async def reserve(self, account_id: UUID, wanted: int, rate: float, *, queues: bool) -> Reservation:
        """Take up to `wanted` slots at `rate` a second within the next two seconds.

        With `queues`, take none while earlier ones wait to come back.
        """
        async with self._database.connection() as connection:
            if account_id not in self._opened:
                await connection.execute(_sql.open_bucket, account_id)
                self._opened.add(account_id)
            row = await connection.fetchrow(_sql.reserve, account_id, wanted, rate, LONGEST_WAIT_SECONDS, queues)
        if row is None:
            self._opened.discard(account_id)
            return await self.reserve(account_id, wanted, rate, queues=queues)
        return Reservation(row["granted"], row["wait"], 1 / rate, row["tail"])

    async def pause(self, account_id: UUID, pause: timedelta) -> None:
        """Give nobody a slot of this account until `pause` has passed."""
        async with self._database.connection() as connection:
            await connection.execute(_sql.pause, account_id, pause.total_seconds())
