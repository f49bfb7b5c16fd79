"""Writing the projection: one transaction a batch, all counting done by the database in the statement that folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sluice_storage.database import Connection, Database, encode_json
from sluice_storage.statements import load
from status_api.adapters.wait_store import write_waits
from status_api.domain.batch import Batch, Course
from status_api.domain.facts import ExecutionFacts, TriggerFacts
from status_api.domain.waits import WaitFacts

SCHEMA: Final = "status"

_sql = load("status_api", "projection.sql")


class Projection:
    """The tables of the schema `status`, as the topics' handlers write them."""

    def __init__(self, database: Database, *, receipt_deadline: timedelta) -> None:
        self._database = database
        self._deadline_ms = int(receipt_deadline.total_seconds() * 1000)

    async def fold_reports(self, batch: Batch) -> None:
        """Join reports into their jobs and count what moved, in one transaction."""

        async def work(connection: Connection) -> None:
            await fold_jobs(connection, batch, self._deadline_ms)

        if batch.touches:
            await self._database.in_transaction(work)

    async def fold_facts(
        self, triggers: Sequence[TriggerFacts], executions: Sequence[ExecutionFacts], waits: WaitFacts | None = None
    ) -> None:
        """Join facts about triggers, executions and waits, each thing once, in one transaction."""

        async def work(connection: Connection) -> None:
            changed: dict[UUID, UUID] = {}
            for statement, facts in ((_sql.fold_executions, executions), (_sql.fold_triggers, triggers)):
                if facts:
                    rows = await connection.fetch(statement, [_as_json(part) for part in facts])
                    changed |= {row["trigger_id"]: row["workspace_id"] for row in rows}
            if waits:
                changed |= await write_waits(connection, waits)
            if changed:
                names = sorted(changed)
                await connection.execute(_sql.bump_versions, names, [changed[name] for name in names])

        if triggers or executions or waits:
            await self._database.in_transaction(work)

    async def oldest_unfinished(self) -> datetime | None:
        """Return when the oldest execution that is not at its end was started, None if there is none."""
        async with self._database.connection() as connection:
            started_at: datetime | None = await connection.fetchval(_sql.oldest_unfinished)
        return started_at


async def fold_jobs(connection: Connection, batch: Batch, deadline_ms: int) -> None:
    """Join the jobs of `batch` inside the caller's transaction."""
    await connection.fetch(
        _sql.fold_jobs,
        batch.seq,
        batch.course,
        _unless_empty(batch.external_id),
        _unless_empty(batch.address),
        _unless_empty(batch.timeline),
        *_columns(batch.courses, len(Course._fields) - 1),
        [None if course.timeline is None else encode_json(course.timeline) for course in batch.courses],
        [touch.execution_id for touch in batch.touches],
        [touch.trigger_id for touch in batch.touches],
        [touch.workspace_id for touch in batch.touches],
        [touch.channel and touch.channel.value for touch in batch.touches],
        [touch.epoch for touch in batch.touches],
        [touch.last_ended_at for touch in batch.touches],
        deadline_ms,
    )


def _columns(rows: Sequence[Sequence[Any]], width: int) -> list[list[Any]]:
    """Return the first `width` columns of `rows`."""
    return [list(column) for column in zip(*rows, strict=True)][:width] or [[] for _ in range(width)]


def _unless_empty(column: list[Any]) -> list[Any] | None:
    """A column goes as JSON, which costs the driver a tenth of an array; one of nothing but None does not go at all."""
    return None if column.count(None) == len(column) else column


def _as_json(facts: TriggerFacts | ExecutionFacts) -> dict[str, Any]:
    known = ((each.name, getattr(facts, each.name)) for each in fields(facts))
    return {name: value for name, value in known if value is not None}
