"""A dead letter as an operator sees it: where it came from, why it is there, and what was done about it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final, NamedTuple

from sluice_local.operating.errors import OperatingError
from sluice_messaging.kafka.inspection import KafkaInspector
from sluice_messaging.records import TYPE_HEADER, OutboundRecord, Partition, Record
from sluice_runtime.redaction import mask_addresses_in

REDRIVEN_FROM: Final = "x-redriven-from"
_ADDED_HEADERS: Final = "x-"
_PLACE: Final = re.compile(r"(\d{1,9}):(\d{1,18})")
_NUMBERS: Final = re.compile(r"\d+")


class Place(NamedTuple):
    """Where a record lies in a topic; as text, `partition:offset`."""

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


class Origin(NamedTuple):
    """The record that died, by where it did; `fingerprint` is the SHA-256 of its value."""

    topic: str
    place: Place
    fingerprint: bytes

    @classmethod
    def of(cls, record: Record) -> Origin:
        """Return what the letter `record` is about; one that says nothing of its origin is about itself."""
        topic, partition, offset = (
            record.headers.get(f"x-original-{name}") for name in ("topic", "partition", "offset")
        )
        place = Place(record.partition, record.offset)
        if topic is None or partition is None or offset is None or not _PLACE.fullmatch(f"{partition}:{offset}"):
            topic = record.topic
        else:
            place = Place(int(partition), int(offset))
        return cls(topic, place, sha256(record.value).digest())


@dataclass(frozen=True, slots=True)
class Mark:
    """What operators did with one record that died."""

    edited_value: bytes | None = None
    edited_at: datetime | None = None
    redriven_at: datetime | None = None
    redrives: int = 0


Marks = Mapping[Origin, Mark]


@dataclass(frozen=True, slots=True)
class Letter:
    """One record of a dead-letter topic."""

    record: Record
    origin: Origin
    mark: Mark

    @classmethod
    def of(cls, record: Record, marks: Marks) -> Letter:
        """Return `record` with what was noted about it."""
        origin = Origin.of(record)
        return cls(record, origin, marks.get(origin, Mark()))

    @property
    def place(self) -> Place:
        """Where it lies."""
        return Place(self.record.partition, self.record.offset)

    @property
    def written_at(self) -> datetime:
        """When it was written, by its writer's machine."""
        return written_at(self.record)

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
    def value(self) -> bytes:
        """What a redrive would send."""
        return self.record.value if self.mark.edited_value is None else self.mark.edited_value

    @property
    def is_edited(self) -> bool:
        """Whether somebody has put another value in place of its own."""
        return self.mark.edited_value is not None

    @property
    def is_redriven(self) -> bool:
        """Whether somebody has sent its record back to its topic."""
        return self.mark.redriven_at is not None

    @property
    def lost_bytes(self) -> int:
        """How long its value was, where that was too large to be kept and nobody has put another in its place."""
        return 0 if self.is_edited else int(self.record.headers.get("x-omitted-bytes", 0))

    def redriven(self, topic: str, message_type: str | None) -> OutboundRecord:
        """Return the record to append to `topic`: key and headers as they were before it died, and where it was since.

        `message_type` is the type that an edited value has; None leaves the header as it was.
        """
        record = self.record
        headers = {name: value for name, value in record.headers.items() if not name.startswith(_ADDED_HEADERS)}
        if message_type is not None:
            headers[TYPE_HEADER] = message_type
        return OutboundRecord(topic, record.key, self.value, {**headers, REDRIVEN_FROM: f"{record.topic} {self.place}"})


def written_at(record: Record) -> datetime:
    """Return when `record` was written, by its writer's machine."""
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
