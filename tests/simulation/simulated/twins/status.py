"""Twins of `status_api/sql/projection.sql`. Jobs are joined by the domain's own `JobFacts.join`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from operator import itemgetter
from typing import Any, Final
from uuid import UUID

import orjson

from simulated.storage import Row, Transaction
from simulated.twins import truth
from status_api.domain.facts import FIRST_TIMES, ExecutionFacts, TriggerFacts
from status_api.domain.fold import JobFacts, TimelineEntry, highest_text
from status_api.domain.progress import state_of
from status_api.domain.rows import EngagementCounts, MessageCounts

SENT: Final = 7
STATES: Final = {1: "held", 4: "cancelled", 5: "filtered", 6: "failed", 7: "sent"}
MESSAGES: Final = tuple(f"message_{field.name}" for field in fields(MessageCounts))
ENGAGEMENTS: Final = tuple(field.name for field in fields(EngagementCounts))
COUNTERS: Final = (*STATES.values(), *MESSAGES, *ENGAGEMENTS, "segments", "cost_micros")

Counted = tuple[int, ...]

_NOTHING: Final = (0,) * len(COUNTERS)
_EXECUTION: Final = (*(field.name for field in fields(ExecutionFacts)), "last_ended_at")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PAGE: Final = 200


def fold_jobs(tx: Transaction, *arguments: Any) -> list[Row]:
    seqs, places, *own, deadline_ms = arguments
    names, addresses, timelines = (column or [None] * len(seqs) for column in own[:3])
    courses = list(zip(*own[3:12], strict=True))
    jobs = [
        (courses[place - 1], seq, name, address, timeline)
        for seq, place, name, address, timeline in zip(seqs, places, names, addresses, timelines, strict=True)
    ]
    moved: defaultdict[UUID, list[tuple[int, JobFacts | None, JobFacts]]] = defaultdict(list)
    for course, seq, name, address, timeline in sorted(jobs, key=lambda job: (job[0][0], job[1])):
        old, new = _join(tx, course, seq, name, address, timeline)
        if new != old:
            moved[course[0]].append((seq, old, new))
    changed = {}
    for values in sorted(zip(*own[12:], strict=True), key=lambda row: row[0]):
        execution_id, trigger_id, workspace_id = values[:3]
        if _count(tx, values, moved[execution_id]) or moved[execution_id]:
            changed[trigger_id] = workspace_id
    _reasons(tx, moved)
    _deadlines(tx, moved, deadline_ms)
    _bump(tx, changed)
    return [{"trigger_id": trigger_id} for trigger_id in sorted(changed)]


def fold_executions(tx: Transaction, facts: Sequence[Mapping[str, Any]]) -> list[Row]:
    changed = {}
    for item in sorted(facts, key=lambda item: item["execution_id"]):
        key = item["execution_id"]
        tx.lock("executions", key)
        old = tx.get("executions", key)
        new = _learn(old or _new_execution(item), item)
        tx.put("executions", key, new)
        if new != old:
            changed[new["trigger_id"]] = new["workspace_id"]
    return [{"trigger_id": trigger_id, "workspace_id": changed[trigger_id]} for trigger_id in sorted(changed)]


def fold_triggers(tx: Transaction, facts: Sequence[Mapping[str, Any]]) -> list[Row]:
    changed = []
    for item in sorted(facts, key=lambda item: item["trigger_id"]):
        key = item["trigger_id"]
        tx.lock("triggers", key)
        old = tx.get("triggers", key)
        empty = {field.name: item.get(field.name) for field in fields(TriggerFacts)}
        new = _learn(old or empty, item)
        tx.put("triggers", key, new)
        if new != old:
            changed.append({"trigger_id": key, "workspace_id": new["workspace_id"]})
    return changed


def bump_versions(tx: Transaction, trigger_ids: Sequence[UUID], workspace_ids: Sequence[UUID]) -> list[Row]:
    _bump(tx, dict(zip(trigger_ids, workspace_ids, strict=True)))
    return []


def elect_sweeper(tx: Transaction) -> list[Row]:
    elected = tx.can_lock("advisory", "sweeper")
    if elected:
        tx.lock("advisory", "sweeper")
    return truth(elected)


def due_pages(tx: Transaction, now_ms: int, limit: int) -> list[Row]:
    due = sorted((row for _, row in tx.rows("receipt_deadlines") if row["due_at"] <= now_ms), key=lambda r: r["due_at"])
    found = []
    for row in due[:limit]:
        execution = tx.get("executions", row["execution_id"])
        if execution is not None:
            names = ("trigger_id", "workspace_id", "channel")
            found.append(
                {"execution_id": row["execution_id"], "page": row["page"]} | {name: execution[name] for name in names}
            )
    return found


def overdue_jobs(tx: Transaction, execution_id: UUID, first: int, end: int, sent_until: int) -> list[Row]:
    return [
        {"seq": seq, "progress": facts.progress, "sent_at": facts.sent_at}
        for seq, facts in _awaiting(tx, execution_id, first, end)
        if facts.sent_at is not None and facts.sent_at <= sent_until
    ]


def lock_executions(tx: Transaction, execution_ids: Sequence[UUID]) -> list[Row]:
    found = []
    for execution_id in sorted(execution_ids):
        if tx.get("executions", execution_id) is not None:
            tx.lock("executions", execution_id)
            found += truth(1)
    return found


def first_awaiting(tx: Transaction, execution_id: UUID, first: int, end: int) -> list[Row]:
    times = [facts.sent_at for _, facts in _awaiting(tx, execution_id, first, end) if facts.sent_at is not None]
    return truth(min(times, default=None))


def postpone_deadline(tx: Transaction, execution_id: UUID, page: int, due_at: int) -> list[Row]:
    if tx.get("receipt_deadlines", (execution_id, page)) is not None:
        tx.change("receipt_deadlines", (execution_id, page), due_at=due_at)
    return []


def lift_deadline(tx: Transaction, execution_id: UUID, page: int) -> list[Row]:
    if tx.get("receipt_deadlines", (execution_id, page)) is not None:
        tx.delete("receipt_deadlines", (execution_id, page))
    return []


def counters_of(facts: JobFacts | None) -> Counted:
    """Return what one job contributes to the counters of its execution, in the order of `COUNTERS`."""
    if facts is None:
        return _NOTHING
    return _contribution(facts.progress, facts.message, facts.engagements, facts.segments, facts.cost_micros)


@cache
def _contribution(
    progress: int, message: int, engagements: int, segments: int | None, cost_micros: int | None
) -> Counted:
    state = state_of(progress).rank
    counts = dict.fromkeys(COUNTERS, 0)
    if state in STATES:
        counts[STATES[state]] = 1
    if message:
        counts[MESSAGES[message - 1]] = 1
    for place, name in enumerate(ENGAGEMENTS):
        counts[name] = engagements >> place & 1
    if state == SENT:
        counts |= {"segments": segments or 0, "cost_micros": cost_micros or 0}
    return tuple(counts.values())


def reason_of(facts: JobFacts | None) -> tuple[int, str, str] | None:
    """Return under which reason (state, code, sentence) a job that ended unsent is counted."""
    if facts is None:
        return None
    state = state_of(facts.progress).rank
    entry = facts.timeline.get(str(facts.progress)) if state in {4, 5, 6} else None
    if entry is None:
        return None
    return state, "unknown" if entry.code is None else entry.code, "" if state == 6 else entry.detail or ""


def _join(
    tx: Transaction, course: Sequence[Any], seq: int, external_id: str | None, address: str | None, own: Any
) -> tuple[JobFacts | None, JobFacts]:
    execution_id, progress, message, engagements, segments, sent_at, until, cost, shared = course
    said = own if shared is None else orjson.loads(shared)
    timeline = {key: TimelineEntry(*entry) for key, entry in said.items()}
    facts = JobFacts(progress, message, engagements, sent_at, until, external_id, address, segments, cost, timeline)
    key = (execution_id, seq)
    tx.lock("jobs", key)
    row = tx.get("jobs", key)
    old = None if row is None else row["facts"]
    new = facts if old is None else replace(old, timeline=dict(old.timeline))
    if old is not None:
        new.join(facts)
    if new != old:
        tx.put("jobs", key, {"execution_id": execution_id, "seq": seq, "facts": new})
    return old, new


def _count(tx: Transaction, values: Sequence[Any], moved: Sequence[tuple[int, JobFacts | None, JobFacts]]) -> bool:
    execution_id, trigger_id, workspace_id, channel, epoch, last_ended_ms = values
    tx.lock("executions", execution_id)
    old = tx.get("executions", execution_id)
    ids = {"execution_id": execution_id, "trigger_id": trigger_id, "workspace_id": workspace_id}
    new = dict(old or _new_execution(ids))
    new["channel"] = highest_text(new["channel"], channel)
    new["epoch"] = max(new["epoch"], epoch)
    ended = None if last_ended_ms is None else _EPOCH + timedelta(milliseconds=last_ended_ms)
    new["last_ended_at"] = _latest(new["last_ended_at"], ended)
    for _, was, now in moved:
        before, after = counters_of(was), counters_of(now)
        if before is not after:
            for name, less, more in zip(COUNTERS, before, after, strict=True):
                new[name] += more - less
    tx.put("executions", execution_id, new)
    return new != old


def _reasons(tx: Transaction, moved: Mapping[UUID, Sequence[tuple[int, JobFacts | None, JobFacts]]]) -> None:
    for execution_id, jobs in sorted(moved.items()):
        for seq, was, now in jobs:
            left, entered = reason_of(was), reason_of(now)
            if left == entered:
                continue
            for reason, step in ((left, -1), (entered, 1)):
                if reason is not None:
                    tx.put("unsent", (execution_id, *reason, seq), {"present": step > 0})
                    key = (execution_id, *reason)
                    tx.lock("reasons", key)
                    known = tx.get("reasons", key)
                    tx.put("reasons", key, {"n": step + (known["n"] if known else 0)})


def _deadlines(
    tx: Transaction, moved: Mapping[UUID, Sequence[tuple[int, JobFacts | None, JobFacts]]], deadline_ms: int
) -> None:
    due: dict[tuple[UUID, int], int] = {}
    for execution_id, jobs in moved.items():
        for seq, was, now in jobs:
            was_sent = was is not None and state_of(was.progress).rank == SENT
            if state_of(now.progress).rank == SENT and not was_sent and now.message <= 2 and now.sent_at is not None:
                key = (execution_id, seq // _PAGE)
                due[key] = min(due.get(key, now.sent_at + deadline_ms), now.sent_at + deadline_ms)
    for key, due_at in sorted(due.items()):
        tx.lock("receipt_deadlines", key)
        known = tx.get("receipt_deadlines", key)
        if known is None or due_at < known["due_at"]:
            tx.put("receipt_deadlines", key, {"execution_id": key[0], "page": key[1], "due_at": due_at})


def _bump(tx: Transaction, changed: Mapping[UUID, UUID]) -> None:
    for trigger_id in sorted(changed):
        tx.lock("versions", trigger_id)
        known = tx.get("versions", trigger_id)
        version = 1 if known is None else known["version"] + 1
        tx.put("versions", trigger_id, {"workspace_id": changed[trigger_id], "version": version})


def _new_execution(known: Mapping[str, Any]) -> Row:
    row: Row = {name: known.get(name) for name in _EXECUTION}
    return row | {"epoch": 0} | dict.fromkeys(COUNTERS, 0)


def _learn(row: Row, facts: Mapping[str, Any]) -> Row:
    learned = dict(row)
    for name, value in facts.items():
        if name not in {"trigger_id", "workspace_id", "execution_id"}:
            known = learned[name]
            better = known is None or (value < known if name in FIRST_TIMES else value > known)
            learned[name] = value if better else known
    return learned


def _awaiting(tx: Transaction, execution_id: UUID, first: int, end: int) -> list[tuple[int, JobFacts]]:
    jobs = ((seq, row["facts"]) for (of, seq), row in tx.rows("jobs") if first <= seq < end and of == execution_id)
    awaiting = ((seq, facts) for seq, facts in jobs if facts.message <= 2 and state_of(facts.progress).rank == SENT)
    return sorted(awaiting, key=itemgetter(0))


def _latest(one: datetime | None, other: datetime | None) -> datetime | None:
    return other if one is None else one if other is None else max(one, other)
