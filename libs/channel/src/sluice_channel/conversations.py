"""The newest message to each address: all that a reply can be matched by where a provider carries no reference.

Kept only for accounts whose provider says `matches_replies_by_address = True`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

from sluice_contracts.references import JobReference
from sluice_storage import statements
from sluice_storage.database import Database

_sql = statements.load("sluice_channel", "receipts.sql")


class Conversations:
    """Remembers and finds."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def remember(
        self, account_id: UUID, execution_id: UUID, round_number: int, seqs: Mapping[str, int], now: datetime
    ) -> None:
        """Note that the job at a position of this execution is the newest to each address of `seqs`."""
        async with self._database.connection() as connection:
            await connection.execute(
                _sql.remember_conversations,
                account_id,
                execution_id,
                round_number,
                list(seqs),
                list(seqs.values()),
                now,
            )

    async def newest(self, account_id: UUID, addresses: Collection[str]) -> dict[str, JobReference]:
        """Return the newest job to each of `addresses` that this account has written to."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_sql.conversations_with, account_id, list(addresses))
        return {row["address"]: JobReference(row["execution_id"], row["seq"], row["round"]) for row in rows}
