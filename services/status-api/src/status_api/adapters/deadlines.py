"""Giving up on receipts that do not come: messages sent longer ago than the deadline become `unknown`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import asyncpg

from sluice_contracts.identifiers import PAGE_SIZE
from sluice_contracts.vocabulary import Channel, MessageState
from sluice_storage.database import Connection, Database
from sluice_storage.statements import load
from status_api.adapters.projection import fold_jobs
from status_api.domain.batch import Batch
from status_api.domain.fold import ExecutionTouch, JobFacts, TimelineEntry

PAGES: Final = 20
"""Pages that one transaction looks at."""

_sql = load("status_api", "projection.sql")


class ReceiptDeadlines:
    """Sweeps pages whose deadline has come. One sweeper at a time, whichever copy of the service it is in."""

    def __init__(self, database: Database, *, deadline: timedelta) -> None:
        self._database = database
        self._deadline_ms = int(deadline.total_seconds() * 1000)

    async def sweep(self, now: datetime) -> int:
        """Settle up to twenty pages that are due at `now`; return how many there were."""
        now_ms = int(now.timestamp() * 1000)

        async def work(connection: Connection) -> int:
            if not await connection.fetchval(_sql.elect_sweeper):
                return 0
            pages = await connection.fetch(_sql.due_pages, now_ms, PAGES)
            if pages:
                await self._give_up(connection, pages, now_ms - self._deadline_ms)
                await self._postpone(connection, pages)
            return len(pages)

        return await self._database.in_transaction(work)

    async def _give_up(self, connection: Connection, pages: Sequence[asyncpg.Record], sent_until: int) -> None:
        touches: dict[object, ExecutionTouch] = {}
        for page in pages:
            first = page["page"] * PAGE_SIZE
            overdue = await connection.fetch(
                _sql.overdue_jobs, page["execution_id"], first, first + PAGE_SIZE, sent_until
            )
            if overdue:
                touch = touches.setdefault(page["execution_id"], _touch(page))
                touch.jobs |= {job["seq"]: self._unknown(job) for job in overdue}
        if touches:
            await fold_jobs(connection, Batch.of_touches(touches.values()), self._deadline_ms)

    def _unknown(self, job: asyncpg.Record) -> JobFacts:
        gave_up_at = TimelineEntry(job["sent_at"] + self._deadline_ms)
        return JobFacts(
            progress=job["progress"],
            message=MessageState.UNKNOWN.rank,
            timeline={MessageState.UNKNOWN.value: gave_up_at},
        )

    async def _postpone(self, connection: Connection, pages: Sequence[asyncpg.Record]) -> None:
        """Set each page's next deadline, or lift it where nobody is waited for.

        Whoever reports a new hand-over sets a deadline after counting it. So it must not be lifted between the two,
        and the executions stay locked from before looking until the end.
        """
        await connection.fetch(_sql.lock_executions, sorted({page["execution_id"] for page in pages}))
        for page in sorted(pages, key=lambda page: (page["execution_id"], page["page"])):
            execution_id, first = page["execution_id"], page["page"] * PAGE_SIZE
            sent_at = await connection.fetchval(_sql.first_awaiting, execution_id, first, first + PAGE_SIZE)
            if sent_at is None:
                await connection.execute(_sql.lift_deadline, execution_id, page["page"])
            else:
                await connection.execute(
                    _sql.postpone_deadline, execution_id, page["page"], sent_at + self._deadline_ms
                )


def _touch(page: asyncpg.Record) -> ExecutionTouch:
    return ExecutionTouch(page["execution_id"], page["trigger_id"], page["workspace_id"], Channel(page["channel"]))
