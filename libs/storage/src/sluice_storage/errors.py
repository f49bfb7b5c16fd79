"""Which database errors pass by themselves."""

from __future__ import annotations

from typing import Final

import asyncpg
from asyncpg import exceptions

_TRANSIENT: Final = (
    OSError,  # connection refused or reset, no route, name not resolved; TimeoutError is one too
    exceptions.PostgresConnectionError,
    exceptions.TransactionRollbackError,  # deadlock, serialisation
    exceptions.InsufficientResourcesError,  # too many connections, disk full, out of memory
    exceptions.OperatorInterventionError,  # shutting down, starting up, cancelled by a timeout
    exceptions.LockNotAvailableError,
    exceptions.IdleInTransactionSessionTimeoutError,
    exceptions.TransactionTimeoutError,
    exceptions.InvalidCachedStatementError,  # a migration ran; the statement is prepared anew on the next call
    exceptions.ReadOnlySQLTransactionError,  # a standby that has not taken over yet
    exceptions.PostgresSystemError,
    asyncpg.InternalClientError,
)


def is_transient(error: BaseException) -> bool:
    """Whether the same work may well succeed when it is tried again later: nothing is wrong with the work itself."""
    if isinstance(error, asyncpg.InterfaceError):
        # asyncpg says with one class both that it was misused and that the connection was lost under its user.
        return any(
            sign in str(error)
            for sign in ("connection is closed", "was closed", "released back to the pool", "pool is closing")
        )
    return isinstance(error, _TRANSIENT)
