"""Lists: contacts put together by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sluice_catalog.definitions.shelf import Shelf, Stored, queries
from sluice_catalog.definitions.words import Definition, Name, NameAsKey
from sluice_catalog.rows import Row
from sluice_storage.database import Connection

_BEFORE_ALL = UUID(int=0)


class ContactList(Definition):
    """A list by its name; members are added in bulk."""

    key: NameAsKey | None = None
    name: Name


@dataclass(frozen=True, slots=True)
class Member:
    """A contact on a list, by our id and by the caller's."""

    id: UUID
    external_id: str


@dataclass(frozen=True, slots=True)
class MembershipChange:
    """How many contacts were put on or taken off, and which external ids belong to no contact."""

    changed: int
    unknown: tuple[str, ...]


class Lists(Shelf[ContactList]):
    """The lists of all workspaces, with their members."""

    table = "lists"
    noun = "list"

    async def members(self, workspace_id: UUID, reference: str, after: UUID | None, limit: int) -> Sequence[Member]:
        """Return the next `limit` members behind the contact `after`. Raises NotThere."""
        async with self._database.connection() as connection:
            stored = await self._find(connection, workspace_id, reference)
            found = await connection.fetch(
                queries.members_of_list, workspace_id, stored.id, after or _BEFORE_ALL, limit
            )
        return [Member(row["id"], row["external_id"]) for row in found]

    async def add(self, workspace_id: UUID, reference: str, external_ids: Sequence[str]) -> MembershipChange:
        """Put contacts on a list; those on it already stay. Raises NotThere."""
        return await self._change_members(queries.add_members, workspace_id, reference, external_ids, self._clock.now())

    async def remove(self, workspace_id: UUID, reference: str, external_ids: Sequence[str]) -> MembershipChange:
        """Take contacts off a list. Raises NotThere."""
        return await self._change_members(queries.remove_members, workspace_id, reference, external_ids)

    async def _change_members(
        self, statement: str, workspace_id: UUID, reference: str, external_ids: Sequence[str], *more: Any
    ) -> MembershipChange:
        wanted = list(dict.fromkeys(external_ids))
        async with self._database.transaction() as connection:
            stored = await self._find(connection, workspace_id, reference)
            changed = await connection.fetch(statement, workspace_id, stored.id, wanted, *more)
            known = {
                row["external_id"] for row in await connection.fetch(queries.known_external_ids, workspace_id, wanted)
            }
        return MembershipChange(len(changed), tuple(external_id for external_id in wanted if external_id not in known))

    def _read(self, row: Row) -> tuple[ContactList, dict[str, Any]]:
        return ContactList.model_construct(key=row["key"], name=row["name"]), {}

    async def _columns(
        self, connection: Connection, workspace_id: UUID, content: ContactList, current: Stored[ContactList] | None
    ) -> tuple[Any, ...]:
        return content.key or content.name, content.name
