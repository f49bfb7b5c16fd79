"""A worker's report as the orchestrator needs it: which command it answers, what has to wait, how each job stands.

Reports come for every receipt of every message, and few of them matter here, so they are read as plain JSON.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, cast
from uuid import UUID

import orjson

from sluice_contracts.vocabulary import (
    ENGAGEMENT_BITS,
    MESSAGE_STATE_RANKS,
    Engagement,
    HoldCode,
    JobState,
    MessageState,
)

_COLUMNS: Final = ("state", "message", "engagement", "epoch", "attempt", "code", "until")
_HOLD_CODES: Final = frozenset(HoldCode)


class UnreadableReportError(ValueError):
    """The record is no report."""


@dataclass(frozen=True, slots=True)
class HeldJob:
    """A job that has to wait, until a moment or (None) for somebody. `attempt` counts hand-overs so far."""

    seq: int
    attempt: int
    code: HoldCode | None
    until: datetime | None


@dataclass(frozen=True, slots=True)
class JobFact:
    """One thing that is now known of one job. `standing` orders its states: retried jobs stand above first tries."""

    seq: int
    standing: int
    message_rank: int
    engagement_bits: int


class Report:
    """One record of the topic `deliveries`."""

    def __init__(self, value: bytes) -> None:
        """Read a record's value.

        Raises UnreadableReportError when it is no report.
        """
        try:
            body = orjson.loads(value)
            self.workspace_id = UUID(body["workspace_id"])
            self.trigger_id = UUID(body["trigger_id"])
            self.execution_id = UUID(body["execution_id"])
            self.page = int(body["page"])
            answers_round = body.get("answers_round")
            self.answers_round = None if answers_round is None else int(answers_round)
            self._jobs = cast("dict[str, list[Any]]", body["jobs"])
            self._seqs = [int(seq) for seq in self._jobs["seq"]]
            if any(len(self._jobs[name]) != len(self._seqs) for name in _COLUMNS):
                raise UnreadableReportError("the columns of the report differ in length")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UnreadableReportError(f"{type(error).__name__}: {error}") from error

    @property
    def held(self) -> list[HeldJob]:
        """The jobs that have to wait, one entry each: where a job was reported more than once, its last report."""
        jobs = self._jobs
        last = {
            seq: HeldJob(seq, attempt, _hold_code(code), _moment(until)) if state == JobState.HELD else None
            for seq, attempt, state, code, until in zip(
                self._seqs, jobs["attempt"], jobs["state"], jobs["code"], jobs["until"], strict=True
            )
            if state is not None
        }
        return [job for job in last.values() if job is not None]

    @property
    def facts(self) -> list[JobFact]:
        """Everything that is reported, one entry a report."""
        jobs = self._jobs
        return [
            JobFact(
                seq,
                -1 if state is None else standing(epoch, JobState(state)),
                0 if message is None else MESSAGE_STATE_RANKS[MessageState(message)],
                0 if engagement is None else ENGAGEMENT_BITS[Engagement(engagement)],
            )
            for seq, epoch, state, message, engagement in zip(
                self._seqs, jobs["epoch"], jobs["state"], jobs["message"], jobs["engagement"], strict=True
            )
        ]


def standing(epoch: int, state: JobState) -> int:
    """Return a number that is higher the further a job has come; a retry stands above all that was before it."""
    return epoch * len(JobState) + state.rank


def _hold_code(code: str | None) -> HoldCode | None:
    return HoldCode(code) if code in _HOLD_CODES else None


def _moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)
