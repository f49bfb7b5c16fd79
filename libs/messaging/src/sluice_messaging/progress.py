"""How far one assignment of partitions has got. No I/O; time is handed in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sluice_messaging.records import Partition, Record
from sluice_messaging.watermark import Watermark


class Progress:
    """The watermarks of all partitions of one assignment, and what of them is committed.

    State for a partition comes into being with its first record: the broker's word on who owns what comes late.
    """

    def __init__(self) -> None:
        self._watermarks: Final[dict[Partition, Watermark]] = {}
        self._first: Final[dict[Partition, int]] = {}
        self._committed: Final[dict[Partition, int]] = {}
        self.in_flight = 0

    def begin(self, record: Record) -> None:
        """Note that `record` is taken. Raises OffsetOrderError if its partition's log was cut or made anew."""
        partition = record.source
        watermark = self._watermarks.get(partition)
        if watermark is None:
            watermark = self._watermarks[partition] = Watermark()
            self._first[partition] = record.offset
        watermark.begin(record.offset)
        self.in_flight += 1

    def finish(self, record: Record) -> None:
        """Note that `record`, begun before, needs nothing more."""
        self._watermarks[record.source].finish(record.offset)
        self.in_flight -= 1

    def uncommitted(self) -> dict[Partition, int]:
        """Return, for each partition that has moved since the last commit, the next offset to be handled there."""
        return {
            partition: watermark.committable
            for partition, watermark in self._watermarks.items()
            if watermark.committable is not None and watermark.committable != self._committed.get(partition)
        }

    def mark_committed(self, offsets: Mapping[Partition, int]) -> None:
        """Note that the broker has stored `offsets`, as `uncommitted` gave them."""
        self._committed.update(offsets)

    def resume_offset(self, partition: Partition) -> int | None:
        """Where another consumer would start if this one vanished now; None if nothing has come from `partition`."""
        return self._committed.get(partition, self._first.get(partition))

    def overdrawn(self, max_distance: int) -> frozenset[Partition]:
        """Return the partitions whose newest record is `max_distance` offsets or more after the oldest unfinished."""
        return frozenset(
            partition for partition, watermark in self._watermarks.items() if watermark.distance >= max_distance
        )
