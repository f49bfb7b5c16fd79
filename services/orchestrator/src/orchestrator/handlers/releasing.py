"""People who have reached the steps behind a wait: their messages are commanded, or their next wait begins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from orchestrator.adapters.commands import WaitingCommand, allot_rounds, open_commands
from orchestrator.adapters.records import cohort_pages, executions_of, start_executions
from orchestrator.adapters.releases import Release, release_jobs
from orchestrator.domain.plan import ExecutionPlan
from orchestrator.domain.running import RunningTrigger, StartedExecution
from orchestrator.handlers.doorkeeping import Doorkeeper, Entrance
from orchestrator.handlers.emission import Emitter
from sluice_contracts.base import Message
from sluice_contracts.identifiers import PAGE_SIZE
from sluice_contracts.messages.execution import ExecutionCommanded, ExecutionStarted
from sluice_storage.database import Connection

Going = Sequence[tuple[RunningTrigger, ExecutionPlan, Release]]
"""People of one page each who are to have the message of a step."""


class Releases:
    """Works inside the transaction of whoever took the releases; what is to be told of them is returned."""

    def __init__(self, emitter: Emitter, doorkeeper: Doorkeeper) -> None:
        self._emitter = emitter
        self._doorkeeper = doorkeeper

    async def carry_out(
        self,
        connection: Connection,
        triggers: Mapping[UUID, RunningTrigger],
        releases: Sequence[Release],
        now: datetime,
    ) -> list[Message]:
        """Command the messages, and open the waits, that people have reached."""
        going, entering = [], []
        for release in releases:
            trigger = triggers.get(release.trigger_id)
            if trigger is None:
                continue
            wait = trigger.plan.wait(release.step_order)
            if wait is None:
                (plan,) = trigger.plan.stages[release.step_order]
                going.append((trigger, plan, release))
            elif release.seqs:
                entering.append((trigger, wait, release))
        pages = await cohort_pages(connection, {(release.trigger_id, release.page) for _, _, release in entering})
        entrances = []
        for trigger, wait, release in entering:
            page = pages[release.trigger_id, release.page]
            places = [seq - release.page * PAGE_SIZE for seq in release.seqs]
            entrances.append(Entrance(trigger, wait, release.page, {place: page[place] for place in places}))
        return [
            *await self._command(connection, going, now),
            *(await self._doorkeeper.let_in(connection, entrances, now) if entrances else ()),
        ]

    async def _command(self, connection: Connection, going: Going, now: datetime) -> list[Message]:
        if not going:
            return []
        started = await executions_of(connection, {release.trigger_id for _, _, release in going})
        said: list[Message] = []
        beginning = []
        for trigger, plan, release in going:
            of_trigger = started[release.trigger_id]
            # A release of nobody only asks whether everybody is through.
            if plan.execution_id in of_trigger or not (release.seqs or trigger.cohort_total == 0):
                continue
            expected = max([trigger.cohort_total or 0, *(item.expected for item in of_trigger.values())])
            content = await self._emitter.resolve(trigger, plan)
            execution = of_trigger[plan.execution_id] = StartedExecution(plan.execution_id, content, now, expected)
            beginning.append((release.trigger_id, plan.step_order, execution))
            said.append(
                ExecutionStarted(**_ids(trigger), execution_id=plan.execution_id, started_at=now, expected=expected)
            )
        if beginning:
            await start_executions(connection, beginning)
        running = [item for item in going if item[1].execution_id in started[item[2].trigger_id]]
        await _open(connection, [item for item in running if item[2].seqs], now)
        return said + await _count(connection, running, now)


async def _open(connection: Connection, going: Going, now: datetime) -> None:
    """Open one further round for each page."""
    if not going:
        return
    numbers = await allot_rounds(connection, {(plan.execution_id, release.page): 1 for _, plan, release in going})
    await open_commands(
        connection,
        [
            WaitingCommand(
                trigger_id=release.trigger_id,
                step_order=plan.step_order,
                execution_id=plan.execution_id,
                page=release.page,
                round=numbers[plan.execution_id, release.page],
                epoch=0,
                seqs=release.seqs,
                attempts=[0] * len(release.seqs),
                credit=False,
                opened_at=now,
                due_at=now,
            )
            for _, plan, release in going
        ],
    )


async def _count(connection: Connection, going: Going, now: datetime) -> list[Message]:
    """Count jobs as commanded; say of which executions those were the last."""
    jobs: Counter[UUID] = Counter()
    for _, plan, release in going:
        jobs[plan.execution_id] += len(release.seqs)
    counted = await release_jobs(connection, jobs, now) if jobs else {}
    triggers = {plan.execution_id: trigger for trigger, plan, _ in going}
    return [
        ExecutionCommanded(**_ids(triggers[execution_id]), execution_id=execution_id, at=finished_at, total=commanded)
        for execution_id, (commanded, finished_at) in sorted(counted.items())
        if finished_at is not None
    ]


def _ids(trigger: RunningTrigger) -> dict[str, UUID]:
    return {"trigger_id": trigger.plan.trigger_id, "workspace_id": trigger.plan.workspace_id}
