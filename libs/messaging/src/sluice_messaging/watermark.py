"""Up to where one partition is finished, when its records finish in any order. No I/O and no clock."""

from __future__ import annotations

from collections import deque

from sluice_messaging.errors import OffsetOrderError


class Watermark:
    """Tracks the records of one partition from the moment they are taken until they are finished.

    Invariants:

    - offsets are begun in increasing order; gaps (compaction, aborted transactions) are no offsets at all;
    - `committable` is None until the first record begun is finished, never decreases, and never passes an offset that
      was begun and is not finished: whoever starts again there misses nothing;
    - when everything begun is finished, `committable` is the last offset begun plus one, the form Kafka commits in;
    - memory is bounded by the number of offsets from the oldest unfinished one on.
    """

    __slots__ = ("_begun", "_finished", "_pending", "committable")

    def __init__(self) -> None:
        self._pending: deque[int] = deque()
        self._finished: set[int] = set()
        self._begun = -1
        self.committable: int | None = None

    @property
    def in_flight(self) -> int:
        """How many records are begun and not finished."""
        return len(self._pending) - len(self._finished)

    @property
    def oldest(self) -> int | None:
        """The oldest unfinished offset, None where there is none."""
        return self._pending[0] if self._pending else None

    @property
    def distance(self) -> int:
        """How far the newest offset begun is from the oldest unfinished one, both counted; 0 if all is finished."""
        return self._begun - self._pending[0] + 1 if self._pending else 0

    def begin(self, offset: int) -> None:
        """Note that the record at `offset` is taken.

        Raises OffsetOrderError unless it lies after all that were begun before.
        """
        if offset <= self._begun:
            raise OffsetOrderError(f"offset {offset} came after {self._begun}")
        self._begun = offset
        self._pending.append(offset)

    def finish(self, offset: int) -> None:
        """Note that the record at `offset`, begun before and not yet finished, needs nothing more."""
        self._finished.add(offset)
        while self._pending and self._pending[0] in self._finished:
            first = self._pending.popleft()
            self._finished.discard(first)
            self.committable = first + 1
