"""Between our records and aiokafka's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sluice_messaging.records import Record

_LOSSLESS = "surrogateescape"


def record_from(consumed: Any) -> Record:
    """Return what aiokafka consumed as our record."""
    return Record(
        consumed.topic,
        consumed.partition,
        consumed.offset,
        consumed.key,
        consumed.value or b"",
        {name: (value or b"").decode(errors=_LOSSLESS) for name, value in consumed.headers},
        consumed.timestamp,
    )


def headers_from(headers: Mapping[str, str]) -> list[tuple[str, bytes]]:
    """Return `headers` as aiokafka takes them: a fresh list each time, of names and bytes."""
    return [(name, value.encode(errors=_LOSSLESS)) for name, value in headers.items()]
