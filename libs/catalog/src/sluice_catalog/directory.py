"""People and lists in pages, as the doors of other products show them: up or down from a place, or from a number on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sluice_catalog import rows
from sluice_catalog.definitions.bulk import StoredContact
from sluice_catalog.rows import Row
from sluice_storage import statements
from sluice_storage.database import Database

MOST_COUNTED: Final = 50_000
"""Where counting stops: nobody reads further, and the rest would cost."""

_FIRST: Final = UUID(int=0)
_LAST: Final = UUID(int=(1 << 128) - 1)
_sql = statements.load("sluice_catalog", "directory.sql")


@dataclass(frozen=True, slots=True)
class PeopleFilter:
    """Whom to show: by the caller's own id, by parts of what is known of them; None shows all."""

    external_id: str | None = None
    email: str | None = None
    phone_number: str | None = None
    name: str | None = None

    def arguments(self) -> tuple[str | None, ...]:
        """Return the parameters of the statements."""
        return self.external_id, _pattern(self.email), _pattern(self.phone_number), _pattern(self.name)


@dataclass(frozen=True, slots=True)
class Span:
    """Where a page lies: behind `after` in the order of ids, ascending or descending; None begins at the first."""

    after: UUID | None
    limit: int
    ascending: bool


@dataclass(frozen=True, slots=True)
class ListRecord:
    """A list without its members."""

    id: UUID
    key: str
    name: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Membership:
    """One contact on one list, since `added_at`."""

    topic: ListRecord
    contact_id: UUID
    external_id: str
    first_name: str | None
    last_name: str | None
    email: str | None
    avatar: str | None
    added_at: datetime


@dataclass(frozen=True, slots=True)
class TenantRecord:
    """A customer of a workspace."""

    id: UUID
    key: str
    name: str | None
    data: dict[str, Any]
    created_at: datetime
    updated_at: datetime


class Directory:
    """Reads over the catalog's database, always for one workspace."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def people(self, workspace_id: UUID, wanted: PeopleFilter, span: Span) -> list[StoredContact]:
        """Return a page of contacts in the order that `span` asks for."""
        statement = _sql.contacts_up if span.ascending else _sql.contacts_down
        found = await self._fetch(statement, workspace_id, _start(span), span.limit, *wanted.arguments())
        return [_contact(row) for row in found]

    async def people_from(self, workspace_id: UUID, offset: int, limit: int) -> list[StoredContact]:
        """Return contacts from the `offset`th newest on."""
        return [_contact(row) for row in await self._fetch(_sql.contacts_from, workspace_id, offset, limit)]

    async def count_people(self, workspace_id: UUID, wanted: PeopleFilter) -> int:
        """Return how many contacts there are, at most one more than `MOST_COUNTED`."""
        return await self._count(_sql.count_contacts, workspace_id, MOST_COUNTED + 1, *wanted.arguments())

    async def lists(self, workspace_id: UUID, key: str | None, name: str | None, span: Span) -> list[ListRecord]:
        """Return a page of lists whose key and name hold these texts."""
        statement = _sql.lists_up if span.ascending else _sql.lists_down
        found = await self._fetch(statement, workspace_id, _start(span), span.limit, _pattern(key), _pattern(name))
        return [_list(row) for row in found]

    async def lists_from(self, workspace_id: UUID, key: str | None, offset: int, limit: int) -> list[ListRecord]:
        """Return lists from the `offset`th newest on, perhaps only the one with this key."""
        found = await self._fetch(_sql.lists_from, workspace_id, offset, limit, key)
        return [_list(row) for row in found]

    async def count_lists(self, workspace_id: UUID, key: str | None, name: str | None) -> int:
        """Return how many there are, at most one more than `MOST_COUNTED`."""
        return await self._count(_sql.count_lists, workspace_id, MOST_COUNTED + 1, _pattern(key), _pattern(name))

    async def members(
        self, workspace_id: UUID, list_id: UUID, external_ids: Sequence[str] | None, after: UUID | None, limit: int
    ) -> list[Membership]:
        """Return a page of a list's members, in the order of contact ids, perhaps only some people."""
        wanted = None if external_ids is None else list(external_ids)
        found = await self._fetch(_sql.memberships_of_list, workspace_id, after or _FIRST, limit, list_id, wanted)
        return [_membership(row) for row in found]

    async def count_members(self, list_id: UUID) -> int:
        """Return how many members a list has, at most one more than `MOST_COUNTED`."""
        return await self._count(_sql.count_memberships_of_list, list_id, MOST_COUNTED + 1)

    async def memberships(
        self, workspace_id: UUID, contact_id: UUID, key: str | None, after: UUID | None, limit: int
    ) -> list[Membership]:
        """Return a page of the lists that a contact is on, in the order of list ids, perhaps only the list `key`."""
        found = await self._fetch(_sql.memberships_of_contact, workspace_id, after or _FIRST, limit, contact_id, key)
        return [_membership(row) for row in found]

    async def tenants_from(self, workspace_id: UUID, offset: int, limit: int) -> list[TenantRecord]:
        """Return tenants from the `offset`th newest on."""
        found = await self._fetch(_sql.tenants_from, workspace_id, offset, limit)
        names = ("id", "key", "name", "data", "created_at", "updated_at")
        return [TenantRecord(**{name: row[name] for name in names}) for row in found]

    async def _fetch(self, statement: str, *arguments: object) -> Sequence[Row]:
        async with self._database.connection() as connection:
            return await connection.fetch(statement, *arguments)

    async def _count(self, statement: str, *arguments: object) -> int:
        async with self._database.connection() as connection:
            return int(await connection.fetchval(statement, *arguments))


def _start(span: Span) -> UUID:
    return span.after or (_FIRST if span.ascending else _LAST)


def _pattern(text: str | None) -> str | None:
    if text is None:
        return None
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def _contact(row: Row) -> StoredContact:
    return StoredContact(rows.contact(row), row["revision"], row["created_at"], row["updated_at"])


def _list(row: Row) -> ListRecord:
    return ListRecord(row["id"], row["key"], row["name"], row["created_at"], row["updated_at"])


def _membership(row: Row) -> Membership:
    return Membership(
        topic=ListRecord(row["list_id"], row["key"], row["list_name"], row["list_created_at"], row["list_updated_at"]),
        contact_id=row["contact_id"],
        external_id=row["external_id"],
        first_name=row["first_name"],
        last_name=row["last_name"],
        email=row["email"],
        avatar=row["avatar"],
        added_at=row["added_at"],
    )
