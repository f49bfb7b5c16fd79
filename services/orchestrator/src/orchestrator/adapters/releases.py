"""People on their way from a wait that is over to the steps behind it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from orchestrator.adapters.statements import wait_queries
from orchestrator.domain.plan import Plan
from orchestrator.domain.waits import Wait
from sluice_contracts.identifiers import new_id, page_of
from sluice_storage.database import Connection


@dataclass(frozen=True, slots=True)
class Release:
    """People of one page who have reached a step behind a wait; none: that were all."""

    trigger_id: UUID
    step_order: int
    page: int
    seqs: tuple[int, ...]


async def let_go(
    connection: Connection, plans: Mapping[UUID, Plan], ended: Sequence[Wait], resting: Collection[UUID]
) -> None:
    """Send people whose waits are over on their way to the steps behind, in triggers that are `resting` not yet."""
    together: defaultdict[tuple[UUID, int, int, datetime], list[int]] = defaultdict(list)
    for wait in ended:
        together[wait.trigger_id, wait.step_order, page_of(wait.seq), wait.left_at].append(wait.seq)
    rows = []
    for (trigger_id, step_order, page, left_at), seqs in sorted(together.items()):
        for step in plans[trigger_id].following(step_order):
            due_at = left_at + timedelta(minutes=step.delay_minutes)
            rests = trigger_id in resting
            rows.append((new_id(), trigger_id, step.step_order, page, sorted(seqs), due_at, None if rests else due_at))
    await connection.executemany(wait_queries.add_release, rows)


async def announce_all_opened(connection: Connection, plans: Sequence[Plan], now: datetime) -> None:
    """Have every step behind a wait look whether everybody is through: nobody will be let into the wait any more."""
    nobody: list[int] = []
    rows = [
        (new_id(), plan.trigger_id, step.step_order, 0, nobody, now, now)
        for plan in plans
        for step in plan.executions
        if step.after_wait is not None
    ]
    await connection.executemany(wait_queries.add_release, rows)


async def due_releases(connection: Connection, now: datetime, limit: int) -> set[UUID]:
    """Return the triggers of the releases that are due first."""
    return {row["trigger_id"] for row in await connection.fetch(wait_queries.due_releases, now, limit)}


async def take_releases(
    connection: Connection, now: datetime, trigger_ids: Collection[UUID], limit: int
) -> list[Release]:
    """Take due releases of triggers whose modes are held still; those of one page and step become one."""
    together: defaultdict[tuple[UUID, int, int], list[int]] = defaultdict(list)
    for row in await connection.fetch(wait_queries.take_releases, now, sorted(trigger_ids), limit):
        together[row["trigger_id"], row["step_order"], row["page"]] += row["seqs"]
    return [Release(*key, tuple(sorted(set(together[key])))) for key in sorted(together)]


async def release_jobs(
    connection: Connection, jobs: Mapping[UUID, int], now: datetime
) -> dict[UUID, tuple[int, datetime | None]]:
    """Count jobs of executions as commanded; return how many have been in all, and when the last was, where it was.

    Raises LookupError where an execution has not started.
    """
    rows = await connection.fetch(wait_queries.release_jobs, list(jobs), list(jobs.values()), now)
    found = {row["execution_id"]: (row["commanded"], row["finished_at"]) for row in rows}
    if found.keys() != jobs.keys():
        raise LookupError(f"executions that have not started: {jobs.keys() - found.keys()}")
    return found
