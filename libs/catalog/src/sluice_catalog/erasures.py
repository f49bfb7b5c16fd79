"""Erasing a person: noted once in the catalog, carried out by every service that knows anything of them.

Who it is stands sealed beside the note, for longer than topics keep what they were told: a command under way, a
receipt that comes late or a topic that is read again may bring a person up after the first time, and so each service
goes through what it has several times. Then nothing is left but the note that somebody was erased.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import orjson
import structlog

from sluice_catalog.models import Contact
from sluice_runtime.clock import Clock
from sluice_runtime.pausing import pause
from sluice_runtime.secrets import SecretBox
from sluice_storage import statements
from sluice_storage.database import Connection, Database
from sluice_storage.errors import is_transient

KEPT: Final = timedelta(days=8)
"""How long it is known who was erased: a day more than any topic but those of dead letters keeps its records."""

UNDER_WAY: Final = timedelta(hours=1)
"""How long after the erasure a command that named the person may still be carried out; the next knows nobody."""

LOOK_SECONDS: Final = 5.0
AT_ONCE: Final = 200
"""People that are looked for together: to look for many costs hardly more than to look for one."""

_SECOND_TIME: Final = timedelta(minutes=1)
_LONGEST_WAIT: Final = timedelta(days=1)
_GROWTH: Final = 10
_SHRED_SECONDS: Final = 3600.0

_log = structlog.get_logger()
_sql = statements.load("sluice_catalog", "erasures.sql")


@dataclass(frozen=True, slots=True)
class Erasure:
    """Somebody who is to be forgotten, and up to when: whoever comes back later is somebody new.

    `external_id` is what their owner called them, `addresses` how they were reached at last.
    """

    workspace_id: UUID
    contact_id: UUID
    external_id: str
    addresses: tuple[str, ...]
    until: datetime

    @property
    def names(self) -> tuple[str, ...]:
        """What a job may know them by: the external id, or the bare address where it was sent to no contact."""
        return (self.external_id, *self.addresses)


Forget = Callable[[UUID, Sequence[Erasure]], Awaitable[int]]
"""Drops what a service knows of people of one workspace; returns how many rows that were. Repeats change nothing."""


class Erasures:
    """The notes of erasures. `database` is of the schema `catalog`."""

    def __init__(self, database: Database, secret_box: SecretBox) -> None:
        self._database = database
        self._box = secret_box

    async def note(self, connection: Connection, contact: Contact, now: datetime) -> None:
        """Note inside the caller's transaction that `contact` was erased."""
        addresses = [address for address in (contact.email, contact.phone_number) if address]
        person = self._box.encrypt(orjson.dumps([contact.external_id, addresses]).decode())
        await connection.execute(_sql.note, contact.workspace_id, contact.id, now, person)

    async def under_way(self) -> list[UUID]:
        """Return the ids of those who must still be forgotten wherever they come up."""
        async with self._database.connection() as connection:
            return [row["contact_id"] for row in await connection.fetch(_sql.under_way)]

    async def named(self, contact_ids: Collection[UUID]) -> dict[UUID, list[Erasure]]:
        """Return the erasures of contacts, by workspace."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_sql.named, list(contact_ids))
        found: dict[UUID, list[Erasure]] = {}
        for row in rows:
            external_id, addresses = orjson.loads(self._box.decrypt(row["person"]))
            erasure = Erasure(
                row["workspace_id"], row["contact_id"], external_id, tuple(addresses), row["erased_at"] + UNDER_WAY
            )
            found.setdefault(erasure.workspace_id, []).append(erasure)
        return found

    async def shred(self, before: datetime) -> None:
        """Forget for good who was erased before `before`."""
        async with self._database.connection() as connection:
            await connection.execute(_sql.forget, before)


class Eraser:
    """Carries erasures out in one service: at once, after a minute, ten, a hundred, and then once a day.

    How often each was carried out is kept in memory: a service that starts anew goes through all of them again.
    """

    def __init__(self, erasures: Erasures, forget: Forget, clock: Clock) -> None:
        self._erasures = erasures
        self._forget = forget
        self._clock = clock
        self._next: dict[UUID, tuple[datetime, timedelta]] = {}

    async def carry_out(self) -> int:
        """Forget those whose turn it is; return how many people that were."""
        now = self._clock.now()
        under_way = await self._erasures.under_way()
        self._next = {contact_id: self._next[contact_id] for contact_id in under_way if contact_id in self._next}
        due = [one for one in under_way if one not in self._next or self._next[one][0] <= now][:AT_ONCE]
        if not due:
            return 0
        rows = 0
        for workspace_id, erasures in (await self._erasures.named(due)).items():
            rows += await self._forget(workspace_id, erasures)
        for contact_id in due:
            _, wait = self._next.get(contact_id, (now, _SECOND_TIME))
            self._next[contact_id] = now + wait, min(wait * _GROWTH, _LONGEST_WAIT)
        if rows:
            _log.info("erasures.carried_out", people=len(due), rows=rows)
        return len(due)

    async def run(self, stop: asyncio.Event) -> None:
        """Carry out what is due until `stop` is set. Fits `Service.loops`."""
        while not stop.is_set():
            done = 0
            try:
                done = await self.carry_out()
            except Exception as error:
                if not is_transient(error):
                    raise
                _log.warning("erasures.postponed", error=type(error).__name__)
            if done < AT_ONCE:
                await pause(LOOK_SECONDS, stop)


class Shredder:
    """Forgets for good who was erased, once no topic can bring them up any more."""

    def __init__(self, erasures: Erasures, clock: Clock) -> None:
        self._erasures = erasures
        self._clock = clock

    async def run(self, stop: asyncio.Event) -> None:
        """Shred every hour until `stop` is set. Fits `Service.loops`."""
        while not stop.is_set():
            try:
                await self._erasures.shred(self._clock.now() - KEPT)
            except Exception as error:
                if not is_transient(error):
                    raise
                _log.warning("erasures.kept_longer", error=type(error).__name__)
            await pause(_SHRED_SECONDS, stop)
