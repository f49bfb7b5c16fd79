"""The first workspace of an installation, ready to send: a key with every scope, and the sandbox on every channel."""

from __future__ import annotations

from uuid import UUID

from sluice_catalog.api_keys import ALL_SCOPES, NewSecret, new_secret
from sluice_contracts.identifiers import new_id
from sluice_contracts.vocabulary import Channel
from sluice_runtime.clock import Clock, SystemClock
from sluice_runtime.secrets import SecretBox
from sluice_storage import statements
from sluice_storage.database import Database

_statements = statements.load("sluice_catalog", "bootstrap.sql")


async def ensure_workspace(
    database: Database,
    secret_box: SecretBox,
    name: str,
    *,
    clock: Clock | None = None,
    secret: str | None = None,
) -> tuple[UUID, str | None]:
    """Return the workspace called `name` and, only where it was made just now, the secret of its first API key.

    `secret` gives that key a secret of the caller's choice instead of a random one. Callers at the same time make one
    workspace together. The sandbox has no secrets, so nothing is sealed with `secret_box` yet.
    """
    now = (clock or SystemClock()).now()
    seconds = now.timestamp()
    async with database.transaction() as connection:
        workspace_id = await connection.fetchval(_statements.add_workspace, new_id(seconds), name, now)
        if workspace_id is None:
            return await connection.fetchval(_statements.workspace_by_name, name), None
        key = NewSecret(secret) if secret else new_secret()
        await connection.execute(
            _statements.add_api_key,
            new_id(seconds),
            workspace_id,
            "First key",
            key.hint,
            key.sha256,
            list(ALL_SCOPES),
            [],
            now,
        )
        for channel in Channel:
            await connection.execute(_statements.add_sandbox_account, new_id(seconds), workspace_id, channel, now)
        for table in ("workspaces", "api_keys", "provider_accounts"):
            await connection.execute(_statements.notify, table)
        return workspace_id, key.secret
