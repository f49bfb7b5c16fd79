"""Between our records and aiokafka's."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from sluice_messaging.records import Record
from sluice_runtime import tracing

_LOSSLESS = "surrogateescape"

Headers = list[tuple[str, bytes]]
"""The headers of a record as aiokafka takes them."""

_NO_TRACE: Final[Mapping[str, str]] = MappingProxyType({})


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


def headers_from(headers: Mapping[str, str], trace: Mapping[str, str] = _NO_TRACE) -> Headers:
    """Return `headers` as aiokafka takes them: a fresh list each time; `trace` is added where they have no trace."""
    own = [(name, value.encode(errors=_LOSSLESS)) for name, value in headers.items()]
    if trace and tracing.TRACEPARENT not in headers:
        own += [(name, value.encode()) for name, value in trace.items()]
    return own
