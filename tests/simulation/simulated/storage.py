"""PostgreSQL as far as the services can tell: rows that are committed together, row locks, READ COMMITTED.

A statement is a function over a transaction. One that needs a row which another transaction has locked waits until that
one is over and then runs again from its beginning. Where two would wait for each other for ever, the later one fails.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

Row = dict[str, Any]
Key = Hashable
Place = tuple[str, Key]

INFINITY: Final = datetime.max.replace(tzinfo=UTC)
LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)
_NOTHING: Final[dict[Key, Row | None]] = {}


class LockedError(Exception):
    """A row is locked by `holder`."""

    def __init__(self, holder: Transaction) -> None:
        super().__init__()
        self.holder = holder


class Store:
    """The tables of one schema."""

    def __init__(self, name: str, clock: Callable[[], datetime]) -> None:
        self.name = name
        self.now = clock
        self.on_commit: Callable[[Mapping[str, Mapping[Key, Row | None]]], None] = lambda written: None
        self._tables: dict[str, dict[Key, Row]] = {}
        self.owners: dict[Place, Transaction] = {}
        self.sharers: dict[Place, list[Transaction]] = {}
        self._sequences: dict[str, int] = {}
        self._transactions = 0

    def begin(self) -> Transaction:
        """Return a new transaction."""
        self._transactions += 1
        return Transaction(self, self._transactions)

    def table(self, name: str) -> dict[Key, Row]:
        """Return what is committed."""
        return self._tables.setdefault(name, {})

    def next_number(self, sequence: str) -> int:
        """Return the next number; as in PostgreSQL, what is rolled back is not given out again."""
        self._sequences[sequence] = self._sequences.get(sequence, 0) + 1
        return self._sequences[sequence]


class Transaction:
    """What one transaction sees, has locked and will write."""

    def __init__(self, store: Store, number: int) -> None:
        self.store = store
        self.number = number
        self.is_over = False
        self.waiting_for: Transaction | None = None
        self.waiters: list[Callable[[], None]] = []
        self._written: dict[str, dict[Key, Row | None]] = {}
        self._locks: list[Place] = []
        self._shares: list[Place] = []

    @property
    def now(self) -> datetime:
        """The database's own clock."""
        return self.store.now()

    def get(self, table: str, key: Key) -> Row | None:
        """Return a row as this transaction sees it."""
        written = self._written.get(table, _NOTHING)
        return written[key] if key in written else self.store.table(table).get(key)

    def rows(self, table: str) -> Iterator[tuple[Any, Row]]:
        """Yield every row that this transaction sees, with its key."""
        written = self._written.get(table)
        if not written:
            yield from self.store.table(table).items()
            return
        for key, row in self.store.table(table).items():
            if key not in written:
                yield key, row
        for key, own in list(written.items()):
            if own is not None:
                yield key, own

    def lock(self, table: str, key: Key) -> None:
        """Keep a row (or the place of one) to this transaction. Raises LockedError where another has it."""
        place = (table, key)
        owners, sharers = self.store.owners, self.store.sharers
        holder = owners.get(place)
        if holder is self:
            return
        if holder is None and sharers:
            holder = self._holder(place)
        if holder is not None:
            raise LockedError(holder)
        owners[place] = self
        self._locks.append(place)

    def share(self, table: str, key: Key) -> None:
        """Keep others from changing a row. Raises LockedError where another may be doing so."""
        owner = self.store.owners.get((table, key))
        if owner is not None and owner is not self:
            raise LockedError(owner)
        sharers = self.store.sharers.setdefault((table, key), [])
        if self not in sharers:
            sharers.append(self)
            self._shares.append((table, key))

    def can_lock(self, table: str, key: Key) -> bool:
        """Whether `lock` would not have to wait."""
        return self._holder((table, key)) is None

    def put(self, table: str, key: Key, row: Row) -> None:
        """Write a row."""
        self.lock(table, key)
        self._written.setdefault(table, {})[key] = row

    def change(self, table: str, key: Key, **values: Any) -> Row:
        """Write some columns of a row that is there; return the whole row."""
        self.lock(table, key)
        row = {**(self.get(table, key) or {}), **values}
        self._written.setdefault(table, {})[key] = row
        return row

    def delete(self, table: str, key: Key) -> None:
        """Remove a row."""
        self.lock(table, key)
        self._written.setdefault(table, {})[key] = None

    def savepoint(self) -> dict[str, dict[Key, Row | None]]:
        """Return what has been written up to now."""
        return {table: dict(rows) for table, rows in self._written.items()}

    def roll_back_to(self, savepoint: dict[str, dict[Key, Row | None]]) -> None:
        """Forget what was written since; locks stay, as in PostgreSQL."""
        self._written = savepoint

    def would_wait_for_itself(self, holder: Transaction) -> bool:
        """Whether waiting for `holder` would close a circle."""
        step: Transaction | None = holder
        while step is not None:
            if step is self:
                return True
            step = step.waiting_for
        return False

    def commit(self) -> None:
        """Make everything written visible to all."""
        self.store.on_commit(self._written)
        for table, rows in self._written.items():
            committed = self.store.table(table)
            for key, row in rows.items():
                if row is None:
                    committed.pop(key, None)
                else:
                    committed[key] = row
        self.close()

    def close(self) -> None:
        """Let go of every lock; without a commit before, nothing was written."""
        self.is_over = True
        self._written = {}
        for place in self._locks:
            del self.store.owners[place]
        for place in self._shares:
            self.store.sharers[place].remove(self)
        self._locks, self._shares = [], []
        waiters, self.waiters = self.waiters, []
        for waiter in waiters:
            waiter()

    def _holder(self, place: Place) -> Transaction | None:
        owner = self.store.owners.get(place)
        if owner is not None and owner is not self:
            return owner
        sharers = self.store.sharers
        return next((one for one in sharers.get(place, ()) if one is not self), None) if sharers else None
