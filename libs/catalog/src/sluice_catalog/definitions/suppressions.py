"""Suppressions as people see and make them. What bounces and replies make comes through `Catalog.suppress`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from pydantic import Field

from sluice_catalog.addresses import normalise_email, normalise_phone
from sluice_catalog.definitions.problems import Fault, InvalidDefinition, NotThere
from sluice_catalog.definitions.words import Definition
from sluice_catalog.rows import Row
from sluice_contracts.identifiers import new_id
from sluice_contracts.vocabulary import Channel, SuppressionReason
from sluice_runtime.clock import Clock
from sluice_storage import statements
from sluice_storage.database import Database

_BEFORE_ALL: Final = UUID(int=0)
_statements = statements.load("sluice_catalog", "workspace.sql")


class NewSuppression(Definition):
    """An address that may not be messaged on a channel."""

    channel: Channel
    address: Annotated[str, Field(min_length=1, max_length=320)]
    reason: SuppressionReason = SuppressionReason.MANUAL
    detail: Annotated[str, Field(max_length=1000)] | None = None


@dataclass(frozen=True, slots=True)
class StoredSuppression:
    """A suppression as it is kept."""

    id: UUID
    channel: Channel
    address: str
    reason: SuppressionReason
    detail: str | None
    created_at: datetime


class Suppressions:
    """The suppressed addresses of all workspaces."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def add(
        self, workspace_id: UUID, given: NewSuppression, default_country: str | None
    ) -> tuple[StoredSuppression, bool]:
        """Suppress an address; return it and whether it was not suppressed for that reason before.

        Raises InvalidDefinition when the address is none for its channel.
        """
        now = self._clock.now()
        address = normalised_address(given.channel, given.address, default_country)
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                _statements.add_suppression,
                workspace_id,
                given.channel,
                address,
                given.reason,
                given.detail,
                new_id(now.timestamp()),
                now,
            )
        if row is None:
            raise NotThere("suppression")
        return _stored(row), row["created"]

    async def page(
        self,
        workspace_id: UUID,
        after: UUID | None,
        limit: int,
        *,
        channel: Channel | None = None,
        reason: SuppressionReason | None = None,
        address: str | None = None,
    ) -> Sequence[StoredSuppression]:
        """Return the next `limit` suppressions behind `after`, oldest first, of those that are asked for."""
        async with self._database.connection() as connection:
            found = await connection.fetch(
                _statements.page_suppressions, workspace_id, after or _BEFORE_ALL, limit, channel, reason, address
            )
        return [_stored(row) for row in found]

    async def delete(self, workspace_id: UUID, suppression_id: UUID) -> None:
        """Let an address be messaged again as far as this reason goes. Raises NotThere."""
        async with self._database.connection() as connection:
            if await connection.fetchval(_statements.delete_suppression, workspace_id, suppression_id) is None:
                raise NotThere("suppression")


def normalised_address(channel: Channel, text: str, default_country: str | None) -> str:
    """Return an address in the form in which it is stored. Raises InvalidDefinition when it is none."""
    phone = None if channel is Channel.EMAIL else normalise_phone(text, default_country)
    address = normalise_email(text) if channel is Channel.EMAIL else phone.e164 if phone else None
    if address is None:
        raise InvalidDefinition([Fault("address", f"is not a valid address for {channel}")])
    return address


def _stored(row: Row) -> StoredSuppression:
    return StoredSuppression(
        row["id"],
        Channel(row["channel"]),
        row["address"],
        SuppressionReason(row["reason"]),
        row["detail"],
        row["created_at"],
    )
