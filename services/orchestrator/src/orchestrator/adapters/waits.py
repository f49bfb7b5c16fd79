"""Waits for events: who waits for what, what has come, and who is on the way to the steps behind."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

from orchestrator.adapters.statements import wait_queries
from orchestrator.domain.plan import Plan, WaitPlan
from orchestrator.domain.running import RunningTrigger
from sluice_contracts.identifiers import PAGE_SIZE, new_id, page_of
from sluice_contracts.messages.event import EventOccurred
from sluice_storage.database import Connection

WaitKey = tuple[str, str]
"""(correlation, what the event says of itself)."""

WaitOutcomes = Mapping[tuple[UUID, int], Mapping[int, dict[str, Any]]]
"""How waits ended, by (trigger, position) and the order of the step: `outcome`, and the event's `data`."""


@dataclass(frozen=True, slots=True)
class NewWaitStage:
    """The first wait of a series, to be opened for everybody. `rests`: its trigger is paused."""

    trigger_id: UUID
    step_order: int
    workspace_id: UUID
    walks: bool
    scheduled_for: datetime
    rests: bool


@dataclass(frozen=True, slots=True)
class WaitStage:
    """A wait that is being opened, page by page. `walks`: the people come from the audience, behind `cursor`."""

    trigger_id: UUID
    step_order: int
    workspace_id: UUID
    walks: bool
    next_page: int
    cursor: UUID | None


@dataclass(frozen=True, slots=True)
class EndedWait:
    """One contact's wait that is over, at `at`."""

    trigger_id: UUID
    step_order: int
    seq: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Release:
    """People of one page who have reached a step behind a wait; none: that were all."""

    trigger_id: UUID
    step_order: int
    page: int
    seqs: tuple[int, ...]


async def add_wait_stages(connection: Connection, stages: Sequence[NewWaitStage]) -> None:
    """Record the first waits of series."""
    await connection.executemany(
        wait_queries.add_wait_stage,
        [
            (
                stage.trigger_id,
                stage.step_order,
                stage.workspace_id,
                stage.walks,
                stage.scheduled_for,
                None if stage.rests else stage.scheduled_for,
            )
            for stage in stages
        ],
    )


async def first_wait_stage(connection: Connection, now: datetime) -> UUID | None:
    """Return the trigger of the wait that is to be opened first, where one is due."""
    trigger_id: UUID | None = await connection.fetchval(wait_queries.first_wait_stage, now)
    return trigger_id


async def hold_wait_stage(connection: Connection, trigger_id: UUID, now: datetime) -> WaitStage | None:
    """Lock and return a trigger's wait that is to be opened now, where nobody else has it in hand."""
    row = await connection.fetchrow(wait_queries.hold_wait_stage, trigger_id, now)
    return None if row is None else WaitStage(**dict(row))


async def advance_wait_stage(
    connection: Connection, stage: WaitStage, next_page: int, cursor: UUID | None, not_before: datetime
) -> None:
    """Note how far a wait has been opened, and when to go on."""
    key = (stage.trigger_id, stage.step_order)
    await connection.execute(wait_queries.advance_wait_stage, *key, next_page, cursor, not_before)


async def close_wait_stage(connection: Connection, stage: WaitStage) -> None:
    """Note that a wait has been opened for everybody."""
    await connection.execute(wait_queries.close_wait_stage, stage.trigger_id, stage.step_order)


async def count_walked_cohort(connection: Connection, trigger_id: UUID, total: int) -> None:
    """Note how many contacts an audience had that a wait has walked."""
    await connection.execute(wait_queries.count_walked_cohort, trigger_id, total)


async def open_waits(
    connection: Connection,
    trigger: RunningTrigger,
    wait: WaitPlan,
    keys: Mapping[int, str | None],
    now: datetime,
) -> list[EndedWait]:
    """Let positions wait from `now` on; return those whose event has come before."""
    plan = trigger.plan
    until = now + timedelta(minutes=wait.timeout_minutes)
    seqs = sorted(keys)
    cause = trigger.accepted.event
    await connection.execute(
        wait_queries.open_waits,
        plan.trigger_id,
        wait.step_order,
        plan.workspace_id,
        wait.event,
        wait.correlation,
        until,
        seqs,
        [keys[seq] for seq in seqs],
        trigger.accepted.accepted_at,
        None if cause is None else cause.event_id,
    )
    rows = await connection.fetch(wait_queries.meet_earlier_events, plan.trigger_id, wait.step_order, seqs)
    return [EndedWait(plan.trigger_id, wait.step_order, row["seq"], now) for row in rows]


async def hold_names(connection: Connection, names: Collection[tuple[UUID, str]]) -> None:
    """Keep everybody else from opening waits for these events, and from bringing them, until the transaction ends."""
    for workspace_id, name in sorted(names):
        await connection.execute(wait_queries.hold_name, workspace_id, name)


async def keep_event(connection: Connection, event: EventOccurred, keys: Collection[WaitKey]) -> None:
    """Keep an event for waits that begin after it."""
    await connection.executemany(
        wait_queries.keep_event,
        [
            (event.workspace_id, event.name, correlation, key, event.event_id, event.accepted_at, event.data)
            for correlation, key in sorted(keys)
        ],
    )


async def waiting_for(connection: Connection, event: EventOccurred, keys: Collection[WaitKey]) -> set[UUID]:
    """Return the triggers in which somebody waits for an event."""
    found: set[UUID] = set()
    for correlation, key in sorted(keys):
        rows = await connection.fetch(wait_queries.waiting_for, event.workspace_id, event.name, correlation, key)
        found |= {row["trigger_id"] for row in rows}
    return found


async def end_waits(
    connection: Connection,
    event: EventOccurred,
    keys: Collection[WaitKey],
    trigger_ids: Collection[UUID],
    now: datetime,
) -> list[EndedWait]:
    """End the waits for an event in triggers whose modes are held still."""
    ended = []
    for correlation, key in sorted(keys):
        rows = await connection.fetch(
            wait_queries.end_waits,
            event.workspace_id,
            event.name,
            correlation,
            key,
            sorted(trigger_ids),
            event.event_id,
            event.data,
            event.accepted_at,
        )
        ended += [EndedWait(row["trigger_id"], row["step_order"], row["seq"], now) for row in rows]
    return ended


async def overdue_triggers(connection: Connection, now: datetime, limit: int) -> set[UUID]:
    """Return the triggers of the waits that have been over the longest."""
    return {row["trigger_id"] for row in await connection.fetch(wait_queries.overdue_triggers, now, limit)}


async def time_out(connection: Connection, now: datetime, trigger_ids: Collection[UUID], limit: int) -> list[EndedWait]:
    """End waits for which no event came in time, in triggers whose modes are held still."""
    rows = await connection.fetch(wait_queries.time_out, now, sorted(trigger_ids), limit)
    return [EndedWait(row["trigger_id"], row["step_order"], row["seq"], row["until"]) for row in rows]


async def let_go(connection: Connection, plan: Plan, ended: Sequence[EndedWait], *, rests: bool) -> None:
    """Send people whose waits of one trigger are over on their way to the steps behind."""
    rows = []
    ordered = sorted(ended, key=lambda wait: (wait.step_order, page_of(wait.seq), wait.at, wait.seq))
    for (step_order, page, at), waits in groupby(
        ordered, key=lambda wait: (wait.step_order, page_of(wait.seq), wait.at)
    ):
        seqs = [wait.seq for wait in waits]
        for step in plan.following(step_order):
            due_at = at + timedelta(minutes=step.delay_minutes)
            rows.append((new_id(), plan.trigger_id, step.step_order, page, seqs, due_at, None if rests else due_at))
    await connection.executemany(wait_queries.add_release, rows)


async def announce_all_opened(connection: Connection, plan: Plan, now: datetime, *, rests: bool) -> None:
    """Have every step behind a wait look whether everybody is through: nobody will be let into the wait any more."""
    nobody: list[int] = []
    rows = [
        (new_id(), plan.trigger_id, step.step_order, 0, nobody, now, None if rests else now)
        for step in plan.executions
        if step.after_wait is not None
    ]
    await connection.executemany(wait_queries.add_release, rows)


async def due_releases(connection: Connection, now: datetime, limit: int) -> set[UUID]:
    """Return the triggers of the releases that are due first."""
    return {row["trigger_id"] for row in await connection.fetch(wait_queries.due_releases, now, limit)}


async def take_releases(
    connection: Connection, now: datetime, trigger_ids: Collection[UUID], limit: int
) -> list[Release]:
    """Take due releases of triggers whose modes are held still; those of one page and step become one."""
    together: defaultdict[tuple[UUID, int, int], list[int]] = defaultdict(list)
    for row in await connection.fetch(wait_queries.take_releases, now, sorted(trigger_ids), limit):
        together[row["trigger_id"], row["step_order"], row["page"]] += row["seqs"]
    return [Release(*key, tuple(sorted(set(together[key])))) for key in sorted(together)]


async def release_jobs(
    connection: Connection, execution_id: UUID, jobs: int, now: datetime
) -> tuple[int, datetime | None]:
    """Count jobs as commanded; return how many have been in all, and when the last was, where it was."""
    row = await connection.fetchrow(wait_queries.release_jobs, execution_id, jobs, now)
    if row is None:
        raise LookupError(f"the execution {execution_id} has not started")
    return row["commanded"], row["finished_at"]


async def wait_outcomes(connection: Connection, pages: Collection[tuple[UUID, int]]) -> WaitOutcomes:
    """Return how waits ended on pages, given as (trigger, page)."""
    if not pages:
        return {}
    wanted = sorted(pages)
    rows = await connection.fetch(
        wait_queries.wait_outcomes,
        [trigger_id for trigger_id, _ in wanted],
        [page * PAGE_SIZE for _, page in wanted],
        [(page + 1) * PAGE_SIZE for _, page in wanted],
    )
    found: defaultdict[tuple[UUID, int], dict[int, dict[str, Any]]] = defaultdict(dict)
    for row in rows:
        found[row["trigger_id"], row["seq"]][row["step_order"]] = {
            "outcome": row["outcome"],
            "data": row["data"] or {},
        }
    return found


async def rest(connection: Connection, trigger_id: UUID) -> None:
    """Let no wait run out and nobody go on."""
    for statement in (wait_queries.wait_stages_rest, wait_queries.waits_rest, wait_queries.releases_rest):
        await connection.execute(statement, trigger_id)


async def go_on(connection: Connection, trigger_id: UUID) -> None:
    """Let waits run out when they would have, and people go on."""
    for statement in (wait_queries.wait_stages_go_on, wait_queries.waits_go_on, wait_queries.releases_go_on):
        await connection.execute(statement, trigger_id)


async def stop(connection: Connection, trigger_id: UUID, now: datetime) -> None:
    """Let nobody wait any longer; who had not been let go never will be."""
    for statement in (wait_queries.drop_wait_stages, wait_queries.drop_waits, wait_queries.drop_releases):
        await connection.execute(statement, trigger_id)
    await connection.execute(wait_queries.stop_released_executions, trigger_id, now)


async def forget(connection: Connection, before: datetime, limit: int) -> None:
    """Remove old events that were kept for waits, and the waits of triggers that have been forgotten."""
    await connection.execute(wait_queries.forget_awaited_events, before, limit)
    await connection.execute(wait_queries.forget_waits, limit)
