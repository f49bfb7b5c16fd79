"""What all kinds of definitions have in common: an id and a key, revisions, pages, and word of every change.

A change is optimistic: it is worked out on what was read and written only if that is still the revision; a caller who
named a revision is told, one who did not has it worked out again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Final, Generic, TypeVar
from uuid import UUID

import asyncpg

from sluice_catalog.definitions.problems import NotThere, OutdatedRevision, TakenKey
from sluice_catalog.definitions.words import Definition
from sluice_catalog.rows import Row
from sluice_contracts.identifiers import new_id
from sluice_runtime.clock import Clock
from sluice_storage import statements
from sluice_storage.database import Connection, Database

ContentT = TypeVar("ContentT", bound=Definition)

_ATTEMPTS: Final = 5
_NOTIFY: Final = "SELECT pg_notify('catalog_changed', $1)"
_BEFORE_ALL: Final = UUID(int=0)
queries = statements.load("sluice_catalog", "definitions.sql")


@dataclass(frozen=True, slots=True)
class Stored(Generic[ContentT]):
    """A definition as it is kept. `facts` are what we add to what its author said (a published version, say)."""

    id: UUID
    workspace_id: UUID
    revision: int
    created_at: datetime
    updated_at: datetime
    content: ContentT
    facts: dict[str, Any] = field(default_factory=dict)


def as_id(reference: str) -> UUID | None:
    """Return our id where a reference is one."""
    try:
        return UUID(reference)
    except ValueError:
        return None


class Shelf(ABC, Generic[ContentT]):
    """One kind of definition. Subclasses say how rows are read and written, and what else has to hold."""

    table: ClassVar[str]
    """The table, whose name is also the notification's payload."""

    affects: ClassVar[tuple[str, ...]] = ()
    """Other tables that a write changes too."""

    noun: ClassVar[str]
    """What callers call one; statements are named after it."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def create(self, workspace_id: UUID, content: ContentT) -> Stored[ContentT]:
        """Write a new definition.

        Raises TakenKey, or InvalidDefinition when it does not fit what else there is.
        """
        now = self._clock.now()
        async with self._database.transaction() as connection:
            columns = await self._columns(connection, workspace_id, content, None)
            row = await self._write(connection, "insert", new_id(now.timestamp()), workspace_id, now, *columns)
            return await self._settle(connection, self._stored(row), now)

    async def get(self, workspace_id: UUID, reference: str) -> Stored[ContentT]:
        """Return the definition that a workspace knows by our id or by its own key.

        Raises NotThere.
        """
        async with self._database.connection() as connection:
            return await self._find(connection, workspace_id, reference)

    async def page(self, workspace_id: UUID, after: UUID | None, limit: int) -> Sequence[Stored[ContentT]]:
        """Return the next `limit` definitions behind `after`, oldest first."""
        async with self._database.connection() as connection:
            found = await connection.fetch(self._statement("page"), workspace_id, after or _BEFORE_ALL, limit)
        return [self._stored(row) for row in found]

    async def change(
        self,
        workspace_id: UUID,
        reference: str,
        revision: int | None,
        change: Callable[[ContentT], ContentT],
    ) -> Stored[ContentT]:
        """Replace a definition by what `change` makes of it, if its revision is `revision` (None: whatever it is).

        Raises NotThere, OutdatedRevision, TakenKey, InvalidDefinition, and what `change` raises.
        """
        for _ in range(_ATTEMPTS):
            now = self._clock.now()
            async with self._database.transaction() as connection:
                current = await self._find(connection, workspace_id, reference)
                if revision is not None and revision != current.revision:
                    raise OutdatedRevision(current.revision)
                columns = await self._columns(connection, workspace_id, change(current.content), current)
                row = await self._write(connection, "update", current.id, current.revision, now, *columns)
                if row is not None:
                    return await self._settle(connection, self._stored(row), now)
        raise OutdatedRevision(current.revision)

    async def put(self, workspace_id: UUID, reference: str, content: ContentT) -> tuple[Stored[ContentT], bool]:
        """Write a definition in the place of the one that is there, if any; say whether it is new.

        Raises TakenKey, InvalidDefinition, and OutdatedRevision where others go on changing it.
        """
        for _ in range(_ATTEMPTS):
            try:
                return await self.change(workspace_id, reference, None, lambda _: content), False
            except NotThere:
                pass
            try:
                return await self.create(workspace_id, content), True
            except TakenKey as problem:
                taken = problem
        raise taken

    async def delete(self, workspace_id: UUID, reference: str, revision: int | None = None) -> None:
        """Take a definition away. What is under way with it goes on with the version that it has.

        Raises NotThere or OutdatedRevision.
        """
        async with self._database.transaction() as connection:
            current = await self._find(connection, workspace_id, reference)
            if revision is not None and revision != current.revision:
                raise OutdatedRevision(current.revision)
            await connection.execute(self._statement("delete"), current.id, *self._deletion(self._clock.now()))
            await connection.execute(_NOTIFY, self.table)

    @abstractmethod
    def _read(self, row: Row) -> tuple[ContentT, dict[str, Any]]:
        """Return what the author said and what we add, from a row."""

    @abstractmethod
    async def _columns(
        self, connection: Connection, workspace_id: UUID, content: ContentT, current: Stored[ContentT] | None
    ) -> tuple[Any, ...]:
        """Return the parameters of the insert and update statements from the fourth on.

        Raises InvalidDefinition when `content` does not fit what else there is. `current` is what it replaces.
        """

    async def _settle(self, connection: Connection, stored: Stored[ContentT], now: datetime) -> Stored[ContentT]:
        """Write what hangs on a definition that was just written, and give word of it."""
        await connection.execute(_NOTIFY, self.table)
        return stored

    def _deletion(self, now: datetime) -> tuple[Any, ...]:
        """Return the parameters of the delete statement from the second on."""
        return ()

    def _statement(self, verb: str) -> str:
        statement: str = getattr(queries, f"{verb}_{self.noun.replace(' ', '_')}")
        return statement

    async def _find(self, connection: Connection, workspace_id: UUID, reference: str) -> Stored[ContentT]:
        row = await connection.fetchrow(self._statement("find"), workspace_id, as_id(reference), reference)
        if row is None:
            raise NotThere(self.noun)
        return self._stored(row)

    async def _write(self, connection: Connection, verb: str, *arguments: Any) -> Any:
        try:
            return await connection.fetchrow(self._statement(verb), *arguments)
        except asyncpg.UniqueViolationError as error:
            field_name = "name" if "name" in (error.constraint_name or "") else "key"
            raise TakenKey(self.noun, field_name) from error

    def _stored(self, row: Row) -> Stored[ContentT]:
        content, facts = self._read(row)
        return Stored(
            row["id"], row["workspace_id"], row["revision"], row["created_at"], row["updated_at"], content, facts
        )
