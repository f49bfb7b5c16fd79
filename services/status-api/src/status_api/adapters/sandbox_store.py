"""Reading what the sandbox providers of the three channels got."""

from __future__ import annotations

import asyncio
from typing import Final
from uuid import UUID

import asyncpg

from sluice_contracts.vocabulary import Channel
from sluice_storage.database import Database
from sluice_storage.statements import load
from status_api.domain.presentation.sandbox import SandboxMessage

READ_SECONDS: Final = 3.0

_sql = load("status_api", "reads.sql")
_STATEMENTS: Final = {
    Channel.SMS: _sql.sandbox_sms,
    Channel.EMAIL: _sql.sandbox_email,
    Channel.WHATSAPP: _sql.sandbox_whatsapp,
}


class SandboxStore:
    """The tables `sandbox_messages` of the channels' schemas. A channel whose tables do not exist has got nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def messages(
        self, workspace_id: UUID, channel: Channel, before: int, to: str | None, trigger_id: UUID | None, limit: int
    ) -> list[SandboxMessage]:
        """Return up to `limit` messages whose id is below `before`, the newest first, perhaps only some of them."""
        try:
            async with asyncio.timeout(READ_SECONDS), self._database.connection() as connection:
                records = await connection.fetch(_STATEMENTS[channel], workspace_id, before, to, trigger_id, limit)
        except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
            return []
        return [
            SandboxMessage(
                channel,
                record["id"],
                record["address"],
                record["sender"],
                record["subject"],
                record["text"],
                record["html"],
                record["headers"],
                record["trigger_id"],
                record["job_id"],
                record["at"],
            )
            for record in records
        ]
