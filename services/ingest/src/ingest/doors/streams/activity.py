"""What came into streams and what was refused, in memory until it is written down; nobody waits for a database here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Final
from uuid import UUID

from sluice_catalog.stream_counts import RefusalKey, StreamDay, Tally
from sluice_catalog.streams import Stream

MOST_ADDRESSES: Final = 100
"""Addresses whose refusals are told apart, for each stream and day in one copy of the service; the rest share one."""


@dataclass(slots=True)
class Counts:
    """Counts that belong together: written all or not at all."""

    accepted: dict[StreamDay, Tally] = field(default_factory=dict)
    refused: dict[RefusalKey, Tally] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.accepted or self.refused)

    def add(self, other: Counts) -> None:
        """Take in what `other` counted."""
        for day, tally in other.accepted.items():
            self.accepted[day] = _sum(self.accepted.get(day), tally)
        for key, tally in other.refused.items():
            self.refused[key] = _sum(self.refused.get(key), tally)


def _sum(one: Tally | None, other: Tally) -> Tally:
    return other if one is None else Tally(one.number + other.number, max(one.last_at, other.last_at))


class StreamActivity:
    """Counts what this copy of the service takes in and refuses, and knows what all copies took in today.

    What other copies took in is known as of the latest write, about a second ago: a daily maximum can be exceeded by
    what comes in within that second.
    """

    def __init__(self) -> None:
        self._waiting = Counts()
        self._written: dict[StreamDay, int] = {}
        self._addresses: defaultdict[StreamDay, set[str]] = defaultdict(set)
        self._asked: set[UUID] = set()

    def accept(self, stream: Stream, now: datetime, number: int = 1) -> None:
        """Count events that were stored."""
        day = StreamDay(stream.id, _day(now))
        self._waiting.accepted[day] = _sum(self._waiting.accepted.get(day), Tally(number, now))

    def refuse(self, stream: Stream, reason: str, address: str, now: datetime, number: int = 1) -> None:
        """Count events that were refused, by reason and by the address that they came from."""
        day = StreamDay(stream.id, _day(now))
        known = self._addresses[day]
        if address not in known:
            if len(known) < MOST_ADDRESSES:
                known.add(address)
            else:
                address = ""
        key = RefusalKey(day.stream_id, day.day, reason, address)
        self._waiting.refused[key] = _sum(self._waiting.refused.get(key), Tally(number, now))

    def left_today(self, stream: Stream, now: datetime) -> int | None:
        """Return how many more events a stream takes today, None where it has no daily maximum."""
        if stream.per_day is None:
            return None
        day = StreamDay(stream.id, _day(now))
        self._asked.add(stream.id)
        waiting = self._waiting.accepted.get(day)
        return max(0, stream.per_day - self._written.get(day, 0) - (waiting.number if waiting else 0))

    def take(self) -> Counts:
        """Return what is to be written, and begin anew. It goes on counting as taken in today until it is written."""
        taken, self._waiting = self._waiting, Counts()
        for day, tally in taken.accepted.items():
            self._written[day] = self._written.get(day, 0) + tally.number
        return taken

    def give_back(self, counts: Counts) -> None:
        """Take back what could not be written."""
        for day, tally in counts.accepted.items():
            self._written[day] -= tally.number
        self._waiting.add(counts)

    def take_asked(self) -> set[UUID]:
        """Return the streams whose daily maximum mattered since the last time that this was called."""
        asked, self._asked = self._asked, set()
        return asked

    def learn(self, totals: Mapping[StreamDay, int], now: datetime) -> None:
        """Note what all copies together have taken in, and forget the days that are over."""
        today = _day(now)
        self._written.update(totals)
        self._forget(day for day in {*self._written, *self._addresses} if day.day < today)

    def _forget(self, days: Iterable[StreamDay]) -> None:
        for day in list(days):
            self._written.pop(day, None)
            self._addresses.pop(day, None)


def _day(now: datetime) -> date:
    return now.astimezone(UTC).date()
