"""Waits for events: who waits for what, what has come, and who is on the way to the steps behind."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from orchestrator.adapters.statements import wait_queries
from orchestrator.domain.plan import WaitPlan
from orchestrator.domain.running import RunningTrigger
from orchestrator.domain.waits import Wait, WaitKey
from sluice_contracts.identifiers import PAGE_SIZE
from sluice_contracts.messages.event import EventOccurred
from sluice_contracts.vocabulary import WaitOutcome
from sluice_storage.database import Connection, encode_json

KeyedEvent = tuple[EventOccurred, WaitKey]
"""An event with one of the keys by which it may be waited for."""

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
class NewWait:
    """One contact's wait that begins."""

    trigger: RunningTrigger
    wait: WaitPlan
    seq: int
    external_id: str | None

    @property
    def key(self) -> str | None:
        """What the event that ends it says of itself, None where none can."""
        return self.external_id if self.wait.key is None else self.wait.key or None

    @property
    def place(self) -> tuple[UUID, int, int]:
        """Its key in the table."""
        return self.trigger.plan.trigger_id, self.wait.step_order, self.seq


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


async def due_wait_stages(connection: Connection, now: datetime, limit: int) -> list[UUID]:
    """Return the triggers of the waits that are to be opened first, of those that are due."""
    return [row["trigger_id"] for row in await connection.fetch(wait_queries.due_wait_stages, now, limit)]


async def hold_wait_stages(connection: Connection, trigger_ids: Collection[UUID], now: datetime) -> list[WaitStage]:
    """Lock and return triggers' waits that are to be opened now, where nobody else has them in hand."""
    rows = await connection.fetch(wait_queries.hold_wait_stages, sorted(trigger_ids), now)
    return [WaitStage(**dict(row)) for row in rows]


async def advance_wait_stages(connection: Connection, stages: Sequence[tuple[WaitStage, datetime]]) -> None:
    """Note how far waits have been opened, and when to go on with each."""
    await connection.executemany(
        wait_queries.advance_wait_stage,
        [
            (stage.trigger_id, stage.step_order, stage.next_page, stage.cursor, not_before)
            for stage, not_before in stages
        ],
    )


async def close_wait_stages(connection: Connection, stages: Sequence[WaitStage]) -> None:
    """Note that waits have been opened for everybody."""
    await connection.executemany(
        wait_queries.close_wait_stage, [(stage.trigger_id, stage.step_order) for stage in stages]
    )


async def count_walked_cohort(connection: Connection, trigger_id: UUID, total: int) -> None:
    """Note how many contacts an audience had that a wait has walked."""
    await connection.execute(wait_queries.count_walked_cohort, trigger_id, total)


async def open_waits(connection: Connection, opened: Sequence[NewWait], now: datetime) -> list[Wait]:
    """Let contacts wait from `now` on; return their waits, those whose event has come before as ended."""
    if not opened:
        return []
    ends = [now + timedelta(minutes=new.wait.timeout_minutes) for new in opened]
    trigger_ids, steps, seqs = ([new.place[column] for new in opened] for column in range(3))
    await connection.execute(
        wait_queries.open_waits,
        trigger_ids,
        steps,
        seqs,
        [new.trigger.plan.workspace_id for new in opened],
        [new.wait.event for new in opened],
        [new.wait.correlation for new in opened],
        [new.key for new in opened],
        ends,
        [new.trigger.accepted.accepted_at for new in opened],
        [new.trigger.accepted.event and new.trigger.accepted.event.event_id for new in opened],
        [new.external_id for new in opened],
        now,
    )
    rows = await connection.fetch(wait_queries.meet_earlier_events, trigger_ids, steps, seqs, now)
    ended = {(row["trigger_id"], row["step_order"], row["seq"]): _wait(row) for row in rows}
    return [
        ended.get(new.place) or Wait(*new.place, new.external_id, now, until)
        for new, until in zip(opened, ends, strict=True)
    ]


async def hold_names(connection: Connection, names: Collection[tuple[UUID, str]]) -> None:
    """Keep everybody else from opening waits for these events, and from bringing them, until the transaction ends."""
    for workspace_id, name in sorted(names):
        await connection.execute(wait_queries.hold_name, workspace_id, name)


async def keep_events(connection: Connection, events: Sequence[KeyedEvent]) -> None:
    """Keep events for waits that begin after them."""
    data = [encode_json(event.data) for event, _ in events]
    await connection.execute(wait_queries.keep_events, *_columns(events), data)


async def waiting_for(connection: Connection, events: Sequence[KeyedEvent]) -> set[UUID]:
    """Return the triggers in which somebody waits for one of these events."""
    rows = await connection.fetch(wait_queries.waiting_for, *_columns(events)[:4])
    return {row["trigger_id"] for row in rows}


async def end_waits(
    connection: Connection, events: Sequence[KeyedEvent], trigger_ids: Collection[UUID], now: datetime
) -> list[Wait]:
    """End the waits for events that have been kept, in triggers whose modes are held still."""
    rows = await connection.fetch(wait_queries.end_waits, *_columns(events), sorted(trigger_ids), now)
    return [_wait(row) for row in rows]


def _columns(events: Sequence[KeyedEvent]) -> tuple[list[Any], ...]:
    return (
        [event.workspace_id for event, _ in events],
        [event.name for event, _ in events],
        [correlation for _, (correlation, _) in events],
        [key for _, (_, key) in events],
        [event.event_id for event, _ in events],
        [event.accepted_at for event, _ in events],
    )


def _wait(row: asyncpg.Record) -> Wait:
    return Wait(**{**row, "outcome": row["outcome"] and WaitOutcome(row["outcome"])})


async def waits_of(connection: Connection, trigger_id: UUID, after: tuple[int, int], limit: int) -> list[Wait]:
    """Return the next `limit` waits of a trigger behind `after`, a step's order and a position."""
    rows = await connection.fetch(wait_queries.waits_of, trigger_id, *after, limit)
    return [_wait(row) for row in rows]


async def overdue_triggers(connection: Connection, now: datetime, limit: int) -> set[UUID]:
    """Return the triggers of the waits that have been over the longest."""
    return {row["trigger_id"] for row in await connection.fetch(wait_queries.overdue_triggers, now, limit)}


async def time_out(connection: Connection, now: datetime, trigger_ids: Collection[UUID], limit: int) -> list[Wait]:
    """End waits for which no event came in time, in triggers whose modes are held still."""
    return [_wait(row) for row in await connection.fetch(wait_queries.time_out, now, sorted(trigger_ids), limit)]


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
