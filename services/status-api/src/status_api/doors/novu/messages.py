"""`/v1/messages`: what providers were asked to deliver."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from sluice_catalog.repository import Catalog
from sluice_contracts.vocabulary import Channel
from sluice_runtime.http.novu import empty, enveloped, refused
from sluice_runtime.http.operations import Call, Operation
from status_api.domain.rows import ExecutionRow, JobRow
from status_api.doors.novu.presentation import message, people_in
from status_api.doors.novu.queries import ChannelQuery, MessagesQuery
from status_api.doors.novu.reading import MOST_DEEP, channels_of, found_at, numbered, operation, reader_of
from status_api.doors.novu.runs import Run
from status_api.doors.novu.store import NovuStore
from status_api.doors.novu.walking import RunFilter, Walk
from status_api.handlers.actions import WRITE_SCOPE
from status_api.handlers.triggers import STATUS_SCOPE

Found = tuple[Run, ExecutionRow, JobRow]


class Messages:
    """The handlers."""

    def __init__(self, walk: Walk, store: NovuStore, catalog: Catalog) -> None:
        self._walk = walk
        self._store = store
        self._catalog = catalog

    def operations(self) -> list[Operation]:
        """Return the operations for `add_operations`."""
        path = "/v1/messages"
        return [
            operation("GET", path, "list_messages", "List messages", self._list, STATUS_SCOPE, query=MessagesQuery),
            operation("DELETE", f"{path}/{{messageId}}", "delete_message", "List a message no more", self._delete,
                      WRITE_SCOPE),
            operation("DELETE", f"{path}/transaction/{{transactionId}}", "delete_messages",
                      "List a transaction's messages no more", self._delete_all, WRITE_SCOPE, status=204,
                      query=ChannelQuery),
        ]  # fmt: skip

    async def _list(self, call: Call) -> web.Response:
        query: MessagesQuery = call.query
        first = query.page * query.limit
        found: list[Found] = []
        if first < MOST_DEEP:
            found = await self._search(call, query, first, query.limit + 1)
        page = found[: query.limit]
        reader = await reader_of(call, self._catalog, people_in([job for _, _, job in page]))
        shown = [message(run, execution, job, reader) for run, execution, job in page]
        return numbered(shown, query.page, query.limit, has_more=len(found) > query.limit)

    async def _search(self, call: Call, query: MessagesQuery, skip: int, need: int) -> list[Found]:
        channels = channels_of(None if query.channel is None else [query.channel])
        person = query.subscriber_id
        found: list[Found] = []
        async for runs in self._walk.runs(call.principal.workspace_id, RunFilter(query.transaction_id)):
            places = [
                (run, execution)
                for run in runs
                for execution in reversed(run.executions)
                if execution.sent + execution.failed > 0 and (channels is None or execution.channel in channels)
            ]
            if person is None:
                places, skip = await self._behind(places, skip)
            by_id = {execution.execution_id: (run, execution) for run, execution in places}
            jobs = await self._store.messages(list(by_id), person, skip, need - len(found)) if by_id else []
            found += [(*by_id[job.execution_id], job) for job in jobs]
            if len(found) >= need:
                break
            if jobs:
                skip = 0
            elif person is not None and skip and by_id:
                skip -= len(await self._store.messages(list(by_id), person, 0, skip))
        return found

    async def _behind(
        self, places: Sequence[tuple[Run, ExecutionRow]], skip: int
    ) -> tuple[list[tuple[Run, ExecutionRow]], int]:
        """Return the places behind those that lie before the page as a whole, and what is left to skip."""
        hidden = await self._store.hidden([execution.execution_id for _, execution in places]) if skip else {}
        for index, (_, execution) in enumerate(places):
            gone = hidden.get(execution.execution_id)
            count = (
                0 if gone is not None and gone.whole else execution.sent + execution.failed - (gone.some if gone else 0)
            )
            if count > skip:
                return list(places[index:]), skip
            skip -= count
        return [], skip

    async def _delete(self, call: Call) -> web.Response:
        message_id = call.request.match_info["messageId"]
        found = await found_at(call, self._walk, self._store, message_id)
        if found is None or await self._store.message_at(found[1].execution_id, found[2]) is None:
            raise refused(f"Message with id {message_id} not found", 404)
        await self._store.hide([found[1].execution_id], found[2])
        return enveloped({"acknowledged": True, "status": "deleted"})

    async def _delete_all(self, call: Call) -> web.Response:
        query: ChannelQuery = call.query
        channels: frozenset[Channel] | None = channels_of(None if query.channel is None else [query.channel])
        transaction_id = call.request.match_info["transactionId"]
        runs = await self._walk.of_transactions(call.principal.workspace_id, [transaction_id])
        await self._store.hide(
            [
                execution.execution_id
                for run in runs
                for execution in run.executions
                if channels is None or execution.channel in channels
            ]
        )
        return empty()
