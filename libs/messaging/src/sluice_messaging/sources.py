"""What a consumer needs of a broker. Both adapters offer it, and everything above it is written once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sluice_messaging.records import Partition, Record


class AssignmentListener(Protocol):
    """Hears what a source owns."""

    async def revoked(self) -> None:
        """Every partition is being taken away; until this returns, offsets can still be committed.

        Records that a fetch returned before the first `await` in here belong to what is taken away, records returned
        later to what is given next. So the listener switches over before it awaits anything.
        """
        ...

    def assigned(self, partitions: frozenset[Partition]) -> None:
        """These partitions, and no others, are owned now. Records may have come before this is heard."""
        ...


@dataclass(frozen=True, slots=True)
class Backlog:
    """Where a partition is read next, and the offset after its last record."""

    position: int
    end: int


class RecordSource(Protocol):
    """One membership in a consumer group, used once: opened, read, closed."""

    async def open(self, listener: AssignmentListener) -> None:
        """Join the group. Raises BrokerUnavailableError; may take long while the group settles."""
        ...

    async def fetch(
        self,
        *,
        limit: int,
        wait: float,
        without: Collection[Partition] = (),
    ) -> Sequence[Record]:
        """Return up to `limit` new records, in order within a partition and none of the partitions in `without`.

        Waits up to about `wait` seconds for the first, longer during a rebalance. Nothing may await between what
        decides whose the records are and the return to the caller. Never cancelled but to end the membership.
        Raises BrokerUnavailableError when this membership is beyond repair.
        """
        ...

    def is_behind(self) -> bool:
        """Whether the last fetch left records at the broker, as far as is known, in the partitions that it was of."""
        ...

    async def commit(self, offsets: Mapping[Partition, int]) -> bool:
        """Store the next offsets to be handled. False when they are no longer this member's to commit.

        Raises BrokerUnavailableError within five seconds.
        """
        ...

    async def backlog(self) -> Mapping[Partition, Backlog]:
        """Return what is known about the partitions owned, without waiting long."""
        ...

    async def close(self) -> None:
        """Leave the group, so that others take over at once. Commits nothing. Bounded, and never raises."""
        ...


class TableSource(Protocol):
    """Reads all partitions of one topic from the beginning, without a group; used once: opened, read, closed."""

    async def open(self) -> None:
        """Connect, and note where the topic ends now. Raises BrokerUnavailableError."""
        ...

    async def fetch(self, *, wait: float) -> Sequence[Record]:
        """Return new records, waiting up to about `wait` seconds for the first. Raises BrokerUnavailableError."""
        ...

    async def caught_up(self) -> bool:
        """Whether everything that the topic held when it was opened has been fetched."""
        ...

    async def close(self) -> None:
        """Let go of the connection. Bounded, and never raises."""
        ...
