"""Reading what can be seen from outside: the public API as each workspace sees it, and the log files."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

from chaos.history import FINAL_TRIGGERS, Execution, HandOver, Job, Leak, Request, Sight, Trigger
from chaos.journal import MARK
from chaos.leaks import Known, leaks
from chaos.patience import Patience
from chaos.tenant import Tenant

_SEGMENTS: Final = {"email": "messages", "sms": "sms", "whatsapp": "whatsapp"}
_COUNTERS: Final = ("total", "sent", "failed", "filtered", "cancelled", "open")
_AT_ONCE: Final = 8
_FOUND: Final = 200
_NOT_FOUND: Final = 404
_ASKED_FOR: Final = 50
_LOOK_AGAIN_SECONDS: Final = 1.0
_READINGS: Final = 5


async def triggers(tenant: Tenant, ids: Sequence[str]) -> list[Trigger]:
    """Return those of the triggers that the workspace sees, each with all its jobs."""
    at_once = asyncio.Semaphore(_AT_ONCE)

    async def one(trigger_id: str) -> Trigger | None:
        async with at_once:
            return await _trigger(tenant, trigger_id)

    return [found for found in await asyncio.gather(*map(one, ids)) if found is not None]


async def _trigger(tenant: Tenant, trigger_id: str) -> Trigger | None:
    """Read a trigger and its jobs, again where it has moved meanwhile: a late receipt may."""
    path = f"/api/v1/triggers/{trigger_id}/ledger"
    if (await tenant.caller.answer("GET", path)).status == _NOT_FOUND:
        return None
    ledger = await tenant.caller.surely("GET", path)
    for _ in range(_READINGS):
        executions = [await _execution(tenant, each) for each in ledger["executions"]]
        before, ledger = ledger, await tenant.caller.surely("GET", path)
        if ledger == before:
            break
    sums = {**_counters(ledger), "unaccounted": ledger["unaccounted"]}
    return Trigger(trigger_id, tenant.name, ledger["status"], sums, executions)


async def _execution(tenant: Tenant, body: dict[str, Any]) -> Execution:
    listing = _listing(body["channel"], body["id"])
    jobs = [_job(body["channel"], row) async for row in tenant.caller.rows(listing, lambda page: page["data"]["jobs"])]
    return Execution(body["id"], body["channel"], _counters(body), jobs)


def _listing(channel: str, execution_id: str) -> str:
    return f"/api/v1/{_SEGMENTS[channel]}/executions/{execution_id}/jobs"


def _counters(body: dict[str, Any]) -> dict[str, int]:
    return {name: body[name] for name in _COUNTERS}


def _job(channel: str, row: dict[str, Any]) -> Job:
    address = row.get("email") or row.get("phone_number") or ""
    code = row["failure_code"] or row["filter_code"] or row["hold_code"]
    return Job(row["id"], channel, address, row["status"], code, row["message_status"])


async def fates(tenants: Sequence[Tenant], requests: Sequence[Request], seconds: float) -> list[Request]:
    """Return the requests, each that told an event with the triggers that the event is shown to have led to.

    What became of an event is waited for, so many seconds for all of them together.
    """
    callers = {tenant.name: tenant.caller for tenant in tenants}
    at_once = asyncio.Semaphore(_AT_ONCE)
    deadline = asyncio.get_running_loop().time() + seconds

    async def one(request: Request) -> Request:
        if not request.event_ids:
            return request
        async with at_once:
            path = f"/api/v1/events/{request.event_ids[0]}"
            while (answer := await callers[request.workspace].answer("GET", path)).status != _FOUND:
                if asyncio.get_running_loop().time() > deadline:
                    return request
                await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        ids = [rule["trigger_id"] for rule in answer.body["rules"] if rule["trigger_id"]]
        return replace(request, trigger_ids=tuple(ids))

    return await asyncio.gather(*map(one, requests))


async def sandbox(tenant: Tenant) -> list[HandOver]:
    """Return what the sandbox got of a workspace."""
    found = []
    async for row in tenant.caller.rows("/api/v1/sandbox/messages", lambda body: body["messages"]):
        mark = MARK.search(f"{row['subject']} {row['text']}")
        at = datetime.fromisoformat(row["at"]).timestamp()
        found.append(
            HandOver(at, tenant.name, row["channel"], mark[1] if mark else "none", row["to"], job_id=row["job_id"])
        )
    return found


async def listed(tenant: Tenant) -> list[dict[str, Any]]:
    """Return every row of the list of triggers of a workspace."""
    return [row async for row in tenant.caller.rows("/api/v1/triggers", lambda body: body["triggers"])]


async def sights(tenants: Sequence[Tenant], requests: Sequence[Request], shown: Sequence[Trigger]) -> list[Sight]:
    """Return what a workspace sees of another when it asks for it by id, or lists its own."""
    found = []
    owners = {trigger_id: request.workspace for request in requests for trigger_id in request.trigger_ids}
    for viewer in tenants:
        mine = [row["id"] for row in await listed(viewer)]
        found += [
            Sight(viewer.name, owners[trigger_id], f"trigger {trigger_id} in its list")
            for trigger_id in mine
            if owners.get(trigger_id, viewer.name) != viewer.name
        ]
        others = [(owner, f"/api/v1/triggers/{trigger_id}") for trigger_id, owner in owners.items()]
        events = [(each.workspace, f"/api/v1/events/{event_id}") for each in requests for event_id in each.event_ids]
        lists = [(each.workspace, _listing(body.channel, body.id)) for each in shown for body in each.executions]
        asked = [
            *chain.from_iterable(
                islice((each for each in paths if each[0] != viewer.name), _ASKED_FOR)
                for paths in (others, events, lists)
            )
        ]
        # All at once: what is not there, or is somebody else's, is waited for before the answer says so.
        answers = await asyncio.gather(*(viewer.caller.answer("GET", path) for _, path in asked))
        found += [
            Sight(viewer.name, owner, f"{path}: {answer.status}")
            for (owner, path), answer in zip(asked, answers, strict=True)
            if answer.status != _NOT_FOUND
        ]
    return found


def leaks_in(folder: Path, known: Known) -> list[Leak]:
    """Return what of `known` is in any file of `folder`."""
    found: list[Leak] = []
    for file in sorted(folder.iterdir()):
        with file.open(errors="replace") as lines:
            found += leaks(file.name, lines, known)
    return found


async def over(
    tenants: Sequence[Tenant], ids: Collection[str], seconds: float, busy: Callable[[], int] = lambda: 0
) -> set[str]:
    """Wait until these triggers and all that are shown are over, and nobody is `busy` with something more.

    Returns the ids of those that are not when nothing has moved for so many seconds.
    """
    patience = Patience(seconds)
    while True:
        rows = {row["id"]: row for tenant in tenants for row in await listed(tenant)}
        waiting = {trigger_id for trigger_id in {*ids, *rows} if not _is_over(rows.get(trigger_id))}
        sums = {trigger_id: rows[trigger_id]["summary"] for trigger_id in waiting if trigger_id in rows}
        if not (waiting or busy()) or patience.ends((busy(), waiting, sums)):
            return waiting
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)


def _is_over(row: Mapping[str, Any] | None) -> bool:
    return row is not None and row["status"] in FINAL_TRIGGERS
