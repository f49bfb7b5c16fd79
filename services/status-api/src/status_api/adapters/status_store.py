"""Reading the projection, always for one workspace."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from sluice_contracts.vocabulary import Channel, FlowType, JobState, MessageState
from sluice_storage.database import Connection, Database
from sluice_storage.statements import load
from status_api.adapters.rows import execution_row, job_row, job_rows, reason_row, trigger_row
from status_api.adapters.versions import Asked, Versions
from status_api.domain.overview import Overview, overview
from status_api.domain.progress import epoch_of
from status_api.domain.retrying import FailedJob
from status_api.domain.rows import ExecutionRow, JobRow, ReasonRow, TriggerRow

READ_SECONDS: Final = 3.0
MOST_REASONS: Final = 100
MOST_CONTACTS: Final = 10

_FIRST_TIME: Final = datetime(1, 1, 2, tzinfo=UTC)
_LAST_TIME: Final = datetime(9999, 12, 30, tzinfo=UTC)
_LAST_ID: Final = UUID(int=(1 << 128) - 1)
_UNSENT: Final = frozenset({JobState.CANCELLED, JobState.FILTERED, JobState.FAILED})

_sql = load("status_api", "reads.sql")


class TriggerPlace(NamedTuple):
    """A trigger's place in the list of all, which runs from the newest to the oldest."""

    accepted_at: datetime = _LAST_TIME
    trigger_id: UUID = _LAST_ID


class ExecutionVersion(NamedTuple):
    """Which trigger an execution belongs to, and that trigger's version."""

    version: int
    trigger_id: UUID
    channel: Channel


class JobPage(NamedTuple):
    """Some jobs of an execution, and the version of its trigger, as of one moment."""

    version: int
    channel: Channel
    jobs: list[JobRow]


@dataclass(frozen=True, slots=True)
class TriggerFilter:
    """Which triggers to list: accepted from `since` up to `until`, of one flow type, on one channel."""

    since: datetime | None = None
    until: datetime | None = None
    flow_type: FlowType | None = None
    channel: Channel | None = None


class StatusStore:
    """The tables of the schema `status`, as readers see them.

    Every method raises TimeoutError when the database does not answer within three seconds, and whatever it raises
    when it is away.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._versions = Versions(self._read_versions)

    async def version(self, workspace_id: UUID, trigger_id: UUID) -> int | None:
        """Return the version of a trigger, None where it is not there."""
        return await self._versions.of(workspace_id, trigger_id)

    async def _read_versions(self, asked: Collection[Asked]) -> dict[Asked, int]:
        workspaces, triggers = zip(*asked, strict=True)
        async with self._reading() as connection:
            records = await connection.fetch(_sql.versions, workspaces, triggers)
        return {(record["workspace_id"], record["trigger_id"]): record["version"] for record in records}

    async def version_of_execution(self, workspace_id: UUID, execution_id: UUID) -> ExecutionVersion | None:
        """Return the version of the trigger that an execution belongs to, None where the execution is not there."""
        async with self._reading() as connection:
            record = await connection.fetchrow(_sql.version_of_execution, execution_id, workspace_id)
        if record is None or record["channel"] is None:
            return None
        return ExecutionVersion(record["version"], record["trigger_id"], Channel(record["channel"]))

    async def trigger(self, workspace_id: UUID, trigger_id: UUID) -> TriggerRow | None:
        """Return a trigger, None where it is not there."""
        async with self._reading() as connection:
            record = await connection.fetchrow(_sql.trigger, trigger_id, workspace_id)
        return None if record is None else trigger_row(record)

    async def whole(self, workspace_id: UUID, trigger_id: UUID) -> Overview | None:
        """Return a trigger with its executions, None where it is not there.

        Its version is read first: what the counters show may be newer, and never older.
        """
        async with self._reading() as connection:
            record = await connection.fetchrow(_sql.trigger, trigger_id, workspace_id)
            if record is None:
                return None
            executions = await connection.fetch(_sql.executions, [trigger_id], workspace_id)
        return overview(trigger_row(record), [execution_row(execution) for execution in executions])

    async def triggers(
        self, workspace_id: UUID, chosen: TriggerFilter, after: TriggerPlace, limit: int
    ) -> list[TriggerRow]:
        """Return up to `limit` triggers behind `after`, the newest first."""
        async with self._reading() as connection:
            records = await connection.fetch(
                _sql.trigger_page,
                workspace_id,
                after.accepted_at,
                after.trigger_id,
                chosen.since or _FIRST_TIME,
                chosen.until or _LAST_TIME,
                chosen.flow_type.value if chosen.flow_type else None,
                chosen.channel.value if chosen.channel else None,
                limit,
            )
        return [trigger_row(record) for record in records]

    async def executions(self, workspace_id: UUID, trigger_ids: Sequence[UUID]) -> dict[UUID, list[ExecutionRow]]:
        """Return the executions of each of `trigger_ids`."""
        async with self._reading() as connection:
            records = await connection.fetch(_sql.executions, trigger_ids, workspace_id)
        found: dict[UUID, list[ExecutionRow]] = {trigger_id: [] for trigger_id in trigger_ids}
        for record in records:
            found[record["trigger_id"]].append(execution_row(record))
        return found

    async def reasons(self, execution_ids: Sequence[UUID]) -> list[ReasonRow]:
        """Return why jobs of `execution_ids` were filtered or failed: the hundred commonest reasons of each."""
        async with self._reading() as connection:
            records = await connection.fetch(_sql.reasons, execution_ids, MOST_REASONS, MOST_CONTACTS)
        return [reason_row(record) for record in records]

    async def job_page(
        self,
        workspace_id: UUID,
        execution_id: UUID,
        status: JobState | MessageState | None,
        after: int,
        limit: int,
    ) -> JobPage | None:
        """Return up to `limit` jobs behind position `after`, in order, perhaps only those that stand at `status`.

        None where the workspace has no such execution.
        """
        arguments: list[Any] = [execution_id, workspace_id, after, limit]
        statement = _sql.job_page
        match status:
            case None:
                arguments += [None, None]
            case MessageState():
                arguments += [None, status.rank]
            case _ if status in _UNSENT:
                statement = _sql.unsent_job_page
                arguments.append(status.rank)
            case _:
                arguments += [status.rank, None]
        async with self._reading() as connection:
            record = await connection.fetchrow(statement, *arguments)
        if record is None or record["channel"] is None:
            return None
        version, channel, *columns = record
        jobs = [] if columns[0] is None else job_rows(execution_id, columns)
        return JobPage(version, Channel(channel), jobs)

    async def jobs_of(self, execution_ids: Sequence[UUID], person: str) -> list[JobRow]:
        """Return the jobs of one person, by external id, or by address where there is no contact."""
        async with self._reading() as connection:
            records = await connection.fetch(_sql.jobs_of_person, execution_ids, person)
        return [job_row(record) for record in records]

    async def failed_jobs(self, execution_id: UUID, after: int, limit: int) -> list[FailedJob]:
        """Return up to `limit` failed jobs at positions behind `after`, in order."""
        async with self._reading() as connection:
            records = await connection.fetch(_sql.failed_jobs, execution_id, after, limit)
        return [FailedJob(record["seq"], epoch_of(record["progress"])) for record in records]

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[Connection]:
        async with asyncio.timeout(READ_SECONDS), self._database.connection() as connection:
            yield connection
