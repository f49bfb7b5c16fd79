"""Somebody asks to be forgotten: after the erasure no schema knows their addresses, and every number stays."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from api_client import ApiClient, wait_until
from scene import Scene
from sluice_local.stack import Stack
from tenant import new_number

pytestmark = pytest.mark.e2e

CHANNELS = ("sms", "email", "whatsapp")


@pytest.fixture
async def api(stack: Stack) -> AsyncIterator[ApiClient]:
    async with ApiClient(stack.base_url, stack.api_key) as client:
        yield client


@pytest.fixture
async def database(stack: Stack) -> AsyncIterator[asyncpg.Connection[Any]]:
    connection = await asyncpg.connect(stack.connections.postgres)
    try:
        yield connection
    finally:
        await connection.close()


async def places_that_know(database: asyncpg.Connection[Any], texts: list[str]) -> set[str]:
    """Return the tables of every schema in which any of `texts` stands, in whatever column, packed or not."""
    tables = await database.fetch(
        "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
    )
    found = set()
    for schema, table in tables:
        name = f'"{schema}"."{table}"'
        # Bytes as they are: messages are stored as the JSON that they travelled as.
        columns = await database.fetch(
            "SELECT attname, atttypid = 'bytea'::regtype AS is_packed FROM pg_attribute "
            "WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped",
            name,
        )
        forms = [
            f"encode(\"{column}\", 'escape')" if is_packed else f'"{column}"::text' for column, is_packed in columns
        ]
        whole = f"concat_ws(' ', {', '.join(forms)})" if forms else "''"
        for text in texts:
            statement = f"SELECT EXISTS (SELECT FROM {name} WHERE position($1 IN {whole}) > 0)"  # noqa: S608 (names of ours)
            if await database.fetchval(statement, text):
                found.add(f"{schema}.{table}")
    return found


async def test_after_an_erasure_no_schema_knows_the_address(api: ApiClient, database: asyncpg.Connection[Any]) -> None:
    scene = Scene(api)
    phone, email = new_number(), f"ada.{scene.mark}@erased.test"
    stays = f"bob.{scene.mark}@stays.test"
    ada, _ = await scene.contacts(
        0, {"phone_number": phone, "email": email}, {"phone_number": "+14155570042", "email": stays}
    )
    triggers = [await scene.broadcast(channel) for channel in CHANNELS] + [await scene.group()]
    for trigger in triggers:
        await api.finished(trigger)
        await api.until(f"/api/v1/triggers/{trigger}/ledger", _settled)
    before = [await api.get(f"/api/v1/triggers/{trigger}/ledger") for trigger in triggers]
    assert {f"channel_{channel}.waves" for channel in CHANNELS} | {"status.jobs", "catalog.contacts"} <= (
        await places_that_know(database, [phone, email])
    )
    answer = await api.post(f"/api/v1/contacts/external/{ada}/erase", {})
    assert answer["erased"] is True

    still: set[str] = set()

    async def forgotten() -> bool:
        nonlocal still
        still = await places_that_know(database, [phone, email])
        return not still

    await wait_until(forgotten, 60, lambda: f"still known in {sorted(still)}")
    assert await places_that_know(database, [stays]) >= {"channel_email.waves", "status.jobs"}
    after = [await api.get(f"/api/v1/triggers/{trigger}/ledger") for trigger in triggers]
    for then, now in zip(before, after, strict=True):
        for bucket in ("total", "sent", "failed", "filtered", "open", "unaccounted"):
            assert now[bucket] == then[bucket], bucket
        for execution in now["executions"]:
            assert [job["external_id"] for job in await scene.jobs(execution)].count(None) == 1
    gone = await api.call("GET", f"/api/v1/triggers/{triggers[0]}/contacts/{ada}")
    assert gone.status == 404


def _settled(ledger: dict[str, Any]) -> bool:
    """Nothing is open, and the sandbox has played back what it will: until then a table of its own may grow."""
    return ledger["open"] == 0 and not any(part["analytics"]["awaiting_receipt"] for part in ledger["executions"])
