"""Twins of `orchestrator/sql/waits.sql` and `events.sql`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from simulated.storage import INFINITY, Row, Transaction
from simulated.twins import truth

WaitKey = tuple[UUID, int, int]


def add_wait_stage(
    tx: Transaction, trigger_id: UUID, step_order: int, workspace_id: UUID, walks: bool, scheduled_for: datetime,
    due_at: datetime | None,
) -> list[Row]:  # fmt: skip
    if tx.get("wait_stages", (trigger_id, step_order)) is None:
        tx.put("wait_stages", (trigger_id, step_order), {
            "trigger_id": trigger_id, "step_order": step_order, "workspace_id": workspace_id, "walks": walks,
            "scheduled_for": scheduled_for, "due_at": due_at or INFINITY, "next_page": 0, "cursor": None,
        })  # fmt: skip
    return []


def due_wait_stages(tx: Transaction, now: datetime, limit: int) -> list[Row]:
    due = sorted((row for _, row in tx.rows("wait_stages") if row["due_at"] <= now), key=lambda row: row["due_at"])
    return [{"trigger_id": row["trigger_id"]} for row in due[:limit]]


def hold_wait_stages(tx: Transaction, trigger_ids: Sequence[UUID], now: datetime) -> list[Row]:
    names = ("trigger_id", "step_order", "workspace_id", "walks", "next_page", "cursor")
    held = []
    for key, row in sorted(tx.rows("wait_stages"), key=lambda entry: entry[0]):
        if key[0] in trigger_ids and row["due_at"] <= now and tx.can_lock("wait_stages", key):
            tx.lock("wait_stages", key)
            held.append({name: row[name] for name in names})
    return held


def advance_wait_stage(
    tx: Transaction, trigger_id: UUID, step_order: int, next_page: int, cursor: UUID | None, not_before: datetime
) -> list[Row]:
    key = (trigger_id, step_order)
    row = _locked(tx, "wait_stages", key)
    if row is not None:
        tx.change("wait_stages", key, next_page=next_page, cursor=cursor, due_at=max(row["due_at"], not_before))
    return []


def close_wait_stage(tx: Transaction, trigger_id: UUID, step_order: int) -> list[Row]:
    if _locked(tx, "wait_stages", (trigger_id, step_order)) is not None:
        tx.delete("wait_stages", (trigger_id, step_order))
    return []


def count_walked_cohort(tx: Transaction, trigger_id: UUID, total: int) -> list[Row]:
    row = _locked(tx, "triggers", trigger_id)
    if row is not None and row["cohort_total"] is None:
        tx.change("triggers", trigger_id, cohort_total=total)
    return []


def hold_name(tx: Transaction, workspace_id: UUID, name: str) -> list[Row]:
    tx.lock("advisory", (workspace_id, name))
    return truth(None)


def open_waits(tx: Transaction, *given: Any) -> list[Row]:
    *columns, now = given
    names = (
        "trigger_id", "step_order", "seq", "workspace_id", "event", "correlation", "key", "until", "since", "cause",
        "external_id",
    )  # fmt: skip
    for values in sorted(zip(*columns, strict=True), key=lambda row: row[:3]):
        if tx.get("waits", values[:3]) is None:
            row = dict(zip(names, values, strict=True))
            tx.put("waits", values[:3], row | {
                "due_at": row["until"], "opened_at": now, "outcome": None, "event_id": None, "data": None,
                "ended_at": None,
            })  # fmt: skip
    return []


def meet_earlier_events(
    tx: Transaction, trigger_ids: Sequence[UUID], steps: Sequence[int], seqs: Sequence[int], now: datetime
) -> list[Row]:
    met = []
    for place in zip(trigger_ids, steps, seqs, strict=True):
        row = tx.get("waits", place)
        if row is None or row["outcome"] is not None:
            continue
        found = [event for _, event in tx.rows("awaited_events") if _would_end(row, event)]
        if found:
            first = min(found, key=lambda event: (event["accepted_at"], event["event_id"]))
            met.append(_end(tx, place, now, outcome="received", event_id=first["event_id"], data=first["data"]))
    return met


def keep_events(tx: Transaction, *columns: Sequence[Any]) -> list[Row]:
    names = ("workspace_id", "event", "correlation", "key", "event_id", "accepted_at", "data")
    for values in sorted(zip(*columns, strict=True), key=lambda row: row[:5]):
        if tx.get("awaited_events", values[:5]) is None:
            row = dict(zip(names, values, strict=True))
            tx.put("awaited_events", values[:5], row | {"data": orjson.loads(row["data"])})
    return []


def waiting_for(tx: Transaction, *columns: Sequence[Any]) -> list[Row]:
    asked = set(zip(*columns, strict=True))
    found = {row["trigger_id"] for row in _open(tx) if _key(row) in asked}
    return [{"trigger_id": trigger_id} for trigger_id in sorted(found)]


def end_waits(tx: Transaction, *given: Any) -> list[Row]:
    *columns, trigger_ids, now = given
    events = list(enumerate(zip(*columns, strict=True)))
    met: dict[WaitKey, UUID] = {}
    for row in _open(tx):
        for_it = [
            (event[5], place, event[4])
            for place, event in events
            if event[:4] == _key(row)
            and row["trigger_id"] in trigger_ids
            and row["since"] <= event[5] < row["until"]
            and row["cause"] != event[4]
        ]
        if for_it:
            met[row["trigger_id"], row["step_order"], row["seq"]] = min(for_it)[2]
    ended = []
    for place in sorted(met):
        row = _locked(tx, "waits", place)
        if row is not None and _is_open(row):
            kept = tx.get("awaited_events", (*_key(row), met[place]))
            assert kept is not None
            ended.append(_end(tx, place, now, outcome="received", event_id=met[place], data=kept["data"]))
    return ended


def overdue_triggers(tx: Transaction, now: datetime, limit: int) -> list[Row]:
    return _first_triggers([row for row in _open(tx) if row["due_at"] <= now], limit)


def time_out(tx: Transaction, now: datetime, trigger_ids: Sequence[UUID], limit: int) -> list[Row]:
    due = [row for row in _open(tx) if row["due_at"] <= now and row["trigger_id"] in trigger_ids]
    ended: list[Row] = []
    for row in sorted(due, key=lambda row: row["due_at"]):
        place = (row["trigger_id"], row["step_order"], row["seq"])
        if len(ended) < limit and tx.can_lock("waits", place):
            ended.append(_end(tx, place, now, outcome="timed_out"))
    return ended


def waits_of(tx: Transaction, trigger_id: UUID, step_order: int, seq: int, limit: int) -> list[Row]:
    behind = (trigger_id, step_order, seq)
    found = sorted(place for place, _ in tx.rows("waits") if place[0] == trigger_id and place > behind)
    return [_told(tx, place) for place in found[:limit]]


def add_release(
    tx: Transaction, release_id: UUID, trigger_id: UUID, step_order: int, page: int, seqs: Sequence[int],
    scheduled_for: datetime, due_at: datetime | None,
) -> list[Row]:  # fmt: skip
    tx.put("releases", release_id, {
        "release_id": release_id, "trigger_id": trigger_id, "step_order": step_order, "page": page,
        "seqs": list(seqs), "scheduled_for": scheduled_for, "due_at": due_at or INFINITY,
    })  # fmt: skip
    return []


def due_releases(tx: Transaction, now: datetime, limit: int) -> list[Row]:
    return _first_triggers([row for _, row in tx.rows("releases") if row["due_at"] <= now], limit)


def take_releases(tx: Transaction, now: datetime, trigger_ids: Sequence[UUID], limit: int) -> list[Row]:
    due = [row for _, row in tx.rows("releases") if row["due_at"] <= now and row["trigger_id"] in trigger_ids]
    taken: list[Row] = []
    for row in sorted(due, key=lambda row: row["due_at"]):
        if len(taken) < limit and tx.can_lock("releases", row["release_id"]):
            tx.delete("releases", row["release_id"])
            taken.append({name: row[name] for name in ("trigger_id", "step_order", "page", "seqs")})
    return taken


def release_jobs(tx: Transaction, execution_ids: Sequence[UUID], jobs: Sequence[int], now: datetime) -> list[Row]:
    released = []
    for execution_id, count in sorted(zip(execution_ids, jobs, strict=True)):
        row = _locked(tx, "executions", execution_id)
        trigger = row and tx.get("triggers", row["trigger_id"])
        if row is None or trigger is None:
            continue
        commanded = row["commanded"] + count
        is_last = trigger["cohort_total"] is not None and commanded >= trigger["cohort_total"]
        finished_at = now if row["finished_at"] is None and is_last else row["finished_at"]
        tx.change("executions", execution_id, commanded=commanded, finished_at=finished_at)
        released.append({"execution_id": execution_id, "commanded": commanded, "finished_at": finished_at})
    return released


def wait_outcomes(tx: Transaction, *columns: Sequence[Any]) -> list[Row]:
    names = ("trigger_id", "step_order", "seq", "outcome", "data")
    return [
        {name: row[name] for name in names}
        for trigger_id, first, behind in zip(*columns, strict=True)
        for _, row in tx.rows("waits")
        if row["trigger_id"] == trigger_id and first <= row["seq"] < behind and row["outcome"] is not None
    ]


def waits_rest(tx: Transaction, trigger_id: UUID) -> list[Row]:
    for place in _open_places(tx, trigger_id):
        if _is_open(_locked(tx, "waits", place)):
            tx.change("waits", place, due_at=INFINITY)
    return []


def wait_stages_rest(tx: Transaction, trigger_id: UUID) -> list[Row]:
    return _set_due(tx, "wait_stages", trigger_id, lambda row: INFINITY)


def releases_rest(tx: Transaction, trigger_id: UUID) -> list[Row]:
    return _set_due(tx, "releases", trigger_id, lambda row: INFINITY)


def waits_go_on(tx: Transaction, trigger_id: UUID) -> list[Row]:
    for place in _open_places(tx, trigger_id):
        row = _locked(tx, "waits", place)
        if row is not None and _is_open(row):
            tx.change("waits", place, due_at=row["until"])
    return []


def wait_stages_go_on(tx: Transaction, trigger_id: UUID) -> list[Row]:
    return _set_due(tx, "wait_stages", trigger_id, lambda row: row["scheduled_for"])


def releases_go_on(tx: Transaction, trigger_id: UUID) -> list[Row]:
    return _set_due(tx, "releases", trigger_id, lambda row: row["scheduled_for"])


def drop_waits(tx: Transaction, trigger_id: UUID) -> list[Row]:
    for place in _open_places(tx, trigger_id):
        if _is_open(_locked(tx, "waits", place)):
            tx.delete("waits", place)
    return []


def drop_wait_stages(tx: Transaction, trigger_id: UUID) -> list[Row]:
    return _drop(tx, "wait_stages", trigger_id)


def drop_releases(tx: Transaction, trigger_id: UUID) -> list[Row]:
    return _drop(tx, "releases", trigger_id)


def stop_released_executions(tx: Transaction, trigger_id: UUID, now: datetime) -> list[Row]:
    trigger = tx.get("triggers", trigger_id)
    for key, row in tx.rows("executions"):
        if row["trigger_id"] == trigger_id and row["finished_at"] is None and trigger is not None:
            total = row["expected"] if trigger["cohort_total"] is None else trigger["cohort_total"]
            tx.change("executions", key, finished_at=now, never_commanded=max(0, total - row["commanded"]))
    return []


def enter_rules(
    tx: Transaction, rule_ids: Sequence[UUID], external_ids: Sequence[str], event_ids: Sequence[UUID],
    moments: Sequence[datetime], afters: Sequence[datetime | None],
) -> list[Row]:  # fmt: skip
    entered = []
    for rule_id, external_id, event_id, at, after in sorted(
        zip(rule_ids, external_ids, event_ids, moments, afters, strict=True), key=lambda row: row[:2]
    ):
        known = _locked(tx, "rule_entries", (rule_id, external_id))
        if (
            known is None
            or known["event_id"] == event_id
            or (after is not None and known["entered_at"] <= after)
        ):  # fmt: skip
            tx.put("rule_entries", (rule_id, external_id), {
                "rule_id": rule_id, "external_id": external_id, "event_id": event_id, "entered_at": at,
            })  # fmt: skip
            entered.append({"rule_id": rule_id, "external_id": external_id})
    return entered


def _would_end(wait: Row, event: Row) -> bool:
    return (
        all(event[name] == wait[name] for name in ("workspace_id", "event", "correlation", "key"))
        and event["accepted_at"] >= wait["since"]
        and event["event_id"] != wait["cause"]
    )


def _key(row: Row) -> tuple[UUID, str, str, str]:
    return row["workspace_id"], row["event"], row["correlation"], row["key"]


def _end(tx: Transaction, place: WaitKey, now: datetime, **values: Any) -> Row:
    tx.change("waits", place, ended_at=now, due_at=None, **values)
    return _told(tx, place)


def _told(tx: Transaction, place: WaitKey) -> Row:
    row = tx.get("waits", place)
    assert row is not None
    names = ("trigger_id", "step_order", "seq", "external_id", "opened_at", "until", "outcome", "ended_at", "event_id")
    return {name: row[name] for name in names}


def _is_open(row: Row | None) -> bool:
    return row is not None and row["outcome"] is None


def _open(tx: Transaction) -> list[Row]:
    return [row for _, row in tx.rows("waits") if row["outcome"] is None]


def _open_places(tx: Transaction, trigger_id: UUID) -> list[WaitKey]:
    return sorted(place for place, row in tx.rows("waits") if place[0] == trigger_id and row["outcome"] is None)


def _first_triggers(rows: Sequence[Row], limit: int) -> list[Row]:
    first = sorted(rows, key=lambda row: row["due_at"])[:limit]
    return [{"trigger_id": trigger_id} for trigger_id in sorted({row["trigger_id"] for row in first})]


def _set_due(tx: Transaction, table: str, trigger_id: UUID, due: Any) -> list[Row]:
    for key, row in tx.rows(table):
        if row["trigger_id"] == trigger_id:
            tx.change(table, key, due_at=due(row))
    return []


def _drop(tx: Transaction, table: str, trigger_id: UUID) -> list[Row]:
    for key, row in tx.rows(table):
        if row["trigger_id"] == trigger_id:
            tx.delete(table, key)
    return []


def _locked(tx: Transaction, table: str, key: Any) -> Row | None:
    tx.lock(table, key)
    return tx.get(table, key)
