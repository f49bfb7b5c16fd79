"""Contacts by the hundred thousand, written straight into the catalog: making them is no part of any figure."""

from __future__ import annotations

from uuid import uuid4

from bench.rig import Rig

_INSERT = """
WITH made AS (
    INSERT INTO catalog.contacts (workspace_id, id, external_id, email, phone_number, country, first_name, tags,
                                  created_at, updated_at)
    SELECT w.id, uuidv7(), $1 || '-' || n, 'person' || n || '@example.test', '+1415' || lpad(n::text, 7, '0'), 'US',
           'Ada', ARRAY[$1], now(), now()
    FROM generate_series(2000000, 1999999 + $2::integer) AS n, catalog.workspaces w WHERE w.name = 'default'
    RETURNING workspace_id, id
)
INSERT INTO catalog.contact_tags (workspace_id, tag, contact_id) SELECT workspace_id, $1, id FROM made
"""


async def make_audience(rig: Rig, size: int) -> str:
    """Make `size` contacts, each with a telephone and a mailbox; return the tag that they have."""
    tag = f"audience-{uuid4().hex[:8]}"
    async with rig.database() as database:
        await database.execute(_INSERT, tag, size)
        await database.execute("ANALYZE catalog.contacts; ANALYZE catalog.contact_tags")
    return tag
