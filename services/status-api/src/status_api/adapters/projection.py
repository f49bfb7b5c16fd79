"""Writing the projection: one transaction a batch, all counting done by the database in the statement that folds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import orjson

from sluice_storage.database import Connection, Database
from sluice_storage.statements import load
from status_api.domain.facts import ExecutionFacts, TriggerFacts
from status_api.domain.fold import ExecutionTouch, JobFacts, TimelineEntry

SCHEMA: Final = "status"

_JOB_COLUMNS: Final = 12

_sql = load("status_api", "projection.sql")


class Projection:
    """The tables of the schema `status`, as the topics' handlers write them."""

    def __init__(self, database: Database, *, receipt_deadline: timedelta) -> None:
        self._database = database
        self._deadline_ms = int(receipt_deadline.total_seconds() * 1000)

    async def fold_reports(self, touches: Sequence[ExecutionTouch]) -> None:
        """Join reports into their jobs and count what moved, in one transaction.

        `touches` are in the order of their ids, each execution once.
        """
        arguments = job_columns(touches)

        async def work(connection: Connection) -> None:
            await fold_jobs(connection, arguments, self._deadline_ms)

        if touches:
            await self._database.in_transaction(work)

    async def fold_facts(self, triggers: Sequence[TriggerFacts], executions: Sequence[ExecutionFacts]) -> None:
        """Join facts about triggers and executions, each thing once, in one transaction."""

        async def work(connection: Connection) -> None:
            changed: dict[UUID, UUID] = {}
            for statement, facts in ((_sql.fold_executions, executions), (_sql.fold_triggers, triggers)):
                if facts:
                    rows = await connection.fetch(statement, [_as_json(part) for part in facts])
                    changed |= {row["trigger_id"]: row["workspace_id"] for row in rows}
            if changed:
                names = sorted(changed)
                await connection.execute(_sql.bump_versions, names, [changed[name] for name in names])

        if triggers or executions:
            await self._database.in_transaction(work)

    async def oldest_unfinished(self) -> datetime | None:
        """Return when the oldest execution that is not at its end was started, None if there is none."""
        async with self._database.connection() as connection:
            started_at: datetime | None = await connection.fetchval(_sql.oldest_unfinished)
        return started_at


async def fold_jobs(connection: Connection, arguments: Sequence[Any], deadline_ms: int) -> None:
    """Join the jobs of `arguments` (see `job_columns`) inside the caller's transaction."""
    await connection.fetch(_sql.fold_jobs, *arguments, deadline_ms)


def job_columns(touches: Sequence[ExecutionTouch]) -> list[list[Any]]:
    """Return the arguments of the statement `fold_jobs`, but for its last: jobs as columns, then executions."""
    columns: list[list[Any]] = [list(column) for column in zip(*_job_rows(touches), strict=True)]
    return [
        *(columns or [[] for _ in range(_JOB_COLUMNS)]),
        [touch.execution_id for touch in touches],
        [touch.trigger_id for touch in touches],
        [touch.workspace_id for touch in touches],
        [touch.channel.value for touch in touches],
        [touch.epoch for touch in touches],
        [touch.last_ended_at for touch in touches],
    ]


def _job_rows(touches: Sequence[ExecutionTouch]) -> Iterator[tuple[Any, ...]]:
    for touch in touches:
        execution_id = touch.execution_id
        for seq in sorted(touch.jobs):
            facts = touch.jobs[seq]
            yield (
                execution_id,
                seq,
                facts.progress,
                facts.message,
                facts.engagements,
                facts.segments,
                facts.sent_at,
                facts.until,
                facts.cost_micros,
                facts.external_id,
                facts.address,
                _timeline_json(facts),
            )


def _timeline_json(facts: JobFacts) -> str:
    return orjson.dumps(facts.timeline, default=_without_trailing_nulls).decode()


def _without_trailing_nulls(entry: TimelineEntry) -> list[Any]:
    values = list(entry)
    while values[-1] is None:
        values.pop()
    return values


def _as_json(facts: TriggerFacts | ExecutionFacts) -> dict[str, Any]:
    return {name: value for name, value in asdict(facts).items() if value is not None}
