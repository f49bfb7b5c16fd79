"""A dead letter as an operator sees it: where it came from, why it is there, and what was done about it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple

from sluice_local.operating.errors import OperatingError
from sluice_messaging.kafka.inspection import KafkaInspector
from sluice_messaging.records import TYPE_HEADER, OutboundRecord, Partition, Record
from sluice_runtime.redaction import mask_addresses_in

REDRIVEN_FROM: Final = "x-redriven-from"
_OWN_HEADERS: Final = "x-"
_PLACE: Final = re.compile(r"(\d{1,9}):(\d{1,18})")
_NUMBERS: Final = re.compile(r"\d+")


class Place(NamedTuple):
    """Where a letter lies in its topic; as text, `partition:offset`."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Place:
        """Read `partition:offset`. Raises ValueError."""
        match = _PLACE.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not of the form PARTITION:OFFSET, such as 0:12")
        return cls(int(match[1]), int(match[2]))


@dataclass(frozen=True, slots=True)
class Mark:
    """What operators did with one letter."""

    written_at: datetime
    edited_value: bytes | None = None
    edited_at: datetime | None = None
    redriven_at: datetime | None = None
    redrives: int = 0


Marks = Mapping[Place, Mark]


@dataclass(frozen=True, slots=True)
class Letter:
    """One record of a dead-letter topic."""

    record: Record
    mark: Mark | None = None

    @classmethod
    def of(cls, record: Record, marks: Marks) -> Letter:
        """Return `record` with what was noted about it; a note about an earlier record at its place is no such note."""
        mark = marks.get(Place(record.partition, record.offset))
        return cls(record, mark if mark is not None and mark.written_at == written_at(record) else None)

    @property
    def place(self) -> Place:
        """Where it lies."""
        return Place(self.record.partition, self.record.offset)

    @property
    def reason(self) -> str:
        """Why it is here, in one line without anybody's address."""
        headers = self.record.headers
        said = mask_addresses_in(headers.get("x-error", "")).strip()
        return f"{headers.get('x-error-class', 'unknown')}: {said.splitlines()[0]}" if said else "no reason given"

    @property
    def kind_of_reason(self) -> str:
        """The reason without its numbers, so that the same fault at two places is counted as one."""
        return _NUMBERS.sub("#", self.reason)[:160]

    @property
    def is_redriven(self) -> bool:
        """Whether somebody has sent it back to its topic."""
        return self.mark is not None and self.mark.redriven_at is not None

    @property
    def edited_value(self) -> bytes | None:
        """The value that somebody put in place of its own."""
        return None if self.mark is None else self.mark.edited_value

    @property
    def value(self) -> bytes:
        """What a redrive would send."""
        return self.record.value if self.edited_value is None else self.edited_value

    @property
    def lost_bytes(self) -> int:
        """How long its value was, where that was too large to be kept and nobody has put another in its place."""
        return 0 if self.edited_value is not None else int(self.record.headers.get("x-omitted-bytes", 0))

    def redriven(self, topic: str, message_type: str | None) -> OutboundRecord:
        """Return the record to append to `topic`: key and headers as they were before it died, and where it was since.

        `message_type` is the type that an edited value has; None leaves the header as it was.
        """
        record = self.record
        headers = {name: value for name, value in record.headers.items() if not name.startswith(_OWN_HEADERS)}
        if message_type is not None:
            headers[TYPE_HEADER] = message_type
        return OutboundRecord(topic, record.key, self.value, {**headers, REDRIVEN_FROM: f"{record.topic} {self.place}"})


def written_at(record: Record) -> datetime:
    """Return when the broker took `record`."""
    return datetime.fromtimestamp(record.timestamp_ms / 1000, UTC)


async def letters_in(broker: KafkaInspector, topic: str, marks: Marks) -> AsyncIterator[Letter]:
    """Yield every letter in `topic`, in order. Raises OperatingError where the brokers have no such topic."""
    for partition, extent in sorted((await broker.extents(await _partitions(broker, topic))).items()):
        async for record in broker.records(partition, extent):
            yield Letter.of(record, marks)


async def letter_at(broker: KafkaInspector, topic: str, place: Place, marks: Marks) -> Letter:
    """Return the letter at `place`. Raises OperatingError, saying what there is, where nothing lies there."""
    partitions = await _partitions(broker, topic)
    partition = Partition(topic, place.partition)
    if partition not in partitions:
        raise OperatingError(f"{topic} has no partition {place.partition}; it has {len(partitions)}, counted from 0")
    record = await broker.record(partition, place.offset)
    if record is None:
        extent = (await broker.extents([partition]))[partition]
        held = f"holds offsets {extent.first} to {extent.end - 1}" if extent.end > extent.first else "is empty"
        raise OperatingError(f"{topic} has nothing at {place}: partition {place.partition} {held}")
    return Letter.of(record, marks)


async def _partitions(broker: KafkaInspector, topic: str) -> list[Partition]:
    found = [health.partition for health in await broker.partitions() if health.partition.topic == topic]
    if not found:
        raise OperatingError(f"the brokers have no topic {topic} yet; run `sluice migrate`")
    return found
