"""One message as it lies in a topic, and as it is handed over to be appended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple, TypeVar

from pydantic import ValidationError

from sluice_contracts.base import Message
from sluice_messaging.errors import PoisonError

TYPE_HEADER: Final = "ce_type"
CONTENT_TYPE_HEADER: Final = "content-type"
JSON: Final = "application/json"

M = TypeVar("M", bound=Message)


class Partition(NamedTuple):
    """One partition of one topic."""

    topic: str
    number: int


@dataclass(frozen=True, slots=True)
class Record:
    """A record read from a topic. A tombstone's value is empty; `timestamp_ms` is Unix time in milliseconds."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: Mapping[str, str]
    timestamp_ms: int

    @property
    def source(self) -> Partition:
        """The partition that the record lies in."""
        return Partition(self.topic, self.partition)

    @property
    def message_type(self) -> str | None:
        """The type of the message, as `outbound` wrote it; None where the producer named none."""
        return self.headers.get(TYPE_HEADER)

    def decode(self, message: type[M]) -> M:
        """Read the value as a `message`.

        Raises PoisonError when it is not one; a handler lets that pass, and the record goes to the dead letters.
        """
        try:
            return message.decode(self.value)
        except ValidationError as error:
            raise PoisonError(f"not a {message.TYPE}: {_summary(error)}") from error


class OutboundRecord(NamedTuple):
    """A record to append. All records with one `key` go to one partition, in the order in which they are published."""

    topic: str
    key: bytes | None
    value: bytes
    headers: Mapping[str, str] = MappingProxyType({})


def with_headers(record: OutboundRecord, headers: Mapping[str, str]) -> OutboundRecord:
    """Return `record` with `headers` beside its own."""
    return record._replace(headers={**record.headers, **headers}) if headers else record


def headers_of(message: type[Message]) -> Mapping[str, str]:
    """Return the headers of a record of a `message`, its type among them: readers can route before decoding."""
    return {TYPE_HEADER: message.TYPE, CONTENT_TYPE_HEADER: JSON}


def outbound(topic: str, message: Message, key: bytes | None = None) -> OutboundRecord:
    """Return `message` as a record for `topic`. `key` is for a message that cannot tell its own."""
    return OutboundRecord(topic, message.key if key is None else key, message.encode(), headers_of(type(message)))


def _summary(error: ValidationError) -> str:
    """Say which fields are wrong, without their values: those may hold somebody's address."""
    problems = error.errors(include_input=False, include_url=False, include_context=False)
    return "; ".join(f"{'.'.join(map(str, problem['loc'])) or 'value'}: {problem['msg']}" for problem in problems[:5])
