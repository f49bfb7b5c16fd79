"""What is known of jobs inside a worker: columns, as they travel and as the ledger keeps fifty of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any, Final, NamedTuple, Self

import orjson

from sluice_channel.domain.outcomes import Settlement
from sluice_channel.provider import Accepted
from sluice_contracts.vocabulary import JobState, MessageState


class JobReport(NamedTuple):
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


_COLUMNS: Final = JobReport._fields


@dataclass(slots=True)
class Reports:
    """The reports on some jobs as columns, one entry a job; iterated, it gives them one by one."""

    seq: list[int]
    state: list[JobState]
    at: list[int]
    attempt: list[int]
    code: list[str | None]
    detail: list[str | None]
    until: list[int | None]
    message: list[MessageState | None]
    provider: list[str | None]
    provider_id: list[str | None]
    segments: list[int | None]
    cost_micros: list[int | None]

    @classmethod
    def about_to_be_sent(cls, seqs: list[int], attempts: list[int], at: int) -> Self:
        """Return reports on jobs of which nothing is known but that they are to be handed over."""
        length = len(seqs)

        def nothing() -> list[Any]:
            return [None] * length

        return cls(
            seqs, [JobState.SENDING] * length, [at] * length, attempts, nothing(), nothing(), nothing(), nothing(),
            nothing(), nothing(), nothing(), nothing(),
        )  # fmt: skip

    @classmethod
    def of(cls, reports: Iterable[JobReport]) -> Self:
        """Return single reports as columns."""
        return cls(*(list(column) for column in zip(*reports, strict=True)))

    @classmethod
    def joined(cls, parts: Sequence[Reports]) -> Self:
        """Return all reports of `parts`, in order."""
        return cls(*(list(chain(*columns)) for columns in zip(*(part.columns() for part in parts), strict=True)))

    def __len__(self) -> int:
        return len(self.seq)

    def __getitem__(self, index: int) -> JobReport:
        return JobReport(*(column[index] for column in self.columns()))

    def __setitem__(self, index: int, report: JobReport) -> None:
        for column, value in zip(self.columns(), report, strict=True):
            column[index] = value

    def __iter__(self) -> Iterator[JobReport]:
        return map(JobReport._make, zip(*self.columns(), strict=True))

    def columns(self) -> list[list[Any]]:
        """Return every column, in the order of a report's fields."""
        return [getattr(self, name) for name in _COLUMNS]

    def indexes(self, state: JobState) -> list[int]:
        """Return where the jobs stand that are in `state`."""
        return [index for index, known in enumerate(self.state) if known is state]

    def prove(self, proven: Collection[int]) -> None:
        """Take over that receipts have proven these positions to be handed over, whatever was thought of them."""
        if not proven:
            return
        for index, seq in enumerate(self.seq):
            if seq in proven and self.state[index] is not JobState.SENT:
                self.state[index] = JobState.SENT
                self.message[index] = MessageState.ACCEPTED
                self.code[index] = self.detail[index] = self.until[index] = None

    def accept(self, indexes: Iterable[int], outcomes: Iterable[Accepted], at: int) -> None:
        """Take over that the provider took these jobs at `at`: what `settle` would do with each settlement, at once."""
        for index, outcome in zip(indexes, outcomes, strict=True):
            self.state[index] = JobState.SENT
            self.at[index] = at
            self.attempt[index] += 1
            self.message[index] = outcome.state
            self.provider_id[index] = outcome.provider_id
            if outcome.segments is not None:
                self.segments[index] = outcome.segments

    def settle(self, index: int, settlement: Settlement, at: int) -> None:
        """Take over what came of a hand-over at `at`. What is not sent costs nothing."""
        self.state[index] = settlement.state
        self.at[index] = at
        self.attempt[index] = settlement.attempts
        self.code[index] = settlement.code
        self.detail[index] = settlement.detail
        self.until[index] = None if settlement.until is None else to_milliseconds(settlement.until)
        self.message[index] = settlement.message
        self.provider_id[index] = settlement.provider_id
        if settlement.segments is not None:
            self.segments[index] = settlement.segments
        if settlement.state is not JobState.SENT:
            self.cost_micros[index] = None


def to_milliseconds(moment: datetime) -> int:
    """Return `moment` as Unix milliseconds, rounded down."""
    return int(moment.timestamp() * 1000)


def pack(reports: Reports) -> bytes:
    """Return `reports` as JSON columns; one that is the same in every row is written once, one of None never."""
    columns: dict[str, Any] = {}
    for name, values in zip(_COLUMNS, reports.columns(), strict=True):
        first = values[0]
        if values.count(first) < len(values):
            columns[name] = values
        elif first is not None:
            columns[name] = first
    return orjson.dumps([len(reports), columns])


def unpack(packed: bytes) -> Reports:
    """Read back what `pack` wrote."""
    length, columns = orjson.loads(packed)
    spread = {
        name: value if isinstance(value, list) else [value] * length
        for name, value in ((name, columns.get(name)) for name in _COLUMNS)
    }
    spread["state"] = [JobState(value) for value in spread["state"]]
    spread["message"] = [None if value is None else MessageState(value) for value in spread["message"]]
    return Reports(**spread)


def pack_columns(**columns: Sequence[Any]) -> bytes:
    """Return named columns as JSON, those of nothing but None left out."""
    return orjson.dumps({name: column for name, column in columns.items() if column.count(None) < len(column)})


def unpack_columns(packed: bytes) -> dict[str, list[Any]]:
    """Read back what `pack_columns` wrote; columns that were left out are not there."""
    columns: dict[str, list[Any]] = orjson.loads(packed)
    return columns
