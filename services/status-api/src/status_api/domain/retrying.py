"""Asking for failed jobs to be tried again: each in the epoch that follows its own, so that it comes once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from sluice_contracts.identifiers import page_of


class FailedJob(NamedTuple):
    """A failed job: its position, and the epoch in which it failed."""

    seq: int
    epoch: int


class Try(NamedTuple):
    """Jobs of one page that are to come again together."""

    page: int
    epoch: int
    seqs: list[int]


def tries(failed: Iterable[FailedJob]) -> list[Try]:
    """Return how jobs come again.

    A job that is asked for twice before anybody has heard what became of it is named in the same epoch both times.
    """
    groups: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for job in failed:
        groups[page_of(job.seq), job.epoch + 1].append(job.seq)
    return [Try(page, epoch, seqs) for (page, epoch), seqs in groups.items()]
