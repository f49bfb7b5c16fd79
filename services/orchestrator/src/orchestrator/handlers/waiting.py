"""The loop that lets people into waits, ends those whose time is over, and feeds what is behind.

Everything that follows from one look is one transaction; what it says is published before it ends, while its rows are
locked, so that a crash at any moment leaves the same work to be done and said again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog

from orchestrator.adapters import releases, waits
from orchestrator.adapters.commands import modes_held_still
from orchestrator.adapters.records import Records, add_cohort_pages, cohort_pages
from orchestrator.adapters.waits import WaitStage
from orchestrator.domain.cohort import Position, audience_positions
from orchestrator.domain.running import Mode, RunningTrigger
from orchestrator.domain.waits import awaited_names
from orchestrator.handlers.doorkeeping import Doorkeeper, Entrance
from orchestrator.handlers.releasing import Releases
from orchestrator.handlers.wake import TIMERS, WAITS, Wake
from orchestrator.ports import Audience, Directory
from sluice_contracts.base import Message
from sluice_contracts.identifiers import PAGE_SIZE
from sluice_contracts.messages.execution import CohortCounted
from sluice_contracts.messages.trigger import AddressRecipients, ContactRecipients
from sluice_contracts.topics import EXECUTIONS
from sluice_messaging.errors import TransientError
from sluice_messaging.ports import EventPublisher
from sluice_messaging.records import outbound
from sluice_runtime.clock import Clock
from sluice_runtime.failpoints import FAILPOINTS
from sluice_storage.database import Connection, Database
from sluice_storage.errors import is_transient

_BATCH: Final = 500
_STAGES: Final = 100
_STARVED_REST: Final = timedelta(seconds=1)
_log = structlog.get_logger()

Due = Callable[[Connection, datetime, int], Awaitable[Collection[UUID]]]
"""Finds the triggers in which something is due, up to a number of them or of what is due."""

Work = Callable[[Connection, Collection[UUID], datetime], Awaitable[int]]
"""Does what is due in some triggers at a moment; gives how much that was."""


class Waiting:
    """Any number of these, in any number of processes, share the work."""

    def __init__(
        self,
        database: Database,
        records: Records,
        directory: Directory,
        doorkeeper: Doorkeeper,
        steps_behind: Releases,
        publisher: EventPublisher,
        clock: Clock,
        wake: Wake,
        poll_seconds: float = 0.5,
    ) -> None:
        self._database = database
        self._records = records
        self._directory = directory
        self._doorkeeper = doorkeeper
        self._steps_behind = steps_behind
        self._publisher = publisher
        self._clock = clock
        self._wake = wake
        self._poll_seconds = poll_seconds

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set."""
        sleeper = self._wake.subscribe(WAITS)
        while not stop.is_set():
            try:
                done = await self.look()
            except Exception as error:
                if not (isinstance(error, TransientError) or is_transient(error)):
                    raise
                _log.warning("waits.delayed", error=type(error).__name__)
                done = 0
            if not done:
                await sleeper.sleep(self._poll_seconds, stop)

    async def look(self) -> int:
        """Do what is due now, a bounded amount; return how much that was."""
        opened = await self._work(waits.due_wait_stages, _STAGES, self._open)
        timed_out = await self._work(waits.overdue_triggers, _BATCH, self._time_out)
        released = await self._work(releases.due_releases, _BATCH, self._release)
        FAILPOINTS.reach("orchestrator.waits_committed")
        if released:
            self._wake.signal(TIMERS)
        return opened + timed_out + released

    async def _work(self, due: Due, limit: int, work: Work) -> int:
        """Do in one transaction what is due by now: most looks find nothing, and need none."""
        now = self._clock.now()
        async with self._database.connection() as connection:
            ids = await due(connection, now, limit)
        if not ids:
            return 0
        return await self._database.in_transaction(lambda connection: work(connection, ids, now))

    async def _open(self, connection: Connection, ids: Collection[UUID], now: datetime) -> int:
        """Let the next page of people into each of the waits that are due first; return how many moved."""
        triggers = await self._running(connection, ids)
        await waits.hold_names(connection, awaited_names(triggers.values(), later=False))
        await modes_held_still(connection, ids)
        stages = await waits.hold_wait_stages(connection, ids, now)
        written = await cohort_pages(connection, {(stage.trigger_id, stage.next_page) for stage in stages})
        entrances: list[Entrance] = []
        said: list[Message] = []
        further: list[tuple[WaitStage, datetime]] = []
        ended: list[WaitStage] = []
        for stage in stages:
            trigger = triggers.get(stage.trigger_id)
            wait = None if trigger is None else trigger.plan.wait(stage.step_order)
            if trigger is None or wait is None:
                ended.append(stage)
                continue
            recipients = trigger.accepted.recipients
            if stage.walks and not isinstance(recipients, ContactRecipients | AddressRecipients):
                positions, cursor, total = await self._walk(connection, stage, recipients)
                said += [] if total is None else [_counted(trigger, total)]
                is_last = total is not None
            else:
                positions, cursor = written.get((stage.trigger_id, stage.next_page), []), None
                reached = (stage.next_page + bool(positions)) * PAGE_SIZE
                is_last = trigger.cohort_total is not None and reached >= trigger.cohort_total
            if positions:
                entrances.append(Entrance(trigger, wait, stage.next_page, dict(enumerate(positions))))
            if is_last:
                ended.append(stage)
            else:
                behind = replace(stage, next_page=stage.next_page + bool(positions), cursor=cursor)
                further.append((behind, now if positions else now + _STARVED_REST))
        await waits.advance_wait_stages(connection, further)
        await waits.close_wait_stages(connection, ended)
        plans = [triggers[stage.trigger_id].plan for stage in ended if stage.trigger_id in triggers]
        await releases.announce_all_opened(connection, plans, now)
        await self._say([*said, *await self._doorkeeper.let_in(connection, entrances, now)])
        return len(ended) + len(entrances)

    async def _walk(
        self, connection: Connection, stage: WaitStage, recipients: Audience
    ) -> tuple[Sequence[Position], UUID | None, int | None]:
        """Write a stage's next page from the audience; return it, the place of its last, and the total at the end."""
        found = await self._directory.audience_page(stage.workspace_id, recipients, stage.cursor, PAGE_SIZE)
        positions = audience_positions(found)
        if positions:
            await add_cohort_pages(connection, [(stage.trigger_id, stage.next_page, positions)])
        total = None
        if len(found) < PAGE_SIZE:
            total = stage.next_page * PAGE_SIZE + len(found)
            await waits.count_walked_cohort(connection, stage.trigger_id, total)
        return positions, found[-1].id if found else stage.cursor, total

    async def _time_out(self, connection: Connection, ids: Collection[UUID], now: datetime) -> int:
        """End waits for which no event came in time; return how many."""
        triggers = await self._running(connection, ids)
        modes = await modes_held_still(connection, ids)
        ended = await waits.time_out(connection, now, ids, _BATCH)
        await self._say(await self._doorkeeper.let_go(connection, triggers, modes, ended))
        return len(ended)

    async def _release(self, connection: Connection, ids: Collection[UUID], now: datetime) -> int:
        """Let people who have reached a step behind a wait have its message, or begin its wait."""
        triggers = await self._running(connection, ids)
        await waits.hold_names(connection, awaited_names(triggers.values(), later=True))
        modes = await modes_held_still(connection, ids)
        going = [trigger_id for trigger_id in ids if modes.get(trigger_id) is not Mode.PAUSED]
        taken = await releases.take_releases(connection, now, going, _BATCH)
        await self._say(await self._steps_behind.carry_out(connection, triggers, taken, now))
        FAILPOINTS.reach("orchestrator.releases_published")
        return len(taken)

    async def _say(self, said: Sequence[Message]) -> None:
        if said:
            await self._publisher.publish([outbound(EXECUTIONS, message) for message in said])

    async def _running(self, connection: Connection, ids: Collection[UUID]) -> dict[UUID, RunningTrigger]:
        found = await self._records.triggers(connection, ids)
        return {key: trigger for key, trigger in found.items() if isinstance(trigger, RunningTrigger)}


def _counted(trigger: RunningTrigger, total: int) -> CohortCounted:
    return CohortCounted(
        trigger_id=trigger.plan.trigger_id,
        workspace_id=trigger.plan.workspace_id,
        at=trigger.plan.planned_at,
        total_contacts=total,
        final=True,
    )
