"""Reading what can be seen from outside: the public API as each workspace sees it, and the log files."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from chaos.history import FINAL_TRIGGERS, Execution, HandOver, Job, Leak, Request, Sight, Trigger
from chaos.journal import MARK
from chaos.leaks import Known, leaks
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
    answer = await tenant.caller.call("GET", path)
    if answer.status == _NOT_FOUND:
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
    listing = f"/api/v1/{_SEGMENTS[body['channel']]}/executions/{body['id']}/jobs"
    jobs = [_job(body["channel"], row) async for row in tenant.caller.rows(listing, lambda page: page["data"]["jobs"])]
    return Execution(body["id"], body["channel"], _counters(body), jobs)


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
            while (answer := await callers[request.workspace].call("GET", path)).status != _FOUND:
                if asyncio.get_running_loop().time() > deadline:
                    return replace(request, is_untold=True)
                await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        ids = [rule["trigger_id"] for rule in answer.body["rules"] if rule["trigger_id"]]
        return replace(request, trigger_ids=tuple(ids))

    return await asyncio.gather(*map(one, requests))


def claimed(requests: Sequence[Request], strays: Sequence[Trigger]) -> list[Request]:
    """Return the requests, those whose event nobody shows with a trigger that has come of an event to the same person.

    `strays` are the triggers that no other request led to, in the order in which they were accepted.
    """
    left = list(strays)
    found = []
    for request in requests:
        if request.is_untold:
            mine = next((stray for stray in left if _is_to(stray, request)), None)
            if mine is not None:
                left.remove(mine)
                request = replace(request, trigger_ids=(mine.id,))
        found.append(request)
    return found


def _is_to(trigger: Trigger, request: Request) -> bool:
    got = {(job.channel, job.address) for execution in trigger.executions for job in execution.jobs}
    asked = {(channel, address) for channel, addresses in request.people.items() for address in addresses}
    return trigger.workspace == request.workspace and got == asked


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


async def sights(tenants: Sequence[Tenant], requests: Sequence[Request]) -> list[Sight]:
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
        others = [trigger_id for trigger_id, owner in owners.items() if owner != viewer.name][:_ASKED_FOR]
        # All at once: a trigger that is not there, or is somebody else's, is waited for before the answer says so.
        paths = [f"/api/v1/triggers/{trigger_id}" for trigger_id in others]
        answers = await asyncio.gather(*(viewer.caller.call("GET", path) for path in paths))
        found += [
            Sight(viewer.name, owners[trigger_id], f"trigger {trigger_id}: {answer.status}")
            for trigger_id, answer in zip(others, answers, strict=True)
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


async def over(tenants: Sequence[Tenant], ids: Iterable[str], seconds: float) -> set[str]:
    """Wait until every one of these triggers is over; return the ids of those that are not after `seconds`."""
    waiting = set(ids)
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        for tenant in tenants:
            waiting -= {row["id"] for row in await listed(tenant) if row["status"] in FINAL_TRIGGERS}
        if not waiting or asyncio.get_running_loop().time() > deadline:
            return waiting
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)
