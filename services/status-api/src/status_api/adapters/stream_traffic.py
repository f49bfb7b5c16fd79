"""What is on its way through streams, and what it came to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final
from uuid import UUID

from sluice_storage.database import Connection, Database
from sluice_storage.statements import load
from status_api.doors.streams.statistics import MessageCounts

_SECONDS: Final = 3.0
_sql = load("status_api", "streams.sql")


class StreamTraffic:
    """Reads the projection, always for one workspace.

    Every method raises TimeoutError when the database does not answer within three seconds, and whatever it raises
    when it is away.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def sending(self, workspace_id: UUID) -> set[UUID]:
        """Return the streams of which something is on its way."""
        async with self._reading() as connection:
            return {row["stream_id"] for row in await connection.fetch(_sql.sending, workspace_id)}

    async def messages(self, workspace_id: UUID, stream_id: UUID, since: datetime, until: datetime) -> MessageCounts:
        """Return what the events that a stream accepted from `since` up to but not at `until` came to."""
        async with self._reading() as connection:
            row = await connection.fetchrow(_sql.messages_of_stream, workspace_id, stream_id, since, until)
        return MessageCounts(**dict(row or {}))

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[Connection]:
        async with asyncio.timeout(_SECONDS), self._database.connection() as connection:
            yield connection
