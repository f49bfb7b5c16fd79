"""The ledger: which jobs were handed over, written down before it happens, so that nobody is messaged twice.

A command's jobs are cut into waves of fifty positions. A wave is claimed before its first hand-over and recorded after
its last. What is claimed and not recorded when the lease has run out is uncertain, and nothing else ever is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid4

from sluice_channel.reports import Reports, pack, unpack, unpack_columns
from sluice_contracts.identifiers import page_of
from sluice_contracts.references import JobReference
from sluice_contracts.vocabulary import Category, JobState
from sluice_storage import statements
from sluice_storage.database import Connection, Database

WAVE_SIZE: Final = 50
"""Positions in a wave. Rows of commands under way depend on it: never change it."""

_sql = statements.load("sluice_channel", "ledger.sql")


class CommandKey(NamedTuple):
    """What names a command for ever."""

    execution_id: UUID
    page: int
    round: int


@dataclass(frozen=True, slots=True)
class KnownWave:
    """A wave that is in the ledger already; `reports` has what receipts have proven worked in."""

    number: int
    is_recorded: bool
    is_expired: bool
    reports: Reports


@dataclass(frozen=True, slots=True)
class WaveFacts:
    """What a claim says beside the jobs: whose they are, and, packed, how their people are reached."""

    workspace_id: UUID
    trigger_id: UUID
    account_id: UUID | None
    category: Category
    epoch: int
    people: bytes


@dataclass(frozen=True, slots=True)
class WavePlace:
    """Where the jobs of a wave stand, and whose they are; `is_open`: it is not written down what came of them."""

    key: CommandKey
    wave: int
    first_seq: int
    last_seq: int
    workspace_id: UUID
    trigger_id: UUID
    epoch: int
    is_open: bool
    doubtful: frozenset[int]


@dataclass(frozen=True, slots=True)
class Person:
    """Who is behind a job."""

    workspace_id: UUID
    category: Category
    address: str | None
    external_id: str | None


class Lease:
    """A claim on one wave that is good until its time has run out, by this process's own steady clock."""

    def __init__(self, number: int, until: float, steady: Callable[[], float]) -> None:
        self.number = number
        self._until = until
        self._steady = steady

    @property
    def is_good(self) -> bool:
        """Whether something may still be handed over."""
        return self._steady() < self._until

    def extend(self, until: float) -> None:
        """Be good until `until`, by the steady clock."""
        self._until = until


@dataclass(frozen=True, slots=True)
class Recorded:
    """What came of recording: None in `proven` means that the wave had another owner by then; `lease` is the next's."""

    proven: frozenset[int] | None
    lease: Lease | None = None


@dataclass(frozen=True, slots=True)
class WaveOutcome:
    """What came of a wave that the owner of `ledger` has claimed; `doubtful` are positions without a clear answer."""

    ledger: Ledger
    key: CommandKey
    number: int
    reports: Reports
    doubtful: Sequence[int]


class Ledger:
    """The ledger as one handling of one command sees it; every handling is an owner of its own."""

    def __init__(self, database: Database, lease_seconds: float, steady: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._lease_seconds = lease_seconds
        self._steady = steady
        self.owner = uuid4()

    async def waves(self, key: CommandKey) -> list[KnownWave]:
        """Return what is known of a command, in order of waves; empty for one that is new."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_sql.waves_of_command, key.execution_id, key.page, key.round)
        return [
            KnownWave(row["wave"], row["is_recorded"], row["is_expired"], _read(row["reports"], row["proven"] or ()))
            for row in rows
        ]

    async def proven_before(self, key: CommandKey) -> frozenset[int]:
        """Return the positions of a page that receipts have proven in earlier rounds."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_sql.proven_before, key.execution_id, key.page, key.round)
        return frozenset(row["seq"] for row in rows)

    async def claim(
        self,
        key: CommandKey,
        number: int,
        reports: Reports,
        facts: WaveFacts,
        now: datetime,
        connection: Connection | None = None,
    ) -> Lease | None:
        """Claim a wave; None where somebody else has it. One in which nothing is `sending` is recorded at once."""
        if connection is None:
            async with self._database.connection() as own:
                return await self.claim(key, number, reports, facts, now, own)
        arguments, lease = self._claim_arguments(key, number, reports, facts, now)
        claimed = await connection.fetchval(_sql.claim, *arguments) or await connection.fetchval(
            _sql.own_claim, *_key(key), number, self.owner, self._lease_seconds
        )
        return lease if claimed else None

    async def record(
        self, key: CommandKey, number: int, reports: Reports, doubtful: Sequence[int], now: datetime
    ) -> Recorded:
        """Write down what came of a wave that this owner has claimed."""
        async with self._database.connection() as connection:
            proven = await connection.fetchval(
                _sql.record, *_key(key), number, self.owner, pack(reports), list(doubtful) or None, now
            )
            if proven is None:
                proven = await connection.fetchval(_sql.own_record, *_key(key), number, self.owner)
        return Recorded(None if proven is None else frozenset(proven))

    async def record_and_claim(
        self, before: WaveOutcome, key: CommandKey, number: int, reports: Reports, facts: WaveFacts, now: datetime
    ) -> Recorded:
        """Write down what came of one wave, of this command or another, and claim the next, in one round trip."""
        arguments, lease = self._claim_arguments(key, number, reports, facts, now)
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                _sql.record_and_claim,
                *arguments,
                *_key(before.key),
                before.number,
                before.ledger.owner,
                pack(before.reports),
                list(before.doubtful) or None,
            )
        if row is None or row["proven"] is None:
            return Recorded(None)
        return Recorded(frozenset(row["proven"]), lease if row["claimed"] else None)

    async def take_over(self, key: CommandKey, number: int) -> tuple[Lease, Reports] | None:
        """Become the owner of a wave whose lease has run out; None where it has not, or the wave is recorded."""
        until = self._steady() + self._lease_seconds
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_sql.take_over, *_key(key), number, self.owner, self._lease_seconds)
        if row is None:
            return None
        return Lease(number, until, self._steady), _read(row["reports"], row["proven"])

    async def revise(self, key: CommandKey, lease: Lease, reports: Reports) -> frozenset[int] | None:
        """Write down what is about to be done with a wave taken over; return what is proven by now (None: lost)."""
        until = self._steady() + self._lease_seconds
        async with self._database.connection() as connection:
            proven = await connection.fetchval(
                _sql.revise, *_key(key), lease.number, self.owner, pack(reports), self._lease_seconds
            )
        if proven is None:
            return None
        lease.extend(until)
        return frozenset(proven)

    async def renew(self, key: CommandKey, lease: Lease) -> None:
        """Keep a wave for another lease; one that has another owner by now is not extended."""
        until = self._steady() + self._lease_seconds
        async with self._database.connection() as connection:
            renewed = await connection.fetchval(_sql.renew, *_key(key), lease.number, self.owner, self._lease_seconds)
        if renewed:
            lease.extend(until)

    async def prove(self, key: CommandKey, number: int, seqs: Collection[int]) -> None:
        """Note that the provider has these jobs, so that nobody hands them over again."""
        async with self._database.connection() as connection:
            await connection.execute(_sql.prove_own, *_key(key), number, sorted(seqs))

    def _claim_arguments(
        self, key: CommandKey, number: int, reports: Reports, facts: WaveFacts, now: datetime
    ) -> tuple[tuple[Any, ...], Lease]:
        lease = Lease(number, self._steady() + self._lease_seconds, self._steady)
        hands_over = JobState.SENDING in reports.state
        arguments = (
            *_key(key), number, self.owner, self._lease_seconds, reports.seq[0], reports.seq[-1], facts.workspace_id,
            facts.trigger_id, facts.account_id, facts.category, facts.epoch, facts.people, pack(reports),
            not hands_over, now,
        )  # fmt: skip
        return arguments, lease


class LedgerReader:
    """The ledger as receipts see it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def places(self, commands: Collection[CommandKey]) -> dict[CommandKey, list[WavePlace]]:
        """Return the waves of commands, as far as the ledger has them."""
        places: dict[CommandKey, list[WavePlace]] = {}
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                _sql.waves_of_commands,
                [key.execution_id for key in commands],
                [key.page for key in commands],
                [key.round for key in commands],
            )
        for row in rows:
            key = CommandKey(row["execution_id"], row["page"], row["round"])
            places.setdefault(key, []).append(
                WavePlace(
                    key, row["wave"], row["first_seq"], row["last_seq"], row["workspace_id"], row["trigger_id"],
                    row["epoch"], row["is_open"], frozenset(row["doubtful"] or ()),
                )
            )  # fmt: skip
        return places

    async def people(self, references: Sequence[JobReference]) -> list[Person | None]:
        """Return who is behind each job, None for one that is not in the ledger."""
        people: list[Person | None] = [None] * len(references)
        async with self._database.connection() as connection:
            rows = await connection.fetch(_sql.facts_of_jobs, *_columns(references))
        for row in rows:
            columns = unpack_columns(row["facts"])
            try:
                place = columns["seq"].index(references[row["place"]].seq)
            except ValueError:
                continue
            people[row["place"]] = Person(
                row["workspace_id"],
                Category(row["category"]),
                columns["address"][place] if "address" in columns else None,
                columns["external_id"][place] if "external_id" in columns else None,
            )
        return people

    async def purge(self, before: datetime, limit: int) -> int:
        """Forget at most `limit` waves claimed before `before`; return how many."""
        async with self._database.connection() as connection:
            return int((await connection.execute(_sql.purge_waves, before, limit)).split()[-1])


def apply_proofs(reports: Reports, proven: Collection[int]) -> Reports:
    """Return `reports` with those that a receipt has proven to be handed over as sent."""
    reports.prove(proven)
    return reports


def _read(packed: bytes, proven: Collection[int]) -> Reports:
    return apply_proofs(unpack(packed), proven)


def _key(key: CommandKey) -> tuple[UUID, int, int]:
    return key.execution_id, key.page, key.round


def _columns(references: Sequence[JobReference]) -> tuple[list[UUID], list[int], list[int], list[int]]:
    return (
        [reference.execution_id for reference in references],
        [page_of(reference.seq) for reference in references],
        [reference.round for reference in references],
        [reference.seq for reference in references],
    )
