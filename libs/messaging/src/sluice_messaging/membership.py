"""One membership in a consumer group: join, fetch, hand out, give back, leave.

Three tasks share it. The *loop* here fetches and hands records to the dispatcher; the dispatcher (`batch`, `keyed`)
gets them handled; the committer stores how far they are. The broker's own task interrupts them all at a rebalance.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import structlog

from sluice_messaging.committer import Committer
from sluice_messaging.records import Partition, Record
from sluice_messaging.sources import RecordSource
from sluice_messaging.tasks import cancelled, finished
from sluice_messaging.tenure import Tenure
from sluice_runtime import metrics
from sluice_runtime.pausing import pause

POLL_SECONDS: Final = 0.5
STOP_DRAIN_SECONDS: Final = 5.0
LAST_COMMIT_SECONDS: Final = 1.5
REVOKE_DRAIN_SECONDS: Final = 10.0
"""Less than the group waits for its members, by the time that two commits may take."""

_FETCHES_BEHIND: Final = 2
"""After a while of not fetching, the first fetch gives the little that came at its beginning, the second the rest."""

_BEHIND_SECONDS: Final = 0.02

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Demand:
    """What a dispatcher can take now: `limit` records, none of the partitions in `without`."""

    limit: int
    without: frozenset[Partition] = frozenset()


class Dispatcher(Protocol):
    """Gets records handled: one of the two shapes of a consumer."""

    @property
    def linger(self) -> float:
        """How many seconds lie between two batches, unless the second is full sooner."""
        ...

    @property
    def failure(self) -> asyncio.Future[None]:
        """Fails when the consumer must stop, with the reason."""
        ...

    def demand(self, tenure: Tenure) -> Demand | None:
        """Return what can be taken now; None to be asked again when the tenure is relieved."""
        ...

    async def dispatch(self, records: Sequence[Record], tenure: Tenure) -> None:
        """Begin `records`; return when more may be fetched. Raises OffsetOrderError."""
        ...


class Membership:
    """One membership, used once: `joined` while it lasts, `useful` if it ever came so far."""

    def __init__(self, group: str, source: RecordSource, dispatcher: Dispatcher) -> None:
        self._group = group
        self._source = source
        self._dispatcher = dispatcher
        self._committer = Committer(group, source)
        self._tenure = Tenure()
        self._outgoing: list[Tenure] = []
        self._leaving = False
        self._next_at = 0.0
        self.joined = False
        self.useful = False

    async def serve(self, stop: asyncio.Event) -> None:
        """Be a member until `stop` is set, then give everything back.

        Raises BrokerUnavailableError or OffsetOrderError when this membership is of no more use, and what the
        dispatcher fails with. When cancelled it leaves without finishing or committing anything.
        """
        looping = asyncio.create_task(self._loop(), name=f"{self._group}: loop")
        committing = asyncio.create_task(self._committer.run(lambda: self._tenure), name=f"{self._group}: committer")
        stopping = asyncio.create_task(stop.wait(), name=f"{self._group}: stop")
        failure = self._dispatcher.failure
        try:
            watched: set[asyncio.Future[Any]] = {looping, committing, stopping, failure}
            await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            self._leaving = True
            await self._stand_down()
        finally:
            self._leaving, self.joined = True, False
            self._tenure.end()
            ended = [task for task in (looping, committing) if task.done()]
            await cancelled(looping, committing, stopping)
            await self._source.close()
            self._committer.forget()
        for task in (*ended, failure):
            if task.done():
                task.result()

    async def revoked(self) -> None:
        tenure, self._tenure = self._tenure, Tenure()
        if self._leaving:
            self._tenure.end()
        self._outgoing = [each for each in self._outgoing if each.is_working] + [tenure]
        tenure.end()
        await self._drain(tenure, REVOKE_DRAIN_SECONDS)
        await self._committer.commit(tenure)

    def assigned(self, partitions: frozenset[Partition]) -> None:
        metrics.REBALANCES.labels(self._group).inc()
        _log.info(
            "consumer.assigned",
            group=self._group,
            partitions=sorted(f"{partition.topic}:{partition.number}" for partition in partitions),
        )

    async def _stand_down(self) -> None:
        """Let nothing new begin, wait for what runs, also from before a rebalance, and commit."""
        self._tenure.end()
        tenures = [*self._outgoing, self._tenure]
        await asyncio.gather(*(self._drain(tenure, STOP_DRAIN_SECONDS) for tenure in tenures))
        await finished("consumer.last_commit", self._committer.commit(self._tenure), LAST_COMMIT_SECONDS)

    async def _drain(self, tenure: Tenure, seconds: float) -> None:
        if not await tenure.idle(seconds):
            _log.warning("consumer.drain_cut_short", group=self._group, seconds=seconds)

    async def _loop(self) -> None:
        await self._source.open(self)
        self.joined = self.useful = True
        while not self._leaving:
            tenure = self._tenure
            demand = self._dispatcher.demand(tenure)
            if demand is None:
                await tenure.relieved()
                continue
            tenure, records = await self._gather(demand)
            if records and not tenure.over.is_set():
                await self._dispatcher.dispatch(records, tenure)
                if not tenure.progress.in_flight:
                    self._committer.want()
            await asyncio.sleep(0)

    async def _gather(self, demand: Demand) -> tuple[Tenure, list[Record]]:
        """Fetch up to what is demanded, lingering for more; the records are those of the tenure returned with them.

        What comes after a pause is handed out at once, and only then does the next wait until it is worth while. It
        waits at the broker: to fetch each record as it comes would cost both sides more than anything done with it.
        Where the broker holds more than it gave, there is company enough, and nothing waits.
        """
        clock = asyncio.get_running_loop().time
        tenure, records = await self._fetch(demand, demand.limit, POLL_SECONDS)
        waits = bool(records) and len(records) < demand.limit and not self._source.is_behind()
        if waits and (left := self._next_at - clock()) > 0:
            await pause(left, tenure.over)
            more, tries = True, 0
            while more and tries < _FETCHES_BEHIND and len(records) < demand.limit:
                tries += 1
                later, found = await self._fetch(demand, demand.limit - len(records), _BEHIND_SECONDS)
                more = bool(found)
                tenure, records = later, records + found if later is tenure else found
        self._next_at = clock() + self._dispatcher.linger
        return tenure, records

    async def _fetch(self, demand: Demand, limit: int, wait: float) -> tuple[Tenure, list[Record]]:
        records = await self._source.fetch(limit=limit, wait=wait, without=demand.without)
        return self._tenure, list(records)
