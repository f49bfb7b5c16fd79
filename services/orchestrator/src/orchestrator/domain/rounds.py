"""What becomes of the jobs that a worker could not carry out yet: they come again in later rounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from orchestrator.domain.answers import HeldJob
from orchestrator.domain.running import Mode
from sluice_contracts.vocabulary import HoldCode

_SLACK_SHARE: Final = 0.1
_LEAST_SLACK: Final = timedelta(seconds=1)
_WINDOW_SLACK: Final = timedelta(minutes=1)
_RESUMED_AGAIN: Final = timedelta(seconds=1)
_WITHOUT_A_TIME: Final = timedelta(seconds=60)
_LAST: Final = datetime.max.replace(tzinfo=UTC)
_CHANNEL_WAITS: Final = frozenset({HoldCode.RATE, HoldCode.PROVIDER_UNAVAILABLE, HoldCode.PAUSED})


@dataclass(frozen=True, slots=True)
class NextRound:
    """Jobs that come again together at `due_at`, or (None) when somebody resumes the trigger.

    `credit`: their page still counts as under way.
    """

    seqs: tuple[int, ...]
    attempts: tuple[int, ...]
    due_at: datetime | None
    credit: bool = False


def next_rounds(held: Sequence[HeldJob], mode: Mode, now: datetime, *, credit: bool) -> list[NextRound]:
    """Return the rounds in which held jobs come again.

    Jobs that are due within a tenth of the wait (at least a second) of each other share a round, at the latest of
    their times, so that none comes early and a page never falls apart into 200 rounds. Who waits for a window gives a
    minute at most: a tenth of a week would be longer than the window is open. The credit of the answered
    command stays with the page while any job waits for the channel itself (rate, provider, pause): were it given
    back, a whole audience would pile up behind a slow provider. It is given back where single people wait (a retry,
    their window), so that they do not hold up everybody behind them.
    """
    dated = sorted(((_due(job, mode, now), job) for job in held), key=lambda pair: (pair[0] or _LAST, pair[1].seq))
    groups: list[list[tuple[datetime | None, HeldJob]]] = []
    limit: datetime | None = now
    for due_at, job in dated:
        if not groups or (due_at is None) != (limit is None) or (due_at and limit and due_at > limit):
            groups.append([])
            limit = due_at and due_at + _slack(job, due_at - now)
        groups[-1].append((due_at, job))
        limit = limit and due_at and min(limit, due_at + _slack(job, due_at - now))
    keeper = next(
        (place for place, group in enumerate(groups) if any(job.code in _CHANNEL_WAITS for _, job in group)), None
    )
    return [
        NextRound(
            seqs=tuple(job.seq for job in jobs),
            attempts=tuple(job.attempt for job in jobs),
            due_at=group[-1][0],
            credit=credit and place == keeper,
        )
        for place, group in enumerate(groups)
        for jobs in [sorted((job for _, job in group), key=lambda job: job.seq)]
    ]


def _slack(job: HeldJob, wait: timedelta) -> timedelta:
    slack = max(_LEAST_SLACK, wait * _SLACK_SHARE)
    return min(slack, _WINDOW_SLACK) if job.code is HoldCode.OUTSIDE_WINDOW else slack


def _due(job: HeldJob, mode: Mode, now: datetime) -> datetime | None:
    if mode is Mode.CANCELLED:
        return now
    if mode is Mode.PAUSED:
        return None
    if job.until is not None:
        return max(job.until, now)
    # The trigger runs: either it was resumed before the worker had heard of it, or the worker knows no time.
    return now + (_RESUMED_AGAIN if job.code is HoldCode.PAUSED else _WITHOUT_A_TIME)
