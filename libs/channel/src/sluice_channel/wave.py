"""A wave on its way: what is known of each of its jobs, and the messages of those that are to be handed over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sluice_channel.control import Stop
from sluice_channel.domain.gates import Verdict
from sluice_channel.ledger import WAVE_SIZE
from sluice_channel.provider import OutboundMessage
from sluice_channel.reports import Reports, to_milliseconds
from sluice_contracts.sentences import HOLD_SENTENCES
from sluice_contracts.vocabulary import FailureCode, FilterCode, HoldCode, JobState


@dataclass(slots=True)
class Wave:
    """Some jobs of a command, by index from 0.

    `places` is where each stands in the command, `stop` how its trigger was stopped at `planned_at`, and `gates` which
    gate filtered a job. `doubtful` are positions that were handed over and are not sent.
    """

    places: range
    reports: Reports
    messages: list[OutboundMessage | None]
    planned_at: datetime
    stop: Stop | None = None
    gates: dict[int, FilterCode] = field(default_factory=dict)
    doubtful: Sequence[int] = ()

    @property
    def number(self) -> int:
        """Which slice of the command it is."""
        return self.places.start // WAVE_SIZE

    @property
    def hands_over(self) -> bool:
        """Whether anything of it is to be handed over."""
        return JobState.SENDING in self.reports.state

    def sendable(self) -> list[int]:
        """Return which jobs are to be handed over."""
        return self.reports.indexes(JobState.SENDING)

    def filter(self, index: int, failed: Verdict) -> None:
        """Do not send a job, for the reason that `failed` gives."""
        cancelled = failed.code is FilterCode.CANCELLED
        self._withdraw(index, JobState.CANCELLED if cancelled else JobState.FILTERED, failed.code, failed.detail)
        self.gates[index] = failed.code

    def hold(self, index: int, code: HoldCode, until: datetime | None) -> None:
        """Do not send a job now; it comes back at `until`, or when somebody resumes the trigger."""
        self._withdraw(index, JobState.HELD, code, HOLD_SENTENCES[code])
        self.reports.until[index] = None if until is None else to_milliseconds(until)

    def fail(self, index: int, code: FailureCode, detail: str) -> None:
        """Give a job up."""
        self._withdraw(index, JobState.FAILED, code, detail)
        self.reports.until[index] = None

    def take(self, index: int, other: Wave, place: int) -> None:
        """Let a job be as `other` has planned it anew at its index `place`."""
        self.reports[index] = other.reports[place]
        self.messages[index] = other.messages[place]
        if place in other.gates:
            self.gates[index] = other.gates[place]

    def _withdraw(self, index: int, state: JobState, code: str, detail: str) -> None:
        reports = self.reports
        reports.state[index] = state
        reports.code[index] = code
        reports.detail[index] = detail
        reports.segments[index] = None
        reports.cost_micros[index] = None
        reports.provider[index] = None
        self.messages[index] = None
