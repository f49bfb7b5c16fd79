"""Forgetting people in a worker's tables: what was handed over stays counted, and nobody can say to whom.

What a late receipt finds then is a job like any other, without an address that could be suppressed or shown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import orjson

from sluice_catalog.erasures import Erasure
from sluice_channel.reports import pack, pack_columns, unpack, unpack_columns
from sluice_contracts.vocabulary import JobState
from sluice_storage import statements
from sluice_storage.database import Connection, Database

AT_ONCE: Final = 1000
"""Waves that are looked through in one statement."""

_PAUSE_SECONDS: Final = 0.02
_FIRST: Final[tuple[UUID, int, int, int]] = (UUID(int=0), -1, -1, -1)

_DELIBERATE: Final = frozenset({JobState.FILTERED, JobState.CANCELLED})

_sql = statements.load("sluice_channel", "erasing.sql")


class PeopleMemory:
    """What a channel's schema knows of people. Goes through the whole ledger, a little at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def forget(self, workspace_id: UUID, erasures: Sequence[Erasure]) -> int:
        """Drop addresses, names and contents; return how many rows that were."""
        rows = 0
        reached = [(address, erasure.until) for erasure in erasures for address in erasure.addresses]
        gone = (workspace_id, [address for address, _ in reached], [until for _, until in reached])
        async with self._database.connection() as connection:
            for statement in (_sql.erase_sandbox_messages, _sql.erase_allowances, _sql.erase_conversations):
                rows += int((await connection.execute(statement, *gone)).split()[-1])
        return rows + await self._forget_in_ledger(workspace_id, erasures)

    async def _forget_in_ledger(self, workspace_id: UUID, erasures: Sequence[Erasure]) -> int:
        until = {name: erasure.until for erasure in erasures for name in erasure.names}
        # As they stand in the JSON of a wave's facts.
        texts = [orjson.dumps(name) for name in until]
        rows, place = 0, _FIRST
        while True:
            async with self._database.connection() as connection:
                waves = await connection.fetch(
                    _sql.waves_behind, *place, AT_ONCE, workspace_id, texts, list(until.values())
                )
            for *key, names_one in waves:
                if names_one:
                    rows += await self._forget_in_wave(tuple(key), until)
            if len(waves) < AT_ONCE:
                return rows
            place = tuple(waves[-1])[:4]
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _forget_in_wave(self, key: tuple[UUID, int, int, int], until: Mapping[str, datetime]) -> int:
        async def work(connection: Connection) -> int:
            wave = await connection.fetchrow(_sql.lock_wave, *key)
            if wave is None:
                return 0
            facts, gone = without(wave["facts"], {name for name, end in until.items() if wave["claimed_at"] < end})
            reports = without_details(wave["reports"], gone) if wave["is_recorded"] else wave["reports"]
            await connection.execute(_sql.erase_in_wave, *key, facts, reports)
            return len(gone)

        return await self._database.in_transaction(work)


def without(facts: bytes, names: set[str]) -> tuple[bytes, list[int]]:
    """Return a wave's facts without the people of `names`, and the positions that those had."""
    columns = unpack_columns(facts)
    seqs = columns["seq"]
    nobody = [None] * len(seqs)
    addresses, external_ids = columns.get("address", nobody), columns.get("external_id", nobody)
    known = [external_id or address for external_id, address in zip(external_ids, addresses, strict=True)]
    gone = [place for place, name in enumerate(known) if name in names]
    for place in gone:
        addresses[place] = external_ids[place] = None
    return pack_columns(seq=seqs, address=addresses, external_id=external_ids), [seqs[place] for place in gone]


def without_details(reports: bytes, seqs: Sequence[int]) -> bytes:
    """Return a wave's reports without a provider's words about the jobs at `seqs`, which may well name an address.

    Our own reasons for sending nothing name nobody, and status counts them: they stay.
    """
    columns = unpack(reports)
    for place, seq in enumerate(columns.seq):
        if seq in seqs and columns.state[place] not in _DELIBERATE:
            columns.detail[place] = None
    return pack(columns)
