"""Waits for events: lets people in, lets them go when their event comes or the time is over, and feeds what is behind.

Everything that follows from one look is one transaction; what it says is published before it ends, while its rows are
locked, so that a crash at any moment leaves the same work to be done and said again.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog

from orchestrator.adapters import waits
from orchestrator.adapters.commands import WaitingCommand, allot_rounds, modes_held_still, open_commands
from orchestrator.adapters.records import Records, add_cohort_pages, cohort_pages, executions_of, start_executions
from orchestrator.adapters.waits import EndedWait, Release, WaitKey, WaitStage
from orchestrator.domain.cohort import Position, audience_positions
from orchestrator.domain.plan import ExecutionPlan, WaitPlan
from orchestrator.domain.running import Mode, RunningTrigger, StartedExecution
from orchestrator.handlers.emission import Emitter
from orchestrator.handlers.wake import TIMERS, WAITS, Wake
from orchestrator.ports import Directory
from sluice_catalog.mapping import text_at
from sluice_contracts.base import Message
from sluice_contracts.identifiers import PAGE_SIZE
from sluice_contracts.messages.event import EventOccurred
from sluice_contracts.messages.execution import CohortCounted, ExecutionCommanded, ExecutionStarted
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
_STARVED_REST: Final = timedelta(seconds=1)
_log = structlog.get_logger()


class Waiting:
    """Any number of these, in any number of processes, share the work."""

    def __init__(
        self,
        database: Database,
        records: Records,
        directory: Directory,
        emitter: Emitter,
        publisher: EventPublisher,
        clock: Clock,
        wake: Wake,
        poll_seconds: float = 0.5,
    ) -> None:
        self._database = database
        self._records = records
        self._directory = directory
        self._emitter = emitter
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
        opened = await self._database.in_transaction(self._open)
        timed_out = await self._database.in_transaction(self._time_out)
        released = await self._database.in_transaction(self._release)
        FAILPOINTS.reach("orchestrator.waits_committed")
        if released:
            self._wake.signal(TIMERS)
        return opened + timed_out + released

    async def meet(self, events: Sequence[EventOccurred]) -> dict[UUID, int]:
        """End the waits that `events` are for, and keep those for waits to come; return how many waits each ended."""
        awaited = await self._directory.waited_for({(event.workspace_id, event.name) for event in events})
        met = {
            event.event_id: (event, keys)
            for event in events
            if (keys := keys_of(event, awaited.get((event.workspace_id, event.name), ())))
        }
        if not met:
            return {}
        ended = await self._database.in_transaction(lambda connection: self._meet(connection, list(met.values())))
        self._wake.signal(WAITS)
        return ended

    async def _meet(
        self, connection: Connection, met: Sequence[tuple[EventOccurred, Collection[WaitKey]]]
    ) -> dict[UUID, int]:
        counts: dict[UUID, int] = {}
        now = self._clock.now()
        await waits.hold_names(connection, {(event.workspace_id, event.name) for event, _ in met})
        waiting: dict[UUID, set[UUID]] = {}
        for event, keys in met:
            await waits.keep_event(connection, event, keys)
            waiting[event.event_id] = await waits.waiting_for(connection, event, keys)
        ids = set().union(*waiting.values())
        if not ids:
            return counts
        triggers = await self._running(connection, ids)
        modes = await modes_held_still(connection, ids)
        for event, keys in met:
            ended = await waits.end_waits(connection, event, keys, waiting[event.event_id], now)
            await self._let_go(connection, triggers, modes, ended)
            counts[event.event_id] = len(ended)
        return counts

    async def _open(self, connection: Connection) -> int:
        """Let the next page of people into the wait that is due first."""
        now = self._clock.now()
        trigger_id = await waits.first_wait_stage(connection, now)
        if trigger_id is None:
            return 0
        trigger = (await self._running(connection, [trigger_id])).get(trigger_id)
        if trigger is not None:
            await waits.hold_names(connection, _names([trigger], later=False))
        await modes_held_still(connection, [trigger_id])
        stage = await waits.hold_wait_stage(connection, trigger_id, now)
        if stage is None:
            return 0
        wait = None if trigger is None else trigger.plan.wait(stage.step_order)
        if trigger is None or wait is None:
            await waits.close_wait_stage(connection, stage)
            return 1
        positions, cursor, ended = await self._page(connection, trigger, stage)
        if positions:
            await self._let_in(connection, trigger, wait, stage.next_page, dict(enumerate(positions)), now)
        if ended:
            await waits.close_wait_stage(connection, stage)
            await waits.announce_all_opened(connection, trigger.plan, now, rests=False)
        else:
            pause = now if positions else now + _STARVED_REST
            await waits.advance_wait_stage(connection, stage, stage.next_page + bool(positions), cursor, pause)
        return 1 if positions or ended else 0

    async def _page(
        self, connection: Connection, trigger: RunningTrigger, stage: WaitStage
    ) -> tuple[Sequence[Position], UUID | None, bool]:
        """Return the people of a stage's next page, the place of the last in the audience, and whether that was all."""
        recipients = trigger.accepted.recipients
        if stage.walks and not isinstance(recipients, ContactRecipients | AddressRecipients):
            found = await self._directory.audience_page(stage.workspace_id, recipients, stage.cursor, PAGE_SIZE)
            positions = audience_positions(found)
            if positions:
                await add_cohort_pages(connection, [(stage.trigger_id, stage.next_page, positions)])
            ended = len(found) < PAGE_SIZE
            if ended:
                total = stage.next_page * PAGE_SIZE + len(found)
                await waits.count_walked_cohort(connection, stage.trigger_id, total)
                await self._say([self._counted(trigger, total)])
            return positions, found[-1].id if found else stage.cursor, ended
        key = (stage.trigger_id, stage.next_page)
        positions = (await cohort_pages(connection, [key])).get(key, [])
        reached = (stage.next_page + bool(positions)) * PAGE_SIZE
        ended = trigger.cohort_total is not None and reached >= trigger.cohort_total
        return positions, None, ended

    async def _let_in(
        self,
        connection: Connection,
        trigger: RunningTrigger,
        wait: WaitPlan,
        page: int,
        positions: Mapping[int, Position],
        now: datetime,
    ) -> None:
        """Let people, given by their place on the page, begin to wait; those whose event has come go on at once.

        Nobody pauses the trigger meanwhile: its mode is held still, and nothing of a paused one is due.
        """
        names = await self._keys(trigger, wait, positions)
        keys = {page * PAGE_SIZE + place: name for place, name in names.items()}
        ended = await waits.open_waits(connection, trigger, wait, keys, now)
        await waits.let_go(connection, trigger.plan, ended, rests=False)

    async def _keys(
        self, trigger: RunningTrigger, wait: WaitPlan, positions: Mapping[int, Position]
    ) -> dict[int, str | None]:
        if wait.key is not None:
            return dict.fromkeys(positions, wait.key or None)
        if isinstance(trigger.accepted.recipients, AddressRecipients):
            return dict.fromkeys(positions)
        unnamed = {item.contact_id for item in positions.values() if item.label is None and item.contact_id is not None}
        found = await self._directory.contacts_by_id(trigger.plan.workspace_id, unnamed) if unnamed else []
        names = {contact.id: contact.external_id for contact in found}
        return {
            place: item.label or (names.get(item.contact_id) if item.contact_id else None)
            for place, item in positions.items()
        }

    async def _time_out(self, connection: Connection) -> int:
        now = self._clock.now()
        ids = await waits.overdue_triggers(connection, now, _BATCH)
        if not ids:
            return 0
        triggers = await self._running(connection, ids)
        modes = await modes_held_still(connection, ids)
        ended = await waits.time_out(connection, now, ids, _BATCH)
        await self._let_go(connection, triggers, modes, ended)
        return len(ended)

    async def _let_go(
        self,
        connection: Connection,
        triggers: Mapping[UUID, RunningTrigger],
        modes: Mapping[UUID, Mode],
        ended: Sequence[EndedWait],
    ) -> None:
        by_trigger: defaultdict[UUID, list[EndedWait]] = defaultdict(list)
        for wait in ended:
            by_trigger[wait.trigger_id].append(wait)
        for trigger_id, of_trigger in by_trigger.items():
            trigger = triggers.get(trigger_id)
            if trigger is not None:
                rests = modes.get(trigger_id) is Mode.PAUSED
                await waits.let_go(connection, trigger.plan, of_trigger, rests=rests)

    async def _release(self, connection: Connection) -> int:
        """Let people who have reached a step behind a wait have its message, or begin its wait."""
        now = self._clock.now()
        ids = await waits.due_releases(connection, now, _BATCH)
        if not ids:
            return 0
        triggers = await self._running(connection, ids)
        await waits.hold_names(connection, _names(triggers.values(), later=True))
        modes = await modes_held_still(connection, ids)
        going = [trigger_id for trigger_id in ids if modes.get(trigger_id) is not Mode.PAUSED]
        releases = await waits.take_releases(connection, now, going, _BATCH)
        started = await executions_of(connection, ids)
        for release in releases:
            trigger = triggers.get(release.trigger_id)
            if trigger is None:
                continue
            wait = trigger.plan.wait(release.step_order)
            if wait is None:
                (plan,) = trigger.plan.stages[release.step_order]
                await self._command(connection, trigger, plan, release, started[release.trigger_id], now)
            elif release.seqs:
                key = (release.trigger_id, release.page)
                page = (await cohort_pages(connection, [key])).get(key, [])
                places = [seq - release.page * PAGE_SIZE for seq in release.seqs]
                await self._let_in(
                    connection, trigger, wait, release.page, {place: page[place] for place in places}, now
                )
        FAILPOINTS.reach("orchestrator.releases_published")
        return len(releases)

    async def _command(
        self,
        connection: Connection,
        trigger: RunningTrigger,
        plan: ExecutionPlan,
        release: Release,
        started: dict[UUID, StartedExecution],
        now: datetime,
    ) -> None:
        execution = started.get(plan.execution_id)
        said: list[Message] = []
        ids = {"trigger_id": release.trigger_id, "workspace_id": trigger.plan.workspace_id}
        if execution is None:
            if not release.seqs and trigger.cohort_total != 0:
                return
            expected = max([trigger.cohort_total or 0, *(item.expected for item in started.values())])
            content = await self._emitter.resolve(trigger, plan)
            execution = started[plan.execution_id] = StartedExecution(plan.execution_id, content, now, expected)
            await start_executions(connection, [(release.trigger_id, plan.step_order, execution)])
            said.append(ExecutionStarted(**ids, execution_id=plan.execution_id, started_at=now, expected=expected))
        if release.seqs:
            page = (plan.execution_id, release.page)
            number = (await allot_rounds(connection, {page: 1}))[page]
            command = WaitingCommand(
                trigger_id=release.trigger_id,
                step_order=plan.step_order,
                execution_id=plan.execution_id,
                page=release.page,
                round=number,
                epoch=0,
                seqs=release.seqs,
                attempts=[0] * len(release.seqs),
                credit=False,
                opened_at=now,
                due_at=now,
            )
            await open_commands(connection, [command])
        commanded, finished_at = await waits.release_jobs(connection, plan.execution_id, len(release.seqs), now)
        if finished_at is not None:
            said.append(ExecutionCommanded(**ids, execution_id=plan.execution_id, at=finished_at, total=commanded))
        await self._say(said)

    async def _say(self, said: Sequence[Message]) -> None:
        if said:
            await self._publisher.publish([outbound(EXECUTIONS, message) for message in said])

    def _counted(self, trigger: RunningTrigger, total: int) -> CohortCounted:
        return CohortCounted(
            trigger_id=trigger.plan.trigger_id,
            workspace_id=trigger.plan.workspace_id,
            at=self._clock.now(),
            total_contacts=total,
            final=True,
        )

    async def _running(self, connection: Connection, ids: Collection[UUID]) -> dict[UUID, RunningTrigger]:
        found = await self._records.triggers(connection, ids)
        return {key: trigger for key, trigger in found.items() if isinstance(trigger, RunningTrigger)}


def keys_of(event: EventOccurred, correlations: Collection[str]) -> set[WaitKey]:
    """Return by which keys an event may be waited for."""
    found: set[WaitKey] = set()
    for correlation in correlations:
        match correlation:
            case "contact":
                key = event.external_id
            case "key":
                key = event.correlation_key
            case path:
                key = text_at(path, event.data)
        if key:
            found.add((correlation, key))
    return found


def _names(triggers: Collection[RunningTrigger], *, later: bool) -> set[tuple[UUID, str]]:
    """Return the events for which waits may be opened: the first of a series, or those that are reached through it."""
    return {
        (trigger.plan.workspace_id, wait.event)
        for trigger in triggers
        for wait in trigger.plan.waits
        if (wait.after_wait is not None) is later
    }
