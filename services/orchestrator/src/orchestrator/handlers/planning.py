"""Takes up accepted triggers, a batch at a time: plan, record, command what is due at once, then say so."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import structlog

from orchestrator.adapters.commands import commands_without_stage, open_commands
from orchestrator.adapters.records import (
    NewTrigger,
    Records,
    add_cohort_pages,
    executions_of,
    record_triggers,
    start_executions,
    taken_up,
)
from orchestrator.adapters.stages import NewStage, add_stages
from orchestrator.adapters.waits import NewWaitStage, add_wait_stages
from orchestrator.domain.cohort import Position, cut_pages, explicit_cohort
from orchestrator.domain.deadlines import Deadlines
from orchestrator.domain.identification import identified
from orchestrator.domain.jobs import Person
from orchestrator.domain.plan import Plan, UnplannableTriggerError, make_plan
from orchestrator.domain.running import Command, FailedTrigger, Mode, RunningTrigger, StartedExecution, execution_of
from orchestrator.handlers.announcing import said_of, tell_workers
from orchestrator.handlers.emission import Emission, Emitter, PageOfTrigger
from orchestrator.handlers.wake import WAITS, Feeding, Wake
from orchestrator.ports import Directory
from sluice_catalog.models import Contact, WorkflowVersion
from sluice_catalog.profiles import GivenProfile
from sluice_contracts.identifiers import PAGE_SIZE
from sluice_contracts.messages.trigger import AddressRecipients, ContactRecipients, TriggerAccepted
from sluice_messaging.ports import EventPublisher
from sluice_messaging.records import OutboundRecord, Record, with_headers
from sluice_messaging.spans import trace_of
from sluice_runtime.clock import Clock
from sluice_runtime.failpoints import FAILPOINTS
from sluice_runtime.tracing import TRACEPARENT
from sluice_storage.database import Connection, Database

_log = structlog.get_logger()


@dataclass(slots=True)
class Draft:
    """A trigger on its way into the records. `positions` is None where an audience is still to be walked."""

    accepted: TriggerAccepted
    planned_at: datetime
    plan: Plan | None = None
    failure: FailedTrigger | None = None
    positions: list[Position] | None = None
    contacts: Mapping[UUID, Contact] = field(default_factory=dict)
    executions: list[StartedExecution] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    records: list[OutboundRecord] = field(default_factory=list)

    @property
    def new_trigger(self) -> NewTrigger:
        return NewTrigger(
            self.accepted,
            self.plan,
            self.planned_at,
            None if self.positions is None else len(self.positions),
            self.failure,
        )

    def running(self, mode: Mode = Mode.RUNNING, mode_at: datetime | None = None) -> RunningTrigger:
        """Return the trigger as it runs; it must have a plan."""
        assert self.plan is not None  # noqa: S101 - asked only of drafts that were planned
        total = None if self.positions is None else len(self.positions)
        return RunningTrigger(self.accepted, self.plan, mode, mode_at, total)

    @property
    def starts_at_once(self) -> bool:
        """Whether the first stage is due and fits one page, so that it needs no stage of its own to be fed."""
        return (
            self.plan is not None
            and self.positions is not None
            and len(self.positions) <= PAGE_SIZE
            and self.plan.starts_at <= self.planned_at
            and self.plan.first_stage is not None
            and self.plan.stages[self.plan.first_stage][0].scheduled_for <= self.planned_at
        )

    @property
    def needs_no_stage(self) -> bool:
        """Whether nothing is left to do for this trigger but to wait for answers."""
        return self.plan is None or (self.starts_at_once and not self.plan.waits and len(self.plan.stages) == 1)


class Planner:
    """Whatever was recorded and not published is published again when the same trigger comes again."""

    def __init__(
        self,
        database: Database,
        records: Records,
        directory: Directory,
        emitter: Emitter,
        publisher: EventPublisher,
        clock: Clock,
        deadlines: Deadlines,
        wake: Wake,
    ) -> None:
        self._database = database
        self._records = records
        self._directory = directory
        self._emitter = emitter
        self._publisher = publisher
        self._clock = clock
        self._deadlines = deadlines
        self._wake = wake

    async def take_up(self, triggers: Sequence[TriggerAccepted], origins: Mapping[UUID, Record]) -> None:
        """Record every trigger once and publish what follows from it. `origins` are the records that brought them."""
        unique = {trigger.trigger_id: trigger for trigger in await self._identified(triggers)}
        await self._keep_profiles(list(unique.values()))
        drafts = await self._drafts(list(unique.values()), origins)
        async with self._database.connection() as connection:
            await self._start(connection, [draft for draft in drafts if draft.starts_at_once])
        new = await self._database.in_transaction(lambda connection: self._write(connection, drafts))
        FAILPOINTS.reach("orchestrator.after_commit")
        outgoing = [
            with_headers(record, trace_of(origins[draft.accepted.trigger_id]))
            for draft in drafts
            for record in _announced(draft, new.get(draft.accepted.trigger_id))
        ]
        repeated = unique.keys() - new.keys()
        if repeated:
            outgoing += await self.say_again(repeated)
        asked_about = repeated | {trigger_id for trigger_id, (_, mode_at) in new.items() if mode_at is not None}
        if asked_about:
            await tell_workers(self._database, self._records, self._publisher, asked_about)
        await self._publisher.publish(outgoing)
        FAILPOINTS.reach("orchestrator.after_publish")
        self._wake.signal(
            *{
                Feeding(draft.accepted.lane, walks=draft.positions is None)
                for draft in drafts
                if not draft.needs_no_stage
            },
            *({WAITS} if any(draft.plan is not None and draft.plan.waits for draft in drafts) else ()),
        )

    async def say_again(self, trigger_ids: set[UUID]) -> list[OutboundRecord]:
        """Return what is known of triggers for publishing once more, with the commands that no stage looks after."""
        async with self._database.connection() as connection:
            triggers = await self._records.triggers(connection, trigger_ids)
            executions = await executions_of(connection, trigger_ids)
            started = {execution_id: trigger_id for trigger_id, of in executions.items() for execution_id in of}
            emissions = [
                Emission(trigger, plan, executions[command.trigger_id][command.execution_id], command)
                for command in await commands_without_stage(connection, started)
                if isinstance(trigger := triggers.get(command.trigger_id), RunningTrigger)
                and (plan := execution_of(trigger.plan, command.execution_id)) is not None
            ]
            commands = await self._emitter.records(connection, emissions)
        said: list[OutboundRecord] = []
        for trigger_id, trigger in triggers.items():
            said += said_of(trigger, list(executions.get(trigger_id, {}).values()))
        _log.info("triggers.repeated", triggers=len(triggers), commands=len(commands))
        return said + commands

    async def _identified(self, triggers: Sequence[TriggerAccepted]) -> list[TriggerAccepted]:
        """Name triggers after the contacts whose addresses they give."""
        unclear = [
            GivenProfile(trigger.workspace_id, trigger.accepted_at, profile)
            for trigger in triggers
            for profile in trigger.profiles
            if profile.known_by_address
        ]
        owners = await self._directory.owners_of_addresses(unclear) if unclear else {}
        return [identified(trigger, owners) for trigger in triggers]

    async def _keep_profiles(self, triggers: Sequence[TriggerAccepted]) -> None:
        """Write what new triggers say of people into the catalog: their recipients may be among them."""
        telling = [trigger for trigger in triggers if trigger.profiles]
        if not telling:
            return
        async with self._database.connection() as connection:
            known = await taken_up(connection, [trigger.trigger_id for trigger in telling])
        await self._directory.keep_profiles(
            [
                GivenProfile(trigger.workspace_id, trigger.accepted_at, profile)
                for trigger in telling
                if trigger.trigger_id not in known
                for profile in trigger.profiles
            ]
        )

    async def _drafts(self, triggers: Sequence[TriggerAccepted], origins: Mapping[UUID, Record]) -> list[Draft]:
        now = self._clock.now()
        contacts = await self._named_contacts(triggers)
        by_id = {
            workspace_id: {contact.id: contact for contact in named.values()}
            for workspace_id, named in contacts.items()
        }
        drafts = []
        for trigger in triggers:
            draft = Draft(trigger, now)
            try:
                plan = make_plan(trigger, await self._workflow(trigger), now)
                traceparent = origins[trigger.trigger_id].headers.get(TRACEPARENT)
                draft.plan = plan.model_copy(update={"traceparent": traceparent}) if traceparent else plan
                draft.planned_at = plan.planned_at
            except UnplannableTriggerError as error:
                draft.failure = FailedTrigger(trigger.trigger_id, trigger.workspace_id, now, error.code, error.detail)
                _log.warning("trigger.failed", trigger_id=str(trigger.trigger_id), code=error.code)
            if isinstance(trigger.recipients, ContactRecipients | AddressRecipients):
                settings = await self._directory.workspace_settings(trigger.workspace_id)
                named = contacts.get(trigger.workspace_id, {})
                draft.positions = explicit_cohort(trigger.recipients, named, settings.default_country)
                draft.contacts = by_id.get(trigger.workspace_id, {})
            drafts.append(draft)
        return drafts

    async def _workflow(self, trigger: TriggerAccepted) -> WorkflowVersion | None:
        if trigger.plan.kind == "direct":
            return None
        return await self._directory.workflow_version(trigger.plan.workflow_id, trigger.plan.version)

    async def _named_contacts(self, triggers: Sequence[TriggerAccepted]) -> Mapping[UUID, dict[str, Contact]]:
        wanted: defaultdict[UUID, set[str]] = defaultdict(set)
        for trigger in triggers:
            if isinstance(trigger.recipients, ContactRecipients):
                wanted[trigger.workspace_id].update(trigger.recipients.external_ids)
        return {
            workspace_id: {
                contact.external_id: contact
                for contact in await self._directory.contacts_by_external_id(workspace_id, external_ids)
            }
            for workspace_id, external_ids in wanted.items()
        }

    async def _start(self, connection: Connection, drafts: Sequence[Draft]) -> None:
        """Start the first stage of drafts: at most one command an execution."""
        people: dict[PageOfTrigger, list[Person]] = {}
        emissions = []
        for draft in drafts:
            trigger = draft.running()
            positions = draft.positions or []
            people |= await self._emitter.people([(trigger, 0, positions)], draft.contacts)
            on_page = people[trigger.plan.trigger_id, 0]
            plans = trigger.plan.stages[trigger.plan.first_stage or 0]
            members = (await self._emitter.crowd(trigger)).members(plans, on_page)
            for plan, who in zip(plans, members, strict=True):
                execution = StartedExecution(
                    plan.execution_id,
                    await self._emitter.resolve(trigger, plan),
                    started_at=draft.planned_at,
                    expected=len(who),
                    commanded=len(who),
                    finished_at=draft.planned_at,
                )
                draft.executions.append(execution)
                if who:
                    command = Command(
                        trigger_id=trigger.plan.trigger_id,
                        step_order=plan.step_order,
                        execution_id=plan.execution_id,
                        page=0,
                        round=0,
                        epoch=0,
                        seqs=tuple(person.seq for person in who),
                        attempts=(0,) * len(who),
                        credit=False,
                        sends=1,
                        opened_at=draft.planned_at,
                        due_at=self._deadlines.after(1, draft.planned_at),
                    )
                    draft.commands.append(command)
                    emissions.append(Emission(trigger, plan, execution, command))
        records = await self._emitter.records(connection, emissions, people)
        by_trigger = defaultdict(list)
        for emission, record in zip(emissions, records, strict=True):
            by_trigger[emission.trigger.plan.trigger_id].append(record)
        for draft in drafts:
            draft.records = by_trigger[draft.accepted.trigger_id]

    async def _write(self, connection: Connection, drafts: Sequence[Draft]) -> dict[UUID, tuple[Mode, datetime | None]]:
        new = await record_triggers(connection, [draft.new_trigger for draft in drafts])
        pages = []
        executions = []
        commands = []
        stages = []
        waits = []
        for draft in drafts:
            trigger_id = draft.accepted.trigger_id
            if draft.plan is None or trigger_id not in new:
                continue
            mode, _ = new[trigger_id]
            pages += [(trigger_id, page, positions) for page, positions in cut_pages(draft.positions or [])]
            starts = draft.starts_at_once and mode is Mode.RUNNING
            if starts:
                order = draft.plan.first_stage or 0
                executions += [(trigger_id, order, execution) for execution in draft.executions]
                commands += draft.commands
            if mode is not Mode.CANCELLED:
                stages += _stages(draft, mode, without_first=starts)
                waits += _waits(draft, mode)
        if pages:
            await add_cohort_pages(connection, pages)
        if executions:
            await start_executions(connection, executions)
        if commands:
            await open_commands(connection, commands)
        if stages:
            await add_stages(connection, stages)
        if waits:
            await add_wait_stages(connection, waits)
        return new


def _announced(draft: Draft, new: tuple[Mode, datetime | None] | None) -> list[OutboundRecord]:
    if new is None:
        return []
    if draft.failure is not None:
        return said_of(draft.failure, [])
    mode, mode_at = new
    starts = mode is Mode.RUNNING and draft.starts_at_once
    said = said_of(draft.running(mode, mode_at), draft.executions if starts else [])
    return [*draft.records, *said] if starts else said


def _stages(draft: Draft, mode: Mode, *, without_first: bool) -> list[NewStage]:
    trigger = draft.running(mode)
    return [
        NewStage(
            trigger.plan.trigger_id,
            order,
            trigger.plan.workspace_id,
            trigger.accepted.lane,
            walks=draft.positions is None and order == trigger.plan.first_stage,
            scheduled_for=executions[0].scheduled_for,
            rests=mode is Mode.PAUSED,
        )
        for order, executions in trigger.plan.stages.items()
        if executions[0].after_wait is None and not (without_first and order == trigger.plan.first_stage)
    ]


def _waits(draft: Draft, mode: Mode) -> list[NewWaitStage]:
    """Return the first wait of a series: the others are reached through it."""
    trigger = draft.running(mode)
    return [
        NewWaitStage(
            trigger.plan.trigger_id,
            wait.step_order,
            trigger.plan.workspace_id,
            walks=draft.positions is None and trigger.plan.first_stage is None,
            scheduled_for=wait.scheduled_for,
            rests=mode is Mode.PAUSED,
        )
        for wait in trigger.plan.waits
        if wait.after_wait is None
    ]
