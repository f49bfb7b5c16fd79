"""Turns commands into records for the channel workers, with the people as they are at this moment."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from orchestrator.adapters.outcomes import outcome_pages
from orchestrator.adapters.records import cohort_pages
from orchestrator.adapters.waits import WaitOutcomes, wait_outcomes
from orchestrator.domain.cohort import Position
from orchestrator.domain.conditions import judge_of
from orchestrator.domain.content import inline_references, needed_paths
from orchestrator.domain.deadlines import expiry
from orchestrator.domain.jobs import Crowd, Person, people_at
from orchestrator.domain.outcomes import PageOutcomes
from orchestrator.domain.plan import ExecutionPlan
from orchestrator.domain.running import Command, Mode, RunningTrigger, StartedExecution
from orchestrator.ports import Directory
from sluice_catalog.models import Contact
from sluice_catalog.templating.variables import STEPS
from sluice_contracts.identifiers import PAGE_SIZE
from sluice_contracts.messages.command import JobsCommanded
from sluice_contracts.messages.content import Content, MissingTemplate, TemplateContent
from sluice_contracts.topics import commands as commands_topic
from sluice_contracts.vocabulary import Category, FilterCode
from sluice_messaging.records import OutboundRecord, outbound, with_headers
from sluice_runtime import tracing
from sluice_storage.database import Connection

_MAX_COMMAND_BYTES: Final = 1_900_000
"""A little less than the broker takes in one record."""

PageOfTrigger = tuple[UUID, int]
"""(trigger, page)."""

People = Mapping[PageOfTrigger, Sequence[Person]]


@dataclass(frozen=True, slots=True)
class Emission:
    """One command to be published, with what it belongs to."""

    trigger: RunningTrigger
    plan: ExecutionPlan
    execution: StartedExecution
    command: Command


def as_followers(emissions: Sequence[Emission], records: Sequence[OutboundRecord]) -> list[OutboundRecord]:
    """Return commands' records as beginnings of traces: a campaign in a single one is more than anything can show."""
    return [
        with_headers(record, tracing.follow("command", emission.trigger.plan.traceparent))
        for emission, record in zip(emissions, records, strict=True)
    ]


class Emitter:
    """Builds the records of commands. Building the same command again gives the same jobs in the same order."""

    def __init__(self, directory: Directory, longest_ages: Mapping[Category, timedelta]) -> None:
        self._directory = directory
        self._longest_ages = longest_ages

    async def crowd(self, trigger: RunningTrigger) -> Crowd:
        """Return what reads the people of `trigger`."""
        settings = await self._directory.workspace_settings(trigger.plan.workspace_id)
        return Crowd.of(trigger.accepted, settings.default_country, cancelled=trigger.mode is Mode.CANCELLED)

    async def resolve(self, trigger: RunningTrigger, plan: ExecutionPlan) -> Content:
        """Return what an execution that starts now will say: the newest version of its template."""
        if plan.content is not None:
            return plan.content
        key = plan.template_key or ""
        found = await self._directory.template_by_key(trigger.plan.workspace_id, key)
        if found is None or found.channel is not plan.channel:
            return MissingTemplate(key=key)
        return TemplateContent(template_id=found.template_id, version=found.version, key=found.key)

    async def people(
        self,
        pages: Sequence[tuple[RunningTrigger, int, Sequence[Position]]],
        known: Mapping[UUID, Contact] | None = None,
    ) -> dict[PageOfTrigger, list[Person]]:
        """Return who stands on pages, given as (trigger, page, positions); `known` contacts are not read again."""
        contacts: dict[UUID, Contact] = dict(known or {})
        wanted: defaultdict[UUID, set[UUID]] = defaultdict(set)
        for trigger, _, positions in pages:
            wanted[trigger.plan.workspace_id].update(
                position.contact_id
                for position in positions
                if position.contact_id is not None and position.contact_id not in contacts
            )
        for workspace_id, ids in wanted.items():
            if ids:
                found = await self._directory.contacts_by_id(workspace_id, ids)
                contacts.update((contact.id, contact) for contact in found)
        return {
            (trigger.plan.trigger_id, page): people_at(page * PAGE_SIZE, positions, contacts)
            for trigger, page, positions in pages
        }

    async def records(
        self, connection: Connection, emissions: Sequence[Emission], known_people: People | None = None
    ) -> list[OutboundRecord]:
        """Return one record a command. Raises LookupError where a command's page was never written."""
        people = dict(known_people or {})
        missing = {
            (emission.trigger.plan.trigger_id, emission.command.page): emission.trigger
            for emission in emissions
            if (emission.trigger.plan.trigger_id, emission.command.page) not in people
        }
        if missing:
            positions = await cohort_pages(connection, missing)
            people |= await self.people([(trigger, key[1], positions[key]) for key, trigger in missing.items()])
        outcomes = await self._outcomes(connection, emissions)
        waits = await wait_outcomes(
            connection,
            {
                (emission.trigger.plan.trigger_id, emission.command.page)
                for emission in emissions
                if emission.plan.after_wait is not None
            },
        )
        return [
            await self._record(
                emission,
                people[emission.trigger.plan.trigger_id, emission.command.page],
                outcomes,
                _seen_waits(emission, waits) if emission.plan.after_wait is not None else {},
            )
            for emission in emissions
        ]

    async def _outcomes(
        self, connection: Connection, emissions: Sequence[Emission]
    ) -> dict[tuple[UUID, int], PageOutcomes]:
        return await outcome_pages(
            connection,
            {
                (earlier.execution_id, emission.command.page)
                for emission in emissions
                if emission.plan.condition is not None and emission.trigger.plan.asks_for_outcomes
                for earlier in emission.trigger.plan.executions
            },
        )

    async def _record(
        self,
        emission: Emission,
        people: Sequence[Person],
        outcomes: Mapping[tuple[UUID, int], PageOutcomes],
        waits: Mapping[int, Mapping[str, Any]],
    ) -> OutboundRecord:
        trigger, plan, execution, command = (
            emission.trigger,
            emission.plan,
            emission.execution,
            emission.command,
        )
        accepted = trigger.accepted
        variables = {**accepted.variables, **accepted.channel_variables.get(plan.channel, {})}
        settings = await self._directory.workspace_settings(accepted.workspace_id)
        crowd = Crowd.of(accepted, settings.default_country, cancelled=trigger.mode is Mode.CANCELLED)
        first = command.page * PAGE_SIZE
        message = JobsCommanded(
            workspace_id=accepted.workspace_id,
            trigger_id=accepted.trigger_id,
            execution_id=command.execution_id,
            page=command.page,
            round=command.round,
            epoch=command.epoch,
            step_order=plan.step_order,
            channel=plan.channel,
            lane=accepted.lane,
            category=accepted.category,
            accepted_at=accepted.accepted_at,
            content=execution.content,
            variables=variables,
            metadata=accepted.metadata,
            campaign_name=accepted.campaign_name,
            sender=accepted.sender,
            window=plan.window or settings.send_window,
            expires_at=expiry(accepted.expires_at, accepted.category, execution.started_at, self._longest_ages),
            dry_run=accepted.dry_run,
            jobs=crowd.jobs(
                plan.channel,
                [people[seq - first] for seq in command.seqs],
                command.attempts,
                await self._paths(execution.content, variables),
                judge_of(
                    plan.condition,
                    variables,
                    {
                        step.step_id: outcomes.get((step.execution_id, command.page), PageOutcomes())
                        for step in trigger.plan.executions
                        if plan.condition is not None
                    },
                    waits,
                ),
            ),
        )
        if waits:
            message.jobs.fields[STEPS] = [waits.get(seq, {}) for seq in command.seqs]
        topic = commands_topic(plan.channel, accepted.lane)
        record = outbound(topic, message)
        return record if len(record.value) <= _MAX_COMMAND_BYTES else outbound(topic, _without_values(message))

    async def _paths(self, content: Content, variables: Mapping[str, Any]) -> list[str]:
        if isinstance(content, TemplateContent):
            template = await self._directory.template_version(content.template_id, content.version)
            return needed_paths(template.references if template else (), variables)
        return needed_paths(inline_references(content), variables)


def _seen_waits(emission: Emission, waits: WaitOutcomes) -> dict[int, dict[str, Any]]:
    """Return how the waits of a command's people ended, by position and the step's id."""
    plan = emission.trigger.plan
    names = {wait.step_order: wait.step_id for wait in plan.waits}
    return {
        seq: {names[order]: ended for order, ended in waits.get((plan.trigger_id, seq), {}).items()}
        for seq in emission.command.seqs
    }


def _without_values(message: JobsCommanded) -> JobsCommanded:
    """Return a command that is too large without what makes it large; its jobs are filtered, with a reason."""
    jobs = message.jobs
    lost = [verdict is None for verdict in jobs.verdict]
    return message.model_copy(
        update={
            "variables": {},
            "metadata": {},
            "jobs": jobs.model_copy(
                update={
                    "fields": {},
                    "verdict": [
                        FilterCode.TEMPLATE_MISSING_VARIABLE if gone else verdict
                        for gone, verdict in zip(lost, jobs.verdict, strict=True)
                    ],
                    "verdict_detail": [
                        "The values for these messages are too large to be carried" if gone else detail
                        for gone, detail in zip(lost, jobs.verdict_detail, strict=True)
                    ],
                }
            ),
        }
    )
