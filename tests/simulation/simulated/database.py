"""The database as one process reaches it: `sluice_storage.database.Database` over a `storage.Store`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self, TypeVar

import asyncpg

from simulated.storage import LockedError, Row, Store, Transaction
from simulated.twins import Twin
from simulated.world import OFTEN, Machine, World

T = TypeVar("T")

Twins = dict[str, tuple[str, Twin]]


@dataclass(frozen=True)
class Asked:
    """A statement that was carried out, to be played to a real database. No SQL: `name` says how it ended."""

    schema: str
    transaction: int
    name: str
    sql: str | None
    many: bool
    arguments: Sequence[Sequence[Any]]
    rows: Sequence[Row]
    at: datetime


class Server:
    """One schema, its twins, and, where asked for, everything that it was asked."""

    def __init__(self, world: World, schema: str, twins: Twins, trace: list[Asked] | None = None) -> None:
        self.world = world
        self.store = Store(schema, world.loop.now)
        self.twins = twins
        self.on_commit: Callable[[str, Sequence[Any]], None] = lambda name, arguments: None
        self._trace = trace

    def ask(self, tx: Transaction, sql: str, arguments: Sequence[Sequence[Any]], *, many: bool) -> list[Row]:
        """Carry out one statement in a transaction. Raises LockedError while it has to wait."""
        name, twin = self.twins[sql]
        before = tx.savepoint()
        try:
            rows = [row for each in arguments for row in twin(tx, *each)]
        except LockedError as locked:
            tx.roll_back_to(before)
            if tx.would_wait_for_itself(locked.holder):
                self.world.note("deadlock", name)
                self.end(tx, "deadlock")
                raise asyncpg.DeadlockDetectedError("deadlock detected") from None
            tx.waiting_for = locked.holder
            raise
        tx.waiting_for = None
        if self._trace is not None:
            self._trace.append(Asked(self.store.name, tx.number, name, sql, many, arguments, rows, tx.now))
        for each in arguments:
            self.on_commit(name, each)
        return rows

    def end(self, tx: Transaction, how: str) -> None:
        """Commit a transaction or roll it back."""
        if tx.is_over:
            return
        if self._trace is not None:
            self._trace.append(Asked(self.store.name, tx.number, how, None, False, (), (), tx.now))
        if how == "commit":
            tx.commit()
        else:
            tx.close()

    def forget_trace(self) -> None:
        """Note nothing any more."""
        self._trace = None


class SimulatedDatabase:
    """The pool of one process; as large as it needs."""

    def __init__(self, world: World, machine: Machine, server: Server) -> None:
        self._world = world
        self._machine = machine
        self._server = server
        self._open: list[Transaction] = []
        machine.dies.append(self._roll_everything_back)

    def connection(self) -> SimulatedConnection:
        return SimulatedConnection(self._world, self._machine, self._server, self._open)

    def transaction(self) -> SimulatedTransaction:
        return self.connection().transaction()

    async def in_transaction(self, work: Callable[[SimulatedConnection], Awaitable[T]]) -> T:
        async with self.transaction() as connection:
            return await work(connection)

    async def healthy(self) -> bool:
        return True

    def _roll_everything_back(self) -> None:
        for tx in self._open:
            self._server.end(tx, "rollback")
        self._open.clear()


class SimulatedConnection:
    """One connection. A broken one stays broken, and what it had not committed is rolled back."""

    def __init__(self, world: World, machine: Machine, server: Server, opened: list[Transaction]) -> None:
        self._world = world
        self._machine = machine
        self._server = server
        self._open = opened
        self._tx: Transaction | None = None
        self._is_broken = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def fetch(self, sql: str, *arguments: Any) -> list[Row]:
        return await self._ask(sql, [arguments])

    async def fetchrow(self, sql: str, *arguments: Any) -> Row | None:
        rows = await self._ask(sql, [arguments])
        return rows[0] if rows else None

    async def fetchval(self, sql: str, *arguments: Any) -> Any:
        row = await self.fetchrow(sql, *arguments)
        return None if row is None else next(iter(row.values()))

    async def execute(self, sql: str, *arguments: Any) -> str:
        """Return what a server says at the end, without the number of rows."""
        await self._ask(sql, [arguments])
        return "DONE 0"

    async def executemany(self, sql: str, arguments: Iterable[Sequence[Any]]) -> None:
        await self._ask(sql, list(arguments), many=True)

    def transaction(self) -> SimulatedTransaction:
        return SimulatedTransaction(self)

    def begin(self) -> None:
        """Let what is asked from now on be one transaction."""
        self._tx = self._begin()

    async def commit(self) -> None:
        """End it, and keep what it wrote. Raises what a commit may raise, and then it is open still."""
        tx = self._tx
        assert tx is not None
        await self._remote("commit", lambda: self._end(tx, "commit"))
        self._tx = None

    def roll_back(self) -> None:
        """End it, and forget what it wrote."""
        assert self._tx is not None
        self._end(self._tx, "rollback")
        self._tx = None

    async def _ask(self, sql: str, arguments: Sequence[Sequence[Any]], *, many: bool = False) -> list[Row]:
        explicit = self._tx
        own: list[Transaction] = []

        def action() -> list[Row]:
            if explicit is None and not own:
                own.append(self._begin())
            tx = explicit or own[0]
            if tx.is_over:
                raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
            rows = self._server.ask(tx, sql, arguments, many=many)
            if explicit is None:
                self._end(tx, "commit")
            return rows

        return await self._remote(self._server.twins[sql][0], action)

    async def _remote(self, label: str, action: Callable[[], T]) -> T:
        if self._is_broken:
            raise asyncpg.InterfaceError("connection is closed")
        if self._world.chance(self._world.weather.lost_statements):
            action = self._lost(label, action, arrives=self._world.fate.random() >= 0.5)
        return await self._world.remote(self._machine, "poll" if label in OFTEN else "sql", label, action)

    def _lost(self, label: str, action: Callable[[], T], *, arrives: bool) -> Callable[[], T]:
        """Return what becomes of a statement whose answer, or which itself, is lost with the connection."""

        def carried_out() -> T:
            if arrives:
                action()
            raise self._break(label)

        return carried_out

    def _break(self, label: str) -> Exception:
        self._is_broken = True
        self._world.on_loss(self._machine, label)
        if self._tx is not None:
            self._end(self._tx, "rollback")
        return asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")

    def _begin(self) -> Transaction:
        tx = self._server.store.begin()
        self._open.append(tx)
        return tx

    def _end(self, tx: Transaction, how: str) -> None:
        self._server.end(tx, how)
        if tx in self._open:
            self._open.remove(tx)


class SimulatedTransaction:
    """A block that is one transaction on a connection, which it gives."""

    def __init__(self, connection: SimulatedConnection) -> None:
        self._connection = connection

    async def __aenter__(self) -> SimulatedConnection:
        self._connection.begin()
        return self._connection

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            self._connection.roll_back()
            return
        try:
            await self._connection.commit()
        except BaseException:
            self._connection.roll_back()
            raise
