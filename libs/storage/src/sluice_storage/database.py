"""A pool of PostgreSQL connections, each set up the same way."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, Literal, Self, TypeAlias, TypeVar

import asyncpg
import orjson
import structlog
from asyncpg.pool import PoolConnectionProxy
from pydantic_core import from_json

from sluice_storage.errors import is_transient

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"
"""A connection by itself, or one borrowed from the pool."""

COMMAND_SECONDS: Final = 30.0
ACQUIRE_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 5.0
_FIRST_WAIT_SECONDS: Final = 0.2
_LONGEST_WAIT_SECONDS: Final = 5.0

Plans = Literal["automatic", "custom", "by_key"]

_PLANNING: Final[Mapping[Plans, Mapping[str, str]]] = {
    "automatic": {},
    "custom": {"plan_cache_mode": "force_custom_plan"},
    # To plan such a statement costs more than to run it, and with these off there is one good plan at any size.
    "by_key": {
        "plan_cache_mode": "force_generic_plan",
        "enable_seqscan": "off",
        "enable_hashjoin": "off",
        "enable_mergejoin": "off",
    },
}

T = TypeVar("T")

_log = structlog.get_logger()


class Database:
    """The connections of one service to one schema. Borrow once for a unit of work; never borrow a second meanwhile."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool
        self._at_hand: list[PoolConnectionProxy[asyncpg.Record]] = []
        self._awaited = 0
        self._closing = False

    @classmethod
    async def open(
        cls,
        dsn: str,
        schema: str,
        *,
        application_name: str,
        min_size: int = 1,
        max_size: int = 8,
        wait: bool = False,
        plans: Plans = "automatic",
        command_seconds: float = COMMAND_SECONDS,
    ) -> Self:
        """Open a pool of `min_size` to `max_size` connections whose `search_path` is `schema`.

        With `wait` it is tried again until Postgres is there; without it, the error of the first try is raised. With
        `min_size=0` nothing is connected yet, and the first unit of work meets whatever is wrong. A statement may run
        for `command_seconds`. `plans` says how the server plans statements: "custom" anew for the values of each call;
        "by_key" once, for a schema whose every statement finds its rows through an index. Left to itself
        ("automatic") it keeps a plan that may have been made while the tables were empty.
        """
        milliseconds = str(int(command_seconds * 1000))
        settings = {
            "application_name": application_name,
            "search_path": schema,
            "statement_timeout": milliseconds,
            "idle_in_transaction_session_timeout": milliseconds,
            "jit": "off",
            **_PLANNING[plans],
        }
        waits = 0
        while True:
            try:
                pool = await asyncpg.create_pool(
                    dsn,
                    min_size=min_size,
                    max_size=max_size,
                    timeout=ACQUIRE_SECONDS,
                    command_timeout=command_seconds + 1,
                    server_settings=settings,
                    init=_set_up,
                    reset=_keep_as_it_is,
                )
            except Exception as error:
                if not wait or not is_transient(error):
                    raise
                _log.warning("database.awaited", schema=schema, error=type(error).__name__)
                await asyncio.sleep(_pause(waits))
                waits += 1
            else:
                return cls(pool)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Borrow a connection for a unit of work; each statement commits by itself.

        Raises TimeoutError when none comes free within ten seconds.
        """
        connection = await self._take()
        try:
            yield connection
        except BaseException:
            await self._pool.release(connection)
            raise
        await self._put_back(connection)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Borrow a connection inside a transaction, which commits at the end and rolls back on an exception."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    async def in_transaction(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Return what `work` returns inside a transaction.

        Where a migration has changed a table under a cached statement, `work` is called once more in a new transaction:
        inside one, a driver cannot do that by itself.
        """
        try:
            async with self.transaction() as connection:
                return await work(connection)
        except asyncpg.InvalidCachedStatementError:
            async with self.transaction() as connection:
                return await work(connection)

    async def healthy(self, seconds: float = 1.0) -> bool:
        """Whether the database answers within `seconds`. Never raises."""
        try:
            async with asyncio.timeout(seconds), self.connection() as connection:
                await connection.fetchval("SELECT 1")
        except Exception as error:  # noqa: BLE001 - whatever it is, the answer is no
            _log.debug("database.unhealthy", error=type(error).__name__)
            return False
        return True

    async def close(self) -> None:
        """Close every connection, after at most five seconds also those still borrowed. Idempotent."""
        try:
            self._closing = True
            async with asyncio.timeout(CLOSE_SECONDS):
                while self._at_hand:
                    await self._pool.release(self._at_hand.pop())
                await self._pool.close()
        except TimeoutError:
            _log.warning("database.close_timed_out", seconds=CLOSE_SECONDS)

    async def _take(self) -> PoolConnectionProxy[asyncpg.Record]:
        """Return a connection that lies at hand, or one of the pool's: to ask the pool costs as much as a statement."""
        while self._at_hand:
            connection = self._at_hand.pop()
            if _is_whole(connection):
                return connection
            await self._pool.release(connection)
        self._awaited += 1
        try:
            return await self._pool.acquire(timeout=ACQUIRE_SECONDS)
        finally:
            self._awaited -= 1

    async def _put_back(self, connection: PoolConnectionProxy[asyncpg.Record]) -> None:
        """Keep a connection at hand, unless somebody waits for one or it is not as it was."""
        if self._awaited or self._closing or not _is_whole(connection):
            await self._pool.release(connection)
        else:
            self._at_hand.append(connection)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()


def _is_whole(connection: PoolConnectionProxy[asyncpg.Record]) -> bool:
    try:
        return not (connection.is_closed() or connection.is_in_transaction())
    except asyncpg.InterfaceError:
        # The server has cut it, and the pool has taken it back by itself.
        return False


async def _set_up(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    for name in ("json", "jsonb"):
        await connection.set_type_codec(name, schema="pg_catalog", encoder=encode_json, decoder=from_json)


async def _keep_as_it_is(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Spare the round trip that resets a session: nothing of ours sets session state (asyncpg still rolls back)."""


def encode_json(value: Any) -> str:
    """Return the JSON text of `value` for a json or jsonb parameter, or an entry of a text[] that is cast to jsonb."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        # orjson knows no integers beyond 64 bits; PostgreSQL does.
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _pause(waits: int) -> float:
    longest = min(_LONGEST_WAIT_SECONDS, _FIRST_WAIT_SECONDS * 2 ** min(waits, 8))
    return random.uniform(_FIRST_WAIT_SECONDS, longest)
