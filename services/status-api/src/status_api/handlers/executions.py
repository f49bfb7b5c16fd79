"""Reads about one execution and its jobs."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Final

from aiohttp import web
from pydantic import Field, TypeAdapter

from sluice_contracts.vocabulary import Channel, JobState
from sluice_runtime.http.operations import Call, Operation
from sluice_runtime.http.problems import not_found
from status_api.adapters.status_store import ExecutionVersion, StatusStore
from status_api.domain.paging import BadCursorError, pagination, read_cursor
from status_api.domain.presentation.direct import present_execution
from status_api.domain.presentation.job_models import JobPage
from status_api.domain.presentation.jobs import present_job
from status_api.domain.presentation.models import ExecutionDetails
from status_api.domain.presentation.parts import SEGMENT_OF_PATH
from status_api.handlers.answers import (
    bad_cursor,
    holds_a_copy,
    is_known,
    path_id,
    sees_addresses,
    tagged,
    unchanged,
    version_tag,
)
from status_api.handlers.arrivals import Arrivals
from status_api.handlers.queries import JobsQuery
from status_api.handlers.triggers import STATUS_SCOPE, load_overview

_POSITION: Final = TypeAdapter(Annotated[int, Field(ge=0, le=2**31 - 1, strict=True)])


class ExecutionReads:
    """`GET /api/v1/{messages|sms|whatsapp}/executions/{id}` and its jobs."""

    def __init__(self, store: StatusStore, arrivals: Arrivals) -> None:
        self._store = store
        self._arrivals = arrivals

    def operations(self) -> list[Operation]:
        """Return the operations for `add_operations`, two a channel."""
        operations = []
        for channel, segment in SEGMENT_OF_PATH.items():
            at = f"/api/v1/{segment}/executions/{{execution_id}}"
            name, tag = f"get_{channel}_execution", "Executions"
            one, jobs = partial(self.execution, channel), partial(self.jobs, channel)
            operations += [
                Operation(
                    "GET",
                    at,
                    name,
                    f"An execution on {channel}",
                    tag,
                    one,
                    STATUS_SCOPE,
                    answers={200: ExecutionDetails, 304: None},
                ),
                Operation(
                    "GET",
                    f"{at}/jobs",
                    f"list_{channel}_jobs",
                    "Its jobs, in order",
                    tag,
                    jobs,
                    STATUS_SCOPE,
                    query=JobsQuery,
                    answers={200: JobPage, 304: None},
                ),
            ]
        return operations

    async def execution(self, channel: Channel, call: Call) -> web.Response:
        """Answer one execution with its reasons and analytics."""
        found = await self._version(channel, call)
        tag = version_tag(call, found.version)
        if is_known(call, tag):
            return unchanged(tag)
        execution_id = path_id(call, "execution_id", "execution")
        whole = await load_overview(self._store, call.principal.workspace_id, found.trigger_id)
        execution = next((part for part in whole.executions if part.execution_id == execution_id), None)
        if execution is None:
            raise not_found("execution")
        reasons = await self._store.reasons([execution_id])
        filtered = [reason for reason in reasons if reason.state is JobState.FILTERED]
        return tagged(present_execution(whole, execution, filtered, unmasked=sees_addresses(call)), tag)

    async def jobs(self, channel: Channel, call: Call) -> web.Response:
        """Answer one page of jobs, in the order of their positions."""
        query: JobsQuery = call.query
        try:
            after = -1 if query.cursor is None else read_cursor(query.cursor, _POSITION)
        except BadCursorError as error:
            raise bad_cursor() from error
        if holds_a_copy(call):
            known = version_tag(call, (await self._version(channel, call)).version)
            if is_known(call, known):
                return unchanged(known)
        execution_id, workspace_id = path_id(call, "execution_id", "execution"), call.principal.workspace_id
        found = await self._arrivals.wait_for(
            (workspace_id, execution_id),
            lambda: self._store.job_page(workspace_id, execution_id, query.status, after, query.limit + 1),
        )
        if found is None or found.channel is not channel:
            raise not_found("execution")
        page = found.jobs[: query.limit]
        following = page[-1].seq if len(found.jobs) > query.limit else None
        unmasked = sees_addresses(call)
        body = {
            "data": {"jobs": [present_job(job, channel, unmasked=unmasked) for job in page]},
            "pagination": pagination(query.limit, following),
        }
        return tagged(body, version_tag(call, found.version))

    async def _version(self, channel: Channel, call: Call) -> ExecutionVersion:
        execution_id = path_id(call, "execution_id", "execution")
        workspace_id = call.principal.workspace_id
        found = await self._arrivals.wait_for(
            (workspace_id, execution_id), lambda: self._store.version_of_execution(workspace_id, execution_id)
        )
        if found is None or found.channel is not channel:
            raise not_found("execution")
        return found
