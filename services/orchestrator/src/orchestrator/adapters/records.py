"""What lasts as long as a trigger is remembered: the trigger itself, its cohort, its executions."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from pydantic import TypeAdapter

from orchestrator.adapters.statements import queries
from orchestrator.domain.cohort import Position
from orchestrator.domain.plan import Plan
from orchestrator.domain.running import FailedTrigger, Mode, RunningTrigger, StartedExecution
from sluice_contracts.messages.content import Content
from sluice_contracts.messages.trigger import TriggerAccepted
from sluice_storage.database import Connection

_REMEMBERED: Final = 64
_content: TypeAdapter[Content] = TypeAdapter(Content)


@dataclass(frozen=True, slots=True)
class NewTrigger:
    """A trigger to be recorded: with a plan, or with the reason why there can be none."""

    accepted: TriggerAccepted
    plan: Plan | None
    planned_at: datetime
    cohort_total: int | None
    failure: FailedTrigger | None = None


class Records:
    """Reads triggers; keeps the last few in their parsed form, because a campaign is asked for at every turn."""

    def __init__(self) -> None:
        self._parsed: OrderedDict[UUID, tuple[TriggerAccepted, Plan]] = OrderedDict()

    async def triggers(
        self, connection: Connection, trigger_ids: Collection[UUID]
    ) -> dict[UUID, RunningTrigger | FailedTrigger]:
        """Return the triggers that have been taken up, by id."""
        remembered = {trigger_id: self._parsed[trigger_id] for trigger_id in trigger_ids if trigger_id in self._parsed}
        found: dict[UUID, RunningTrigger | FailedTrigger] = {}
        for row in await connection.fetch(queries.triggers_by_id, list(trigger_ids), list(remembered)):
            trigger_id: UUID = row["trigger_id"]
            if row["mode"] == Mode.FAILED:
                found[trigger_id] = FailedTrigger(
                    trigger_id, row["workspace_id"], row["planned_at"], row["failure_code"], row["failure_detail"]
                )
                continue
            accepted, plan = remembered.get(trigger_id) or (
                TriggerAccepted.decode(row["accepted"]),
                Plan.model_validate_json(row["plan"]),
            )
            self._remember(trigger_id, accepted, plan)
            found[trigger_id] = RunningTrigger(accepted, plan, Mode(row["mode"]), row["mode_at"], row["cohort_total"])
        return found

    def _remember(self, trigger_id: UUID, accepted: TriggerAccepted, plan: Plan) -> None:
        self._parsed[trigger_id] = (accepted, plan)
        self._parsed.move_to_end(trigger_id)
        while len(self._parsed) > _REMEMBERED:
            self._parsed.popitem(last=False)


async def taken_up(connection: Connection, trigger_ids: Collection[UUID]) -> set[UUID]:
    """Return those of the triggers that have been recorded before."""
    return {row["trigger_id"] for row in await connection.fetch(queries.taken_up, list(trigger_ids))}


async def record_triggers(
    connection: Connection, triggers: Sequence[NewTrigger]
) -> dict[UUID, tuple[Mode, datetime | None]]:
    """Record triggers, each once; return those that were not known, with the mode that an early request gave them."""
    rows = await connection.fetch(
        queries.record_triggers,
        [trigger.accepted.trigger_id for trigger in triggers],
        [trigger.accepted.workspace_id for trigger in triggers],
        [trigger.accepted.encode() for trigger in triggers],
        [None if trigger.plan is None else trigger.plan.model_dump_json().encode() for trigger in triggers],
        [trigger.planned_at for trigger in triggers],
        [Mode.FAILED if trigger.failure else Mode.RUNNING for trigger in triggers],
        [trigger.cohort_total for trigger in triggers],
        [trigger.plan is not None and trigger.plan.asks_for_outcomes for trigger in triggers],
        [trigger.failure and trigger.failure.code for trigger in triggers],
        [trigger.failure and trigger.failure.detail for trigger in triggers],
    )
    return {row["trigger_id"]: (Mode(row["mode"]), row["mode_at"]) for row in rows}


async def add_cohort_pages(connection: Connection, pages: Sequence[tuple[UUID, int, Sequence[Position]]]) -> None:
    """Write pages of cohorts, given as (trigger, page, positions)."""
    await connection.executemany(
        queries.add_cohort_page,
        [
            (
                trigger_id,
                page,
                [position.contact_id for position in positions],
                [position.label for position in positions]
                if any(position.label is not None for position in positions)
                else None,
            )
            for trigger_id, page, positions in pages
        ],
    )


async def cohort_pages(
    connection: Connection, pages: Collection[tuple[UUID, int]]
) -> dict[tuple[UUID, int], list[Position]]:
    """Return the positions of those pages, given as (trigger, page), that are written."""
    wanted = list(pages)
    if not wanted:
        return {}
    rows = await connection.fetch(
        queries.cohort_pages, [trigger_id for trigger_id, _ in wanted], [page for _, page in wanted]
    )
    return {
        (row["trigger_id"], row["page"]): [
            Position(contact_id, label)
            for contact_id, label in zip(
                row["contact_ids"], row["labels"] or [None] * len(row["contact_ids"]), strict=True
            )
        ]
        for row in rows
    }


async def start_executions(connection: Connection, executions: Sequence[tuple[UUID, int, StartedExecution]]) -> None:
    """Record executions as started, given as (trigger, step order, execution). One that has started stays as it is."""
    await connection.executemany(
        queries.start_execution,
        [
            (
                execution.execution_id,
                trigger_id,
                step_order,
                _content.dump_json(execution.content),
                execution.started_at,
                execution.expected,
                execution.commanded,
                execution.finished_at,
            )
            for trigger_id, step_order, execution in executions
        ],
    )


async def advance_executions(connection: Connection, advances: Sequence[tuple[UUID, int, datetime | None]]) -> None:
    """Count further jobs as commanded: (execution, jobs, when the last was commanded or None)."""
    await connection.executemany(queries.advance_execution, advances)


async def count_cohort(connection: Connection, trigger_id: UUID, total: int, owner: UUID) -> None:
    """Note the exact size of a cohort, found by whoever holds a lease as `owner`."""
    await connection.execute(queries.count_cohort, trigger_id, total, owner)


async def executions_of(
    connection: Connection, trigger_ids: Collection[UUID]
) -> dict[UUID, dict[UUID, StartedExecution]]:
    """Return the executions that have started, by trigger and id."""
    found: defaultdict[UUID, dict[UUID, StartedExecution]] = defaultdict(dict)
    for row in await connection.fetch(queries.executions_of, list(trigger_ids)):
        found[row["trigger_id"]][row["execution_id"]] = StartedExecution(
            execution_id=row["execution_id"],
            content=_content.validate_json(row["content"]),
            started_at=row["started_at"],
            expected=row["expected"],
            commanded=row["commanded"],
            never_commanded=row["never_commanded"],
            finished_at=row["finished_at"],
        )
    return found


async def note_spent_triggers(connection: Connection, before: datetime, now: datetime, limit: int) -> None:
    """Note up to `limit` triggers planned before `before` whose ids count for good, so that they can be forgotten."""
    await connection.execute(queries.note_spent_triggers, before, now, limit)


async def forget_triggers(connection: Connection, before: datetime, limit: int, noted_before: datetime) -> int:
    """Remove up to `limit` triggers planned before `before` of which nothing is open; return how many.

    Those whose ids count for good go only where they were noted before `noted_before`.
    """
    return int(await connection.fetchval(queries.forget_triggers, before, limit, noted_before))
