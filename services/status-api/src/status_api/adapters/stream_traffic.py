"""What is on its way through streams, and what it came to."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Final
from uuid import UUID

from sluice_storage.database import Database
from sluice_storage.statements import load
from status_api.adapters.patience import Patience
from status_api.doors.streams.statistics import MessageCounts

_SECONDS: Final = 3.0
_sql = load("status_api", "streams.sql")


class StreamTraffic:
    """Reads the projection, always for one workspace. Raises whatever the database does when it is away."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._messages = Patience(self._summed_up)

    async def sending(self, workspace_id: UUID) -> set[UUID]:
        """Return the streams of which something is on its way. Raises TimeoutError after three seconds."""
        async with asyncio.timeout(_SECONDS), self._database.connection() as connection:
            return {row["stream_id"] for row in await connection.fetch(_sql.sending, workspace_id)}

    async def messages(self, workspace_id: UUID, stream_id: UUID, since: datetime, until: datetime) -> MessageCounts:
        """Return what the events that a stream accepted from `since` up to but not at `until` came to.

        Raises StillCountingError where they are too many to be summed up at once.
        """
        return await self._messages.ask((workspace_id, stream_id, since, until))

    async def _summed_up(self, asked: tuple[UUID, UUID, datetime, datetime]) -> MessageCounts:
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_sql.messages_of_stream, *asked)
        return MessageCounts(**dict(row or {}))
