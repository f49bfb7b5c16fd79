from __future__ import annotations

import asyncpg
import pytest

from sluice_storage.errors import is_transient


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(),
        TimeoutError(),
        asyncpg.ConnectionDoesNotExistError("gone"),
        asyncpg.CannotConnectNowError("starting up"),
        asyncpg.AdminShutdownError("shutting down"),
        asyncpg.DeadlockDetectedError("deadlock"),
        asyncpg.SerializationError("conflict"),
        asyncpg.TooManyConnectionsError("full"),
        asyncpg.DiskFullError("full"),
        asyncpg.QueryCanceledError("statement timeout"),
        asyncpg.InvalidCachedStatementError("changed"),
        asyncpg.ReadOnlySQLTransactionError("standby"),
        asyncpg.InterfaceError("connection is closed"),
    ],
)
def test_what_passes_by_itself_is_transient(error: Exception) -> None:
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no"),
        asyncpg.UniqueViolationError("twice"),
        asyncpg.CharacterNotInRepertoireError("NUL"),
        asyncpg.UntranslatableCharacterError("NUL"),
        asyncpg.DataError("out of range"),
        asyncpg.PostgresSyntaxError("syntax"),
        asyncpg.UndefinedTableError("no table"),
        asyncpg.InsufficientPrivilegeError("no"),
        asyncpg.InvalidPasswordError("no"),
        asyncpg.InterfaceError("cannot perform operation: another operation is in progress"),
    ],
)
def test_what_will_fail_again_is_not(error: Exception) -> None:
    assert not is_transient(error)
