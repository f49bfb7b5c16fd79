"""Where records go that can never be handled: as they came, with the reason, and only as long as they are few."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sluice_contracts.base import format_instant
from sluice_messaging.errors import PoisonError
from sluice_messaging.records import OutboundRecord, Record

_LONGEST_REASON: Final = 1_000


def dead_letter_topic(topic: str) -> str:
    """Return the name of the topic that takes what can never be handled from `topic`."""
    return f"{topic}.dlq"


def dead_letter(record: Record, error: BaseException, *, attempts: int, group: str, now: datetime) -> OutboundRecord:
    """Return `record` as a dead letter: its key, value and headers untouched, and beside them where from and why."""
    reason = error.reason if isinstance(error, PoisonError) else str(error)
    return OutboundRecord(
        dead_letter_topic(record.topic),
        record.key,
        record.value,
        {
            **record.headers,
            "x-original-topic": record.topic,
            "x-original-partition": str(record.partition),
            "x-original-offset": str(record.offset),
            "x-error-class": type(error).__qualname__,
            "x-error": reason[:_LONGEST_REASON],
            "x-attempts": str(attempts),
            "x-failed-at": format_instant(now),
            "x-consumer-group": group,
        },
    )


def without_value(letter: OutboundRecord) -> OutboundRecord:
    """Return `letter` for a record so large that not even its dead letter fits; the original stays where it was."""
    return letter._replace(value=b"", headers={**letter.headers, "x-omitted-bytes": str(len(letter.value))})


@dataclass(slots=True)
class DeadLetterLimit:
    """Tells a few bad records from a fault of our own, which would drain the whole topic into the dead letters.

    Exceeded after `consecutive` dead letters with nothing handled between them, or when more than `ratio` of the last
    `window` records were dead, once `minimum` of them have been seen.
    """

    consecutive: int = 100
    ratio: float = 0.5
    window: int = 1_000
    minimum: int = 200
    _in_a_row: int = field(default=0, init=False)
    _recent: deque[bool] = field(init=False)
    _dead: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._recent = deque(maxlen=self.window)

    def handled(self, records: int = 1) -> None:
        """Count `records` that were handled."""
        self._in_a_row = 0
        for _ in range(min(records, self.window)):
            self._count(dead=False)

    def dead(self) -> str | None:
        """Count one record that is to become a dead letter; return why it must not, or None if it may."""
        self._in_a_row += 1
        self._count(dead=True)
        if self._in_a_row > self.consecutive:
            return f"{self._in_a_row} records in a row could not be handled"
        seen = len(self._recent)
        if seen >= self.minimum and self._dead > self.ratio * seen:
            return f"{self._dead} of the last {seen} records could not be handled"
        return None

    def _count(self, *, dead: bool) -> None:
        if len(self._recent) == self.window:
            self._dead -= self._recent[0]
        self._recent.append(dead)
        self._dead += dead
