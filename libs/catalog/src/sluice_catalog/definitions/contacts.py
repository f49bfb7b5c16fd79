"""Contacts: written singly and in bulk, always with their tags' index in the same transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import asyncpg

from sluice_catalog import rows
from sluice_catalog.definitions.bulk import Bulk, StoredContact, Upserted
from sluice_catalog.definitions.contact import ContactFields, NewContact, merged, normalised
from sluice_catalog.definitions.problems import InvalidDefinition, NotThere, OutdatedRevision, TakenKey
from sluice_catalog.definitions.shelf import as_id
from sluice_catalog.erasures import Erasures
from sluice_catalog.models import Contact
from sluice_catalog.rows import Row
from sluice_runtime.clock import Clock
from sluice_runtime.secrets import SecretBox
from sluice_storage import statements
from sluice_storage.database import Connection, Database, encode_json

_NOUN: Final = "contact"
_BEFORE_ALL: Final = UUID(int=0)
_ATTEMPTS: Final = 20
_PLAIN_COLUMNS: Final = (
    "id",
    "external_id",
    "status",
    "email",
    "phone_number",
    "country",
    "locale",
    "timezone",
    "name",
    "first_name",
    "last_name",
)
_statements = statements.load("sluice_catalog", "contacts.sql")


class Contacts:
    """The contacts of all workspaces."""

    def __init__(self, database: Database, clock: Clock, secret_box: SecretBox) -> None:
        self._database = database
        self._clock = clock
        self._erasures = Erasures(database, secret_box)

    async def upsert(self, workspace_id: UUID, given: Sequence[NewContact]) -> list[Upserted | InvalidDefinition]:
        """Create contacts, or change those whose external id is there already; one result each, in order.

        One that is invalid fails alone. Where an external id comes twice, the later is merged into the earlier.
        """
        bulk = Bulk(workspace_id, given)
        for _ in range(_ATTEMPTS):
            await self._attempt(bulk)
            if not bulk.open:
                break
        return bulk.results()

    async def get(self, workspace_id: UUID, reference: str, *, external: bool = False) -> StoredContact:
        """Return the contact that a workspace knows by our id or (with `external`: only) by its own.

        Raises NotThere.
        """
        async with self._database.transaction() as connection:
            return await self._find(connection, workspace_id, reference, external=external)

    async def page(
        self,
        workspace_id: UUID,
        after: UUID | None,
        limit: int,
        *,
        having: tuple[Literal["tag", "email", "phone_number"], str] | None = None,
    ) -> list[StoredContact]:
        """Return the next `limit` contacts behind `after`, oldest first; with `having`, those that have this value."""
        statement = _statements.page if having is None else getattr(_statements, f"page_with_{having[0]}")
        values = () if having is None else (having[1],)
        async with self._database.connection() as connection:
            found = await connection.fetch(statement, workspace_id, after or _BEFORE_ALL, limit, *values)
        return [_stored(row) for row in found]

    async def change(
        self,
        workspace_id: UUID,
        reference: str,
        revision: int | None,
        fields: ContactFields,
        *,
        external: bool = False,
    ) -> StoredContact:
        """Change the fields that `fields` sets.

        Raises NotThere, OutdatedRevision, TakenKey, or InvalidDefinition.
        """
        async with self._database.transaction() as connection:
            country = await connection.fetchval(_statements.default_country, workspace_id)
            given = normalised(fields, country)
            external_id = given.get("external_id")
            if "external_id" in given and external_id is None:
                del given["external_id"]
            current = await self._checked(connection, workspace_id, reference, revision, external=external)
            if external_id is not None and external_id != current.contact.external_id:
                await self._rename(connection, current.contact, external_id)
            return await self._save_one(connection, merged(current.contact, given), current.revision)

    async def rework(
        self,
        workspace_id: UUID,
        reference: str,
        revision: int | None,
        rework: Callable[[Contact], Contact],
        *,
        external: bool = False,
    ) -> StoredContact:
        """Replace a contact's tags, preferences and the like by what `rework` makes of it.

        Raises NotThere, OutdatedRevision, and what `rework` raises.
        """
        async with self._database.transaction() as connection:
            current = await self._checked(connection, workspace_id, reference, revision, external=external)
            return await self._save_one(connection, rework(current.contact), current.revision)

    async def delete(
        self,
        workspace_id: UUID,
        reference: str,
        revision: int | None = None,
        *,
        external: bool = False,
        erase: bool = False,
    ) -> UUID:
        """Take a contact away and return its id. With `erase` it is noted, so that others drop what they know of it.

        What was sent to it stays counted, and its addresses stay suppressed where they are. Raises NotThere or
        OutdatedRevision.
        """
        async with self._database.transaction() as connection:
            current = await self._checked(connection, workspace_id, reference, revision, external=external)
            contact = current.contact
            await self._index_tags(connection, workspace_id, [(contact.id, (), contact.tags)])
            await connection.execute(_statements.leave_lists, contact.id)
            await connection.execute(_statements.delete, workspace_id, contact.id)
            if erase:
                await self._erasures.note(connection, contact, self._clock.now())
        return contact.id

    async def _find(
        self, connection: Connection, workspace_id: UUID, reference: str, *, external: bool
    ) -> StoredContact:
        own_id = None if external else as_id(reference)
        row = await connection.fetchrow(_statements.find, workspace_id, own_id, reference)
        if row is None:
            raise NotThere(_NOUN)
        return _stored(row)

    async def _checked(
        self, connection: Connection, workspace_id: UUID, reference: str, revision: int | None, *, external: bool
    ) -> StoredContact:
        current = await self._find(connection, workspace_id, reference, external=external)
        if revision is not None and revision != current.revision:
            raise OutdatedRevision(current.revision)
        return current

    async def _rename(self, connection: Connection, contact: Contact, external_id: str) -> None:
        try:
            await connection.execute(_statements.rename, contact.workspace_id, contact.id, external_id)
        except asyncpg.UniqueViolationError as error:
            raise TakenKey(_NOUN, "external_id") from error

    async def _save_one(self, connection: Connection, contact: Contact, revision: int) -> StoredContact:
        saved = await self._save(connection, contact.workspace_id, [(contact, revision)], self._clock.now())
        return saved[contact.external_id].stored

    async def _attempt(self, bulk: Bulk) -> None:
        """Read, merge, and write what has not changed in between; what has stays open for another attempt."""
        now = self._clock.now()
        async with self._database.transaction() as connection:
            country = await connection.fetchval(_statements.default_country, bulk.workspace_id)
            known = await connection.fetch(_statements.by_external_id, bulk.workspace_id, sorted(bulk.open))
            changed = bulk.merge({row["external_id"]: _stored(row) for row in known}, country, now)
            bulk.take(await self._save(connection, bulk.workspace_id, changed, now))

    async def _save(
        self, connection: Connection, workspace_id: UUID, contacts: Sequence[tuple[Contact, int]], now: datetime
    ) -> Mapping[str, Upserted]:
        """Write contacts whose revision still is the one that comes with each; return those, by external id."""
        if not contacts:
            return {}
        ordered = sorted(contacts, key=lambda one: one[0].external_id)
        found = await connection.fetch(_statements.save, workspace_id, now, *_save_columns(ordered))
        await self._index_tags(
            connection, workspace_id, [(row["id"], row["tags"], row["former_tags"] or ()) for row in found]
        )
        return {row["external_id"]: Upserted(_stored(row), row["created"]) for row in found}

    async def _index_tags(
        self, connection: Connection, workspace_id: UUID, moves: Sequence[tuple[UUID, Sequence[str], Sequence[str]]]
    ) -> None:
        for statement, pairs in (
            (_statements.add_tags, [(tag, id_) for id_, now, before in moves for tag in set(now) - set(before)]),
            (_statements.drop_tags, [(tag, id_) for id_, now, before in moves for tag in set(before) - set(now)]),
        ):
            if pairs:
                tags, ids = zip(*pairs, strict=True)
                await connection.execute(statement, workspace_id, tags, ids)


def _save_columns(contacts: Sequence[tuple[Contact, int]]) -> list[list[Any]]:
    json = ("tags", "attributes", "opt_outs")
    return [
        *([getattr(contact, name) for contact, _ in contacts] for name in _PLAIN_COLUMNS),
        *([encode_json(getattr(contact, name)) for contact, _ in contacts] for name in json),
        [revision for _, revision in contacts],
    ]


def _stored(row: Row) -> StoredContact:
    return StoredContact(rows.contact(row), row["revision"], row["created_at"], row["updated_at"])
