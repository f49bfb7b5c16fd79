"""One job's report inside a worker, and the compact columns in which the ledger keeps fifty of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from operator import attrgetter
from typing import Any, Final

import orjson

from sluice_channel.domain.outcomes import Settlement
from sluice_contracts.vocabulary import JobState, MessageState


@dataclass(slots=True)
class JobReport:
    """What is known of a job after a command: the columns of `ReportedJobs` that the command does not hold itself.

    `at` and `until` are Unix milliseconds. In a claim, `state` is `sending` for what is about to be handed over.
    """

    seq: int
    state: JobState
    at: int
    attempt: int
    code: str | None = None
    detail: str | None = None
    until: int | None = None
    message: MessageState | None = None
    provider: str | None = None
    provider_id: str | None = None
    segments: int | None = None
    cost_micros: int | None = None

    def apply(self, settlement: Settlement, at: int) -> None:
        """Take over what came of the hand-over at `at`. What is not sent costs nothing."""
        self.state = settlement.state
        self.at = at
        self.attempt = settlement.attempts
        self.code = settlement.code
        self.detail = settlement.detail
        self.until = None if settlement.until is None else to_milliseconds(settlement.until)
        self.message = settlement.message
        self.provider_id = settlement.provider_id
        if settlement.segments is not None:
            self.segments = settlement.segments
        if settlement.state is not JobState.SENT:
            self.cost_micros = None


_COLUMNS: Final = tuple(field.name for field in fields(JobReport))
_row: Final = attrgetter(*_COLUMNS)


def to_milliseconds(moment: datetime) -> int:
    """Return `moment` as Unix milliseconds, rounded down."""
    return int(moment.timestamp() * 1000)


def pack(reports: Sequence[JobReport]) -> bytes:
    """Return `reports` as JSON columns; one that is the same in every row is written once, one of None never."""
    columns: dict[str, Any] = {}
    for name, values in zip(_COLUMNS, zip(*map(_row, reports), strict=True), strict=True):
        first = values[0]
        if values.count(first) < len(values):
            columns[name] = values
        elif first is not None:
            columns[name] = first
    return orjson.dumps([len(reports), columns])


def unpack(packed: bytes) -> list[JobReport]:
    """Read back what `pack` wrote."""
    length, columns = orjson.loads(packed)
    spread = {
        name: value if isinstance(value, list) else [value] * length
        for name, value in ((name, columns.get(name)) for name in _COLUMNS)
    }
    spread["state"] = [JobState(value) for value in spread["state"]]
    spread["message"] = [None if value is None else MessageState(value) for value in spread["message"]]
    return [JobReport(*row) for row in zip(*(spread[name] for name in _COLUMNS), strict=True)]


def pack_columns(**columns: Sequence[Any]) -> bytes:
    """Return named columns as JSON, those of nothing but None left out."""
    return orjson.dumps({name: list(column) for name, column in columns.items() if any(v is not None for v in column)})


def unpack_columns(packed: bytes) -> dict[str, list[Any]]:
    """Read back what `pack_columns` wrote; columns that were left out are not there."""
    columns: dict[str, list[Any]] = orjson.loads(packed)
    return columns
