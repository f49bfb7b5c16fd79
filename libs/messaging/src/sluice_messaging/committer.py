"""Carries finished offsets to the broker, beside the work and never in its way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog

from sluice_messaging.errors import BrokerUnavailableError
from sluice_messaging.sources import RecordSource
from sluice_messaging.tenure import Tenure
from sluice_runtime import metrics
from sluice_runtime.failpoints import FAILPOINTS
from sluice_runtime.pausing import pause

COMMIT_EVERY_SECONDS: Final = 0.5
COMMITS_APART_SECONDS: Final = 1.0
"""A commit is an append that the broker has to replicate, and what is handled twice does no harm."""

MEASURE_EVERY_SECONDS: Final = 5.0

_log = structlog.get_logger()


class Committer:
    """The commits of one membership, one at a time."""

    def __init__(self, group: str, source: RecordSource) -> None:
        self._group = group
        self._source = source
        self._one_at_a_time = asyncio.Lock()
        self._wanted = asyncio.Event()
        self._measured: set[tuple[str, str]] = set()

    def want(self) -> None:
        """Ask for a commit now instead of at the next interval."""
        self._wanted.set()

    async def run(self, tenure: Callable[[], Tenure]) -> None:
        """Commit the progress of the present `tenure`, and measure how far it is behind, until cancelled."""
        clock = asyncio.get_running_loop().time
        measure_at = clock()
        while True:
            await pause(COMMIT_EVERY_SECONDS, self._wanted)
            self._wanted.clear()
            await self.commit(tenure())
            if clock() >= measure_at:
                measure_at = clock() + MEASURE_EVERY_SECONDS
                await self.measure(tenure())
            await asyncio.sleep(COMMITS_APART_SECONDS)

    async def commit(self, tenure: Tenure) -> None:
        """Store what has moved in `tenure` since its last commit. What cannot be stored now stays for the next time.

        Takes about ten seconds at worst: a commit under way, and then its own.
        """
        async with self._one_at_a_time:
            offsets = tenure.progress.uncommitted()
            if not offsets:
                return
            FAILPOINTS.reach("messaging.commit")
            try:
                stored = await self._source.commit(offsets)
            except BrokerUnavailableError as error:
                _log.warning("commit.postponed", group=self._group, error=repr(error))
                return
            if stored:
                tenure.progress.mark_committed(offsets)

    async def measure(self, tenure: Tenure) -> None:
        """Publish the lag of every partition owned; those no longer owned vanish from the metrics."""
        metrics.IN_FLIGHT_RECORDS.labels(self._group).set(tenure.progress.in_flight)
        backlog = await self._source.backlog()
        owned = set()
        for partition, known in backlog.items():
            resume = tenure.progress.resume_offset(partition)
            lag = max(0, known.end - (known.position if resume is None else resume))
            labels = (partition.topic, str(partition.number))
            metrics.CONSUMER_LAG.labels(self._group, *labels).set(lag)
            owned.add(labels)
        for labels in self._measured - owned:
            with suppress(KeyError):
                metrics.CONSUMER_LAG.remove(self._group, *labels)
        self._measured = owned

    def forget(self) -> None:
        """Take this membership out of the metrics."""
        metrics.IN_FLIGHT_RECORDS.labels(self._group).set(0)
        for labels in self._measured:
            with suppress(KeyError):
                metrics.CONSUMER_LAG.remove(self._group, *labels)
        self._measured = set()
