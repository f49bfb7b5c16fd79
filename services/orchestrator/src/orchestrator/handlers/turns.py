"""What a stage does in one turn: which pages it takes, who stands on them, what is commanded."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final
from uuid import UUID

import structlog

from orchestrator.adapters.commands import unpublished_pages
from orchestrator.adapters.records import Records, cohort_pages, executions_of
from orchestrator.adapters.stages import StageAdvance, StageKey
from orchestrator.domain import announcements
from orchestrator.domain.cohort import Position, audience_positions, cut_pages
from orchestrator.domain.deadlines import Deadlines
from orchestrator.domain.jobs import Person
from orchestrator.domain.pace import Pace
from orchestrator.domain.plan import ExecutionPlan
from orchestrator.domain.running import Command, RunningTrigger, Stage, StartedExecution
from orchestrator.handlers.emission import Emission, Emitter, PageOfTrigger, as_followers
from orchestrator.ports import Directory
from sluice_catalog.models import Contact
from sluice_contracts.identifiers import PAGE_SIZE
from sluice_contracts.messages.trigger import AddressRecipients, ContactRecipients
from sluice_contracts.topics import EXECUTIONS
from sluice_messaging.records import OutboundRecord, outbound
from sluice_runtime.clock import Clock
from sluice_runtime.precedence import Precedence
from sluice_storage.database import Connection

_COUNT_SECONDS: Final = 5.0
_BUILT_AT_ONCE: Final = 2
"""Pages of people that are put into commands before others have their turn."""

_log = structlog.get_logger()


@dataclass(slots=True)
class Turn:
    """What one stage does in one turn."""

    stage: Stage
    trigger: RunningTrigger
    plans: Sequence[ExecutionPlan]
    executions: dict[UUID, StartedExecution]
    starts: list[StartedExecution] = field(default_factory=list)
    repeats: list[Command] = field(default_factory=list)
    pages: list[tuple[int, Sequence[Position]]] = field(default_factory=list)
    contacts: dict[UUID, Contact] = field(default_factory=dict)
    commands: list[Command] = field(default_factory=list)
    cursor: UUID | None = None
    cohort_total: int | None = None
    ended: bool = False
    starved: bool = False

    @property
    def key(self) -> StageKey:
        return (self.stage.trigger_id, self.stage.step_order)

    @property
    def advance(self) -> StageAdvance:
        return StageAdvance(
            self.key,
            self.stage.next_page + len(self.pages),
            self.cursor,
            sum(command.credit for command in self.commands),
            self.ended,
        )

    @property
    def further(self) -> list[tuple[UUID, int, datetime | None]]:
        """What is added to executions that had started before: (execution, jobs, when the last was commanded)."""
        starting = {execution.execution_id for execution in self.starts}
        return [
            (execution_id, self.commanded(execution_id), execution.finished_at)
            for execution_id, execution in self.executions.items()
            if execution_id not in starting
        ]

    def commanded(self, execution_id: UUID) -> int:
        """Return how many jobs of an execution this turn commands."""
        return sum(len(command.seqs) for command in self.commands if command.execution_id == execution_id)

    def finish(self, now: datetime) -> None:
        """Count what this turn commands into the executions; give them their end where this is the last turn."""
        for execution_id, execution in self.executions.items():
            if execution.finished_at is None:
                self.executions[execution_id] = replace(
                    execution,
                    commanded=execution.commanded + self.commanded(execution_id),
                    finished_at=now if self.ended else None,
                )
        if self.cohort_total is not None:
            self.trigger = replace(self.trigger, cohort_total=self.cohort_total)

    def said(self) -> list[OutboundRecord]:
        """Return what is to be said about the stage's start, where that is not certain to have been, and its end."""
        executions = list(self.executions.values())
        messages = [
            *(announcements.started(self.trigger, executions) if self.stage.emitted_pages < 0 else ()),
            *(announcements.finished(self.trigger, executions) if self.ended else ()),
        ]
        return [outbound(EXECUTIONS, message) for message in messages]


class TurnMaker:
    """Decides turns: reads, and writes nothing."""

    def __init__(
        self,
        records: Records,
        directory: Directory,
        emitter: Emitter,
        clock: Clock,
        deadlines: Deadlines,
        pace: Pace,
        precedence: Precedence,
    ) -> None:
        self._records = records
        self._directory = directory
        self._emitter = emitter
        self._clock = clock
        self._deadlines = deadlines
        self._pace = pace
        self._precedence = precedence

    async def turns(self, connection: Connection, stages: Sequence[Stage]) -> tuple[list[Turn], list[StageKey]]:
        """Read what the turn of each stage needs; also return those stages whose trigger is not there any more."""
        trigger_ids = {stage.trigger_id for stage in stages}
        triggers = await self._records.triggers(connection, trigger_ids)
        executions = await executions_of(connection, trigger_ids)
        turns: list[Turn] = []
        lost: list[StageKey] = []
        for stage in stages:
            trigger = triggers.get(stage.trigger_id)
            if not isinstance(trigger, RunningTrigger):
                lost.append((stage.trigger_id, stage.step_order))
                continue
            plans = trigger.plan.stages[stage.step_order]
            known = executions.get(stage.trigger_id, {})
            turn = Turn(
                stage,
                trigger,
                plans,
                {plan.execution_id: known[plan.execution_id] for plan in plans if plan.execution_id in known},
                cursor=stage.cursor,
                ended=stage.ended,
            )
            if len(turn.executions) < len(plans):
                await self._begin(turn, known)
            if max(stage.emitted_pages, 0) < stage.next_page:
                turn.repeats = await unpublished_pages(
                    connection, turn.executions, max(stage.emitted_pages, 0), stage.next_page
                )
            turns.append(turn)
        await self._take_pages(connection, turns)
        return turns, lost

    async def command(self, turns: Sequence[Turn]) -> dict[tuple[UUID, int], list[Person]]:
        """Decide the commands of every turn; return the people on their pages."""
        contacts: dict[UUID, Contact] = {}
        for turn in turns:
            contacts |= turn.contacts
        people = await self._emitter.people(
            [(turn.trigger, page, positions) for turn in turns for page, positions in turn.pages], contacts
        )
        now = self._clock.now()
        for turn in turns:
            crowd = await self._emitter.crowd(turn.trigger)
            for page, _ in turn.pages:
                members = crowd.members(turn.plans, people[turn.stage.trigger_id, page])
                turn.commands += [
                    Command(
                        trigger_id=turn.stage.trigger_id,
                        step_order=turn.stage.step_order,
                        execution_id=plan.execution_id,
                        page=page,
                        round=0,
                        epoch=0,
                        seqs=tuple(person.seq for person in who),
                        attempts=(0,) * len(who),
                        credit=True,
                        sends=1,
                        opened_at=now,
                        due_at=self._deadlines.after(1, now),
                    )
                    for plan, who in zip(turn.plans, members, strict=True)
                    if who
                ]
            turn.finish(now)
        return people

    async def records(
        self, connection: Connection, turns: Sequence[Turn], people: Mapping[PageOfTrigger, Sequence[Person]]
    ) -> list[OutboundRecord]:
        """Return what turns publish: commands, repeats of what may not have been published, and what is to be said."""
        emissions = []
        for turn in turns:
            plans = {plan.execution_id: plan for plan in turn.plans}
            emissions += [
                Emission(turn.trigger, plans[command.execution_id], turn.executions[command.execution_id], command)
                for command in [*turn.repeats, *turn.commands]
            ]
        commands: list[OutboundRecord] = []
        for first in range(0, len(emissions), _BUILT_AT_ONCE):
            some = emissions[first : first + _BUILT_AT_ONCE]
            commands += as_followers(some, await self._emitter.records(connection, some, people))
            await self._precedence.give_way()
        return [*commands, *(record for turn in turns for record in turn.said())]

    async def _begin(self, turn: Turn, others: Mapping[UUID, StartedExecution]) -> None:
        """Start the executions of a stage; how many jobs there will be is known or estimated."""
        expected = turn.trigger.cohort_total
        if expected is None:
            expected = max((execution.expected for execution in others.values()), default=None)
        if expected is None:
            expected = await self._estimate(turn.trigger)
        now = self._clock.now()
        for plan in turn.plans:
            if plan.execution_id not in turn.executions:
                content = await self._emitter.resolve(turn.trigger, plan)
                execution = StartedExecution(plan.execution_id, content, now, expected)
                turn.executions[plan.execution_id] = execution
                turn.starts.append(execution)

    async def _estimate(self, trigger: RunningTrigger) -> int:
        recipients = trigger.accepted.recipients
        if isinstance(recipients, ContactRecipients | AddressRecipients):
            return 0
        try:
            async with asyncio.timeout(_COUNT_SECONDS):
                return await self._directory.audience_count(trigger.plan.workspace_id, recipients)
        except TimeoutError:
            # An estimate is not worth more: totals grow with the walk and are exact at its end.
            _log.info("audience.not_counted", trigger_id=str(trigger.plan.trigger_id))
            return 0

    async def _take_pages(self, connection: Connection, turns: Sequence[Turn]) -> None:
        followers: list[tuple[Turn, range]] = []
        most = self._pace.pages_for(len(turns))
        for turn in turns:
            free = (self._pace.credit - turn.stage.open) // len(turn.plans)
            wanted = min(most, max(free, 1 if turn.stage.open < self._pace.credit else 0))
            if turn.ended or wanted <= 0:
                continue
            if turn.stage.walks:
                await self._walk(turn, wanted)
            else:
                followers.append((turn, range(turn.stage.next_page, turn.stage.next_page + wanted)))
        written = await cohort_pages(
            connection, [(turn.stage.trigger_id, page) for turn, pages in followers for page in pages]
        )
        for turn, pages in followers:
            turn.pages = [
                (page, written[turn.stage.trigger_id, page])
                for page in pages
                if (turn.stage.trigger_id, page) in written
            ]
            total = turn.trigger.cohort_total
            reached = turn.stage.next_page + len(turn.pages)
            turn.ended = total is not None and reached * PAGE_SIZE >= total
            turn.starved = not turn.ended and not turn.pages

    async def _walk(self, turn: Turn, pages: int) -> None:
        recipients = turn.trigger.accepted.recipients
        if isinstance(recipients, ContactRecipients | AddressRecipients):
            raise TypeError("only an audience is walked")
        contacts = await self._directory.audience_page(
            turn.trigger.plan.workspace_id, recipients, turn.stage.cursor, pages * PAGE_SIZE
        )
        turn.pages = list(cut_pages(audience_positions(contacts), turn.stage.next_page))
        turn.contacts = {contact.id: contact for contact in contacts}
        if contacts:
            turn.cursor = contacts[-1].id
        if len(contacts) < pages * PAGE_SIZE:
            turn.ended = True
            turn.cohort_total = turn.stage.next_page * PAGE_SIZE + len(contacts)
