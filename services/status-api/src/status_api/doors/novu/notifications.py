"""`/v1/notifications`: Novu's activity feed, one entry a contact of a trigger; its statistics and execution details."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Final
from uuid import UUID

from aiohttp import web

from sluice_catalog.repository import Catalog
from sluice_contracts.novu import CHANNEL_TYPES
from sluice_contracts.vocabulary import Channel
from sluice_runtime.clock import Clock
from sluice_runtime.http.novu import enveloped, refused
from sluice_runtime.http.operations import Call, Operation
from status_api.domain.rows import JobRow
from status_api.doors.novu.presentation import activity, legacy_details
from status_api.doors.novu.queries import DetailsQuery, GraphQuery, NotificationsQuery
from status_api.doors.novu.reading import MOST_DEEP, channels_of, found_at, numbered, operation, reader_of
from status_api.doors.novu.runs import Run
from status_api.doors.novu.store import NovuStore
from status_api.doors.novu.walking import RunFilter, Walk
from status_api.handlers.arrivals import Arrivals
from status_api.handlers.triggers import STATUS_SCOPE

Found = tuple[Run, int]
_YEAR: Final = timedelta(days=365)


class Notifications:
    """The handlers."""

    def __init__(self, walk: Walk, store: NovuStore, catalog: Catalog, arrivals: Arrivals, clock: Clock) -> None:
        self._walk = walk
        self._store = store
        self._catalog = catalog
        self._arrivals = arrivals
        self._clock = clock

    def operations(self) -> list[Operation]:
        """Return the operations for `add_operations`."""
        path = "/v1/notifications"
        return [
            operation("GET", path, "list_notifications", "List what became of triggers, by contact", self._list,
                      STATUS_SCOPE, query=NotificationsQuery),
            operation("GET", f"{path}/stats", "get_notification_stats", "Count messages of the last week, month, year",
                      self._stats, STATUS_SCOPE),
            operation("GET", f"{path}/graph/stats", "get_notification_graph", "Count messages by day", self._graph,
                      STATUS_SCOPE, query=GraphQuery),
            operation("GET", f"{path}/{{notificationId}}", "get_notification", "Get one entry of the feed",
                      self._get, STATUS_SCOPE),
            operation("GET", "/v1/execution-details", "list_execution_details",
                      "Get what was reported about one entry", self._details, STATUS_SCOPE, query=DetailsQuery),
        ]  # fmt: skip

    async def _list(self, call: Call) -> web.Response:
        query: NotificationsQuery = call.query
        first = query.page * query.limit
        found: list[Found] = []
        if first < MOST_DEEP:
            found = await self._search(call, query, first, query.limit + 1)
        shown = await self._shown(call, found[: query.limit])
        return numbered(shown, query.page, query.limit, has_more=len(found) > query.limit)

    async def _search(self, call: Call, query: NotificationsQuery, skip: int, need: int) -> list[Found]:
        people = await self._people(call, query)
        if people is not None and not people:
            return []
        if query.transaction_id:
            await self._wait(call.principal.workspace_id, query.transaction_id)
        found: list[Found] = []
        wanted = RunFilter(query.transaction_id, query.after, query.before)
        async for runs in self._walk.runs(call.principal.workspace_id, wanted):
            for run in runs:
                if not is_wanted(run, query):
                    continue
                positions = await self._positions(run, people, skip, need - len(found))
                if positions:
                    skip = 0
                elif skip:
                    skip -= await self._count(run, people, skip)
                found += [(run, seq) for seq in positions]
                if len(found) >= need:
                    return found
        return found

    async def _people(self, call: Call, query: NotificationsQuery) -> list[str] | None:
        """Return whom a query asks for, None for everybody."""
        if query.subscriber_ids is None and query.emails is None:
            return None
        wanted = list(query.subscriber_ids or [])
        for email in query.emails or []:
            wanted += await self._catalog.external_ids_with_email(call.principal.workspace_id, email)
        return wanted

    async def _positions(self, run: Run, people: Sequence[str] | None, offset: int, limit: int) -> list[int]:
        named = run.named
        if named:
            seqs = [seq for seq, one in enumerate(named) if people is None or one in people]
            return seqs[offset : offset + limit]
        executions = [execution.execution_id for execution in run.executions]
        return await self._store.positions(executions, people, offset, limit)

    async def _count(self, run: Run, people: Sequence[str] | None, most: int) -> int:
        if run.named:
            return sum(1 for one in run.named if people is None or one in people)
        executions = [execution.execution_id for execution in run.executions]
        return len(await self._store.positions(executions, people, 0, most))

    async def _get(self, call: Call) -> web.Response:
        notification_id = call.request.match_info["notificationId"]
        found = await found_at(call, self._walk, self._store, notification_id)
        shown = [] if found is None else await self._shown(call, [(found[0], found[2])])
        if not shown:
            raise refused(f"Notification with id {notification_id} not found", 404)
        return enveloped(shown[0])

    async def _details(self, call: Call) -> web.Response:
        query: DetailsQuery = call.query
        found = await found_at(call, self._walk, self._store, query.notification_id)
        if found is None:
            return enveloped([])
        run, _, seq = found
        jobs = (await self._jobs([(run, seq)]))[run.overview.trigger.trigger_id, seq]
        people = [job.external_id for job in jobs.values() if job.external_id]
        reader = await reader_of(call, self._catalog, people)
        return enveloped(
            [
                detail
                for execution in run.executions
                if (job := jobs.get(execution.execution_id)) is not None
                for detail in legacy_details(run, execution, job, reader)
                if query.subscriber_id in {None, job.external_id, detail["_subscriberId"]}
            ]
        )

    async def _stats(self, call: Call) -> web.Response:
        now = self._clock.now()
        days = await self._store.days(call.principal.workspace_id, now - _YEAR)
        since = {
            "weeklySent": now - timedelta(days=7),
            "monthlySent": now - timedelta(days=30),
            "yearlySent": now - _YEAR,
        }
        return enveloped(
            {name: sum(day.sent for day in days if day.day >= first.date()) for name, first in since.items()}
        )

    async def _graph(self, call: Call) -> web.Response:
        query: GraphQuery = call.query
        today = self._clock.now().date()
        since = datetime.combine(today - timedelta(days=query.days - 1), time.min, UTC)
        days = await self._store.days(call.principal.workspace_id, since)
        return enveloped(
            [
                {
                    "_id": day.day.isoformat(),
                    "count": day.sent,
                    "templates": [],
                    "channels": sorted(CHANNEL_TYPES[Channel(channel)] for channel in day.channels),
                }
                for day in days
            ]
        )

    async def _shown(self, call: Call, found: Sequence[Found]) -> list[dict[str, object]]:
        jobs = await self._jobs(found)
        who = {place: _person(run, seq, jobs[place]) for run, seq in found for place in [_place(run, seq)]}
        reader = await reader_of(call, self._catalog, [person for person in who.values() if person])
        return [
            activity(run, seq, person, jobs[_place(run, seq)], reader)
            for run, seq in found
            if (person := who[_place(run, seq)]) is not None
        ]

    async def _jobs(self, found: Sequence[Found]) -> Mapping[tuple[UUID, int], dict[UUID, JobRow]]:
        """Return the jobs of each entry, by execution."""
        triggers: dict[UUID, UUID] = {}
        seqs: defaultdict[UUID, list[int]] = defaultdict(list)
        for run, seq in found:
            trigger_id = run.overview.trigger.trigger_id
            triggers.update((execution.execution_id, trigger_id) for execution in run.executions)
            seqs[trigger_id].append(seq)
        jobs: defaultdict[tuple[UUID, int], dict[UUID, JobRow]] = defaultdict(dict)
        if found:
            positions = sorted({seq for wanted in seqs.values() for seq in wanted})
            for job in await self._store.jobs_at(list(triggers), positions):
                jobs[triggers[job.execution_id], job.seq][job.execution_id] = job
        return jobs

    async def _wait(self, workspace_id: UUID, transaction_ids: Sequence[str]) -> None:
        """Give the projection a moment for what was triggered just now."""

        async def planned() -> bool | None:
            for transaction_id in transaction_ids:
                trigger = await self._walk.trigger(workspace_id, transaction_id)
                if trigger is None or (trigger.planned_at is None and not trigger.failed):
                    return None
            return True

        await self._arrivals.wait_for((workspace_id, *transaction_ids), planned)


def _place(run: Run, seq: int) -> tuple[UUID, int]:
    return run.overview.trigger.trigger_id, seq


def _person(run: Run, seq: int, jobs: Mapping[UUID, JobRow]) -> str | None:
    for job in jobs.values():
        known = job.external_id or job.address
        if known is not None:
            return known
    return run.named[seq] if seq < len(run.named) else None


def is_wanted(run: Run, query: NotificationsQuery) -> bool:
    """Whether a trigger as a whole is one that a query asks for; whom it asks for is looked at later."""
    channels = channels_of(query.channels)
    if channels is not None and not any(execution.channel in channels for execution in run.executions):
        return False
    checks = (
        (query.templates, {run.template_id, run.identifier}),
        (query.severity, {str(run.noted.get("severity", "none"))}),
        (None if query.topic_key is None else [query.topic_key], set(run.texts("topics"))),
        (query.context_keys, set(run.texts("context"))),
    )
    if any(wanted and not set(wanted) & known for wanted, known in checks):
        return False
    text = query.search
    return not text or text in run.transaction_id or text in run.named
