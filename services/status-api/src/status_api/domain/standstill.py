"""When to ask whether something was missed: executions of which nothing was heard for long, and how often to ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sluice_contracts.vocabulary import Channel, Lane

LONGEST_PAUSE: Final = timedelta(hours=1)
PAGES_A_REQUEST: Final = 1_000


@dataclass(frozen=True, slots=True)
class Standstill:
    """An execution that stands still, or a trigger of which not even the executions are known.

    `open` jobs have no end; None where that is unknown or beside the point. `channel` and `lane` are None where the
    messages that name them were missed as well.
    """

    execution_id: UUID | None
    trigger_id: UUID
    workspace_id: UUID
    channel: Channel | None
    lane: Lane | None
    open: int | None

    @property
    def key(self) -> UUID:
        """What it is remembered by."""
        return self.execution_id or self.trigger_id


@dataclass(frozen=True, slots=True)
class Known:
    """Of how many jobs the end is known, page by page from `first_page` on; `is_last`: of none on any page after."""

    first_page: int
    ended: Sequence[int]
    is_last: bool


def known(ended: Mapping[int, int]) -> list[Known]:
    """Return what is known of all pages, in portions that fit into a message."""
    pages = [ended.get(page, 0) for page in range(max(ended, default=-1) + 1)]
    firsts = range(0, max(len(pages), 1), PAGES_A_REQUEST)
    return [Known(first, pages[first : first + PAGES_A_REQUEST], first == firsts[-1]) for first in firsts]


class Patience:
    """Remembers whom it was asked about: after each time twice as long passes before the next, an hour at most."""

    def __init__(self, first: timedelta) -> None:
        self._first = first
        self._asked: dict[UUID, tuple[timedelta, datetime]] = {}

    def resting(self, now: datetime) -> list[UUID]:
        """Return what need not be asked about yet; what was due more than an hour ago and did not come is forgotten."""
        self._asked = {key: (pause, due) for key, (pause, due) in self._asked.items() if due + LONGEST_PAUSE > now}
        return [key for key, (_, due) in self._asked.items() if due > now]

    def note(self, key: UUID, now: datetime) -> None:
        """Note that somebody was asked about it just now."""
        before, _ = self._asked.get(key, (self._first / 2, now))
        pause = min(before * 2, LONGEST_PAUSE)
        self._asked[key] = (pause, now + pause)
