"""Twins of `orchestrator/sql/queries.sql`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from simulated.storage import INFINITY, LONG_AGO, Row, Transaction
from simulated.twins import truth

Ids = Sequence[UUID]
Numbers = Sequence[int]

_COMMAND = (
    "execution_id", "page", "round", "epoch", "trigger_id", "step_order", "seqs", "attempts", "credit", "sends",
    "opened_at", "due_at",
)  # fmt: skip

_OPEN_WORK = ("stages", "wait_stages", "releases")


def record_triggers(tx: Transaction, *columns: Sequence[Any]) -> list[Row]:
    names = (
        "trigger_id", "workspace_id", "accepted", "plan", "planned_at", "mode", "cohort_total", "asks_for_outcomes",
        "failure_code", "failure_detail",
    )  # fmt: skip
    recorded = []
    for values in sorted(zip(*columns, strict=True), key=lambda row: row[0]):
        row = dict(zip(names, values, strict=True)) | {"mode": str(values[5]), "mode_at": None}
        trigger_id = row["trigger_id"]
        tx.lock("triggers", trigger_id)
        known = tx.get("triggers", trigger_id)
        if known is not None:
            if known["accepted"] is not None:
                continue
            if known["workspace_id"] == row["workspace_id"]:
                row["mode_at"] = known["mode_at"]
                if row["mode"] != "failed":
                    row["mode"] = known["mode"]
        tx.put("triggers", trigger_id, row)
        recorded.append({name: row[name] for name in ("trigger_id", "mode", "mode_at")})
    return recorded


def add_cohort_page(tx: Transaction, trigger_id: UUID, page: int, contact_ids: Ids, labels: Any) -> list[Row]:
    _add(tx, "cohort_pages", (trigger_id, page), {
        "trigger_id": trigger_id, "page": page, "contact_ids": list(contact_ids), "labels": labels,
    })  # fmt: skip
    return []


def start_execution(tx: Transaction, *values: Any) -> list[Row]:
    names = (
        "execution_id", "trigger_id", "step_order", "content", "started_at", "expected", "commanded", "finished_at",
    )  # fmt: skip
    _add(tx, "executions", values[0], dict(zip(names, values, strict=True)) | {"never_commanded": 0})
    return []


def open_command(tx: Transaction, *values: Any) -> list[Row]:
    row = dict(zip(_COMMAND, values, strict=True))
    _add(tx, "commands", _command_key(row), row | {"due_at": row["due_at"] or INFINITY})
    return []


def add_stage(
    tx: Transaction, trigger_id: UUID, step_order: int, workspace_id: UUID, lane: str, walks: bool,
    scheduled_for: datetime, due_at: datetime | None,
) -> list[Row]:  # fmt: skip
    _add(tx, "stages", (trigger_id, step_order), {
        "trigger_id": trigger_id, "step_order": step_order, "workspace_id": workspace_id, "lane": str(lane),
        "walks": walks, "scheduled_for": scheduled_for, "due_at": due_at or INFINITY, "rest_until": LONG_AGO,
        "next_page": 0, "emitted_pages": -1, "cursor": None, "open": 0, "ended": False, "owner": None,
        "lease_until": LONG_AGO, "served_at": LONG_AGO,
    })  # fmt: skip
    return []


def triggers_by_id(tx: Transaction, trigger_ids: Ids, remembered: Ids) -> list[Row]:
    names = (
        "trigger_id", "workspace_id", "planned_at", "mode", "mode_at", "cohort_total", "failure_code", "failure_detail",
    )  # fmt: skip
    found = [row for row in (tx.get("triggers", key) for key in dict.fromkeys(trigger_ids)) if row and row["accepted"]]
    return [
        {name: row[name] for name in names}
        | {name: None if row["trigger_id"] in remembered else row[name] for name in ("accepted", "plan")}
        for row in found
    ]


def executions_of(tx: Transaction, trigger_ids: Ids) -> list[Row]:
    names = (
        "trigger_id", "execution_id", "content", "started_at", "expected", "commanded",
        "never_commanded", "finished_at",
    )  # fmt: skip
    wanted = set(trigger_ids)
    found = [row for _, row in tx.rows("executions") if row["trigger_id"] in wanted]
    found.sort(key=lambda row: (row["trigger_id"], row["step_order"]))
    return [{name: row[name] for name in names} for row in found]


def cohort_pages(tx: Transaction, trigger_ids: Ids, pages: Numbers) -> list[Row]:
    return _found(tx, "cohort_pages", zip(trigger_ids, pages, strict=True))


def outcome_pages(tx: Transaction, execution_ids: Ids, pages: Numbers) -> list[Row]:
    return _found(tx, "outcomes", zip(execution_ids, pages, strict=True))


def commands_without_stage(tx: Transaction, execution_ids: Ids) -> list[Row]:
    return _sorted_commands(
        row
        for _, row in tx.rows("commands")
        if row["execution_id"] in execution_ids and row["round"] == 0 and not row["credit"] and row["sends"] > 0
    )


def unpublished_pages(tx: Transaction, execution_ids: Ids, first: int, end: int) -> list[Row]:
    return _sorted_commands(
        row
        for _, row in tx.rows("commands")
        if row["execution_id"] in execution_ids and first <= row["page"] < end and row["round"] == 0
    )


def lease_stages(
    tx: Transaction, now: datetime, lane: str, walks: bool, credit: int, limit: int, owner: UUID, until: datetime
) -> list[Row]:
    due = [
        row
        for _, row in tx.rows("stages")
        if row["due_at"] <= now and row["lane"] == lane and row["walks"] == walks
        and (row["open"] < credit or row["ended"] or row["owner"] is not None)
        and row["rest_until"] <= now and row["lease_until"] <= now
    ]  # fmt: skip
    due.sort(key=lambda row: (row["workspace_id"], row["served_at"], row["due_at"]))
    places = {}
    for _, group in groupby(due, key=lambda row: row["workspace_id"]):
        places.update({_stage_key(row): place for place, row in enumerate(group)})
    served = {key: row["served_at"] for key, row in tx.rows("turns")}
    due.sort(
        key=lambda row: (
            places[_stage_key(row)],
            row["workspace_id"] in served,
            served.get(row["workspace_id"], LONG_AGO),
            row["due_at"],
        )
    )
    leased = []
    for row in due:
        if len(leased) < limit and tx.can_lock("stages", _stage_key(row)):
            leased.append(tx.change("stages", _stage_key(row), owner=owner, lease_until=until, served_at=now))
    for workspace_id in sorted({row["workspace_id"] for row in leased}):
        tx.put("turns", workspace_id, {"workspace_id": workspace_id, "served_at": now})
    leased.sort(key=lambda row: (row["due_at"], row["trigger_id"], row["step_order"]))
    names = (
        "trigger_id", "step_order", "workspace_id", "walks", "next_page", "emitted_pages", "cursor", "open", "ended",
        "due_at",
    )  # fmt: skip
    return [{name: row[name] for name in names} for row in leased]


def hold_leases(tx: Transaction, trigger_ids: Ids, orders: Numbers, owner: UUID) -> list[Row]:
    held = []
    for key in sorted(zip(trigger_ids, orders, strict=True)):
        row = tx.get("stages", key)
        if row is not None and row["owner"] == owner:
            tx.lock("stages", key)
            held.append({"trigger_id": key[0], "step_order": key[1]})
    return held


def advance_stage(
    tx: Transaction, trigger_id: UUID, order: int, next_page: int, cursor: UUID | None, credits_taken: int, ended: bool
) -> list[Row]:
    key = (trigger_id, order)
    row = _locked(tx, "stages", key)
    if row is not None:
        tx.change("stages", key, next_page=next_page, cursor=cursor, open=row["open"] + credits_taken, ended=ended)
    return []


def advance_execution(tx: Transaction, execution_id: UUID, jobs: int, finished_at: datetime | None) -> list[Row]:
    row = _locked(tx, "executions", execution_id)
    if row is not None:
        tx.change("executions", execution_id, commanded=row["commanded"] + jobs, finished_at=finished_at)
    return []


def count_cohort(tx: Transaction, trigger_id: UUID, total: int, owner: UUID) -> list[Row]:
    leased = any(row["trigger_id"] == trigger_id and row["owner"] == owner for _, row in tx.rows("stages"))
    if leased and tx.get("triggers", trigger_id):
        tx.change("triggers", trigger_id, cohort_total=total)
    return []


def release_stage(tx: Transaction, trigger_id: UUID, order: int, owner: UUID, rest_until: datetime | None) -> list[Row]:
    row = _owned(tx, (trigger_id, order), owner)
    if row is not None:
        tx.change(
            "stages", (trigger_id, order), owner=None, lease_until=LONG_AGO, emitted_pages=row["next_page"],
            rest_until=rest_until or row["rest_until"],
        )  # fmt: skip
    return []


def abandon_stage(tx: Transaction, trigger_id: UUID, order: int, owner: UUID, rest_until: datetime) -> list[Row]:
    if _owned(tx, (trigger_id, order), owner) is not None:
        tx.change("stages", (trigger_id, order), lease_until=LONG_AGO, rest_until=rest_until)
    return []


def close_stage(tx: Transaction, trigger_id: UUID, order: int, owner: UUID) -> list[Row]:
    if _owned(tx, (trigger_id, order), owner) is not None:
        tx.delete("stages", (trigger_id, order))
    return []


def modes_held_still(tx: Transaction, trigger_ids: Ids) -> list[Row]:
    found = []
    for trigger_id in sorted(set(trigger_ids)):
        if tx.get("triggers", trigger_id) is not None:
            tx.share("triggers", trigger_id)
            row = tx.get("triggers", trigger_id)
            found.append({"trigger_id": trigger_id, "mode": row and row["mode"]})
    return found


def answer_commands(tx: Transaction, execution_ids: Ids, pages: Numbers, rounds: Numbers) -> list[Row]:
    names = ("execution_id", "page", "round", "epoch", "trigger_id", "step_order", "credit")
    answered = []
    for key in sorted(set(zip(execution_ids, pages, rounds, strict=True))):
        row = tx.get("commands", key) and _locked(tx, "commands", key)
        if row:
            tx.delete("commands", key)
            answered.append({name: row[name] for name in names})
    return answered


def allot_rounds(tx: Transaction, execution_ids: Ids, pages: Numbers, wanted: Numbers) -> list[Row]:
    allotted = []
    for execution_id, page, rounds in sorted(zip(execution_ids, pages, wanted, strict=True)):
        known = _locked(tx, "page_rounds", (execution_id, page))
        last_round = rounds if known is None else known["last_round"] + rounds
        row = {"execution_id": execution_id, "page": page, "last_round": last_round}
        tx.put("page_rounds", (execution_id, page), row | {"last_epoch": 0})
        allotted.append({"execution_id": execution_id, "page": page, "last_round": last_round})
    return allotted


def note_retries(tx: Transaction, execution_id: UUID, seqs: Numbers, epoch: int) -> list[Row]:
    noted = []
    for seq in sorted(seqs):
        known = _locked(tx, "retries", (execution_id, seq))
        if known is None or known["epoch"] < epoch:
            tx.put("retries", (execution_id, seq), {"execution_id": execution_id, "seq": seq, "epoch": epoch})
            noted.append({"seq": seq})
    return noted


def give_credit_back(tx: Transaction, trigger_ids: Ids, orders: Numbers, given: Numbers, fed_below: int) -> list[Row]:
    fed = set()
    for trigger_id, order, returned in sorted(zip(trigger_ids, orders, given, strict=True)):
        if tx.get("stages", (trigger_id, order)) is not None:
            row = _locked(tx, "stages", (trigger_id, order))
            if row is not None:
                tx.change("stages", (trigger_id, order), open=row["open"] - returned)
                if row["open"] - returned < fed_below and not row["ended"]:
                    fed.add((row["lane"], row["walks"]))
    return [{"lane": lane, "walks": walks} for lane, walks in fed]


def due_commands(tx: Transaction, now: datetime, limit: int) -> list[Row]:
    due = sorted((row for _, row in tx.rows("commands") if row["due_at"] <= now), key=lambda row: row["due_at"])
    taken = []
    for row in due:
        if len(taken) < limit and tx.can_lock("commands", _command_key(row)):
            tx.lock("commands", _command_key(row))
            taken.append(row)
    return taken


def commands_sent(
    tx: Transaction, execution_ids: Ids, pages: Numbers, rounds: Numbers, sends: Numbers, due: Sequence[datetime]
) -> list[Row]:
    for execution_id, page, number, sent, due_at in sorted(
        zip(execution_ids, pages, rounds, sends, due, strict=True), key=lambda row: row[:3]
    ):
        if _locked(tx, "commands", (execution_id, page, number)):
            tx.change("commands", (execution_id, page, number), sends=sent, due_at=due_at)
    return []


def drop_commands(tx: Transaction, execution_ids: Ids, pages: Numbers, rounds: Numbers) -> list[Row]:
    for key in zip(execution_ids, pages, rounds, strict=True):
        if _locked(tx, "commands", key):
            tx.delete("commands", key)
    return []


def next_command_due(tx: Transaction) -> list[Row]:
    return truth(min((row["due_at"] for _, row in tx.rows("commands") if row["due_at"] < INFINITY), default=None))


def note_request(
    tx: Transaction, trigger_id: UUID, workspace_id: UUID, planned_at: datetime, mode: str, mode_at: datetime
) -> list[Row]:
    known = _locked(tx, "triggers", trigger_id)
    if known is None:
        tx.put("triggers", trigger_id, {
            "trigger_id": trigger_id, "workspace_id": workspace_id, "accepted": None, "plan": None,
            "planned_at": planned_at, "mode": str(mode), "mode_at": mode_at, "cohort_total": None,
            "asks_for_outcomes": False, "failure_code": None, "failure_detail": None,
        })  # fmt: skip
        return [{"planned": False}]
    is_open = (
        known["accepted"] is None
        or (known["mode"] == "paused" and mode == "running")
        or any(row["trigger_id"] == trigger_id for name in _OPEN_WORK for _, row in tx.rows(name))
        or any(row["trigger_id"] == trigger_id and row["outcome"] is None for _, row in tx.rows("waits"))
        or any(row["execution_id"] in _executions(tx, trigger_id) for _, row in tx.rows("commands"))
    )
    if (
        known["workspace_id"] != workspace_id
        or known["mode"] in {"cancelled", "failed"}
        or (known["mode_at"] is not None and known["mode_at"] > mode_at)
        or not is_open
    ):
        return []
    tx.change("triggers", trigger_id, mode=str(mode), mode_at=mode_at)
    return [{"planned": known["accepted"] is not None}]


def resting_commands_come_now(tx: Transaction, trigger_id: UUID, now: datetime) -> list[Row]:
    return _set_due(tx, trigger_id, now)


def unanswered_commands_come_now(
    tx: Transaction, trigger_id: UUID, opened_before: datetime, now: datetime
) -> list[Row]:
    executions = _executions(tx, trigger_id)
    for key, row in sorted(tx.rows("commands"), key=lambda command: command[0]):
        if row["execution_id"] in executions and _is_unanswered(row, opened_before, now):
            known = _locked(tx, "commands", key)
            if known is not None and _is_unanswered(known, opened_before, now):
                tx.change("commands", key, due_at=now)
    return []


def waiting_commands_rest(tx: Transaction, trigger_id: UUID) -> list[Row]:
    return _set_due(tx, trigger_id, INFINITY)


def stages_rest(tx: Transaction, trigger_id: UUID) -> list[Row]:
    for key, row in tx.rows("stages"):
        if key[0] == trigger_id and not row["ended"]:
            tx.change("stages", key, due_at=INFINITY)
    return []


def stages_go_on(tx: Transaction, trigger_id: UUID) -> list[Row]:
    for key, row in tx.rows("stages"):
        if key[0] == trigger_id:
            tx.change("stages", key, due_at=row["scheduled_for"])
    return []


def drop_stages(tx: Transaction, trigger_id: UUID) -> list[Row]:
    dropped = []
    for key, row in tx.rows("stages"):
        if key[0] == trigger_id:
            tx.delete("stages", key)
            dropped.append({"step_order": key[1], "next_page": row["next_page"]})
    return dropped


def stop_executions(tx: Transaction, trigger_id: UUID, now: datetime, order: int, reached: int) -> list[Row]:
    trigger = tx.get("triggers", trigger_id)
    for key, row in tx.rows("executions"):
        if row["trigger_id"] == trigger_id and row["step_order"] == order and row["finished_at"] is None and trigger:
            total = row["expected"] if trigger["cohort_total"] is None else trigger["cohort_total"]
            tx.change("executions", key, finished_at=now, never_commanded=max(0, total - reached))
    return []


def settle_cohort(tx: Transaction, trigger_id: UUID) -> list[Row]:
    trigger = tx.get("triggers", trigger_id)
    if trigger is not None and trigger["cohort_total"] is None:
        sizes = [
            row["commanded"] + row["never_commanded"]
            for _, row in tx.rows("executions")
            if row["trigger_id"] == trigger_id
        ]
        tx.change("triggers", trigger_id, cohort_total=max(sizes, default=None))
    return []


def lock_outcomes(tx: Transaction, execution_ids: Ids, pages: Numbers) -> list[Row]:
    found = []
    for key in sorted(set(zip(execution_ids, pages, strict=True))):
        row = _locked(tx, "outcomes", key)
        if row is not None:
            found.append(row)
    return found


def reserve_outcomes(
    tx: Transaction, execution_ids: Ids, pages: Numbers, standings: Numbers, nothing: Numbers
) -> list[Row]:
    for key in sorted(set(zip(execution_ids, pages, strict=True))):
        _add(tx, "outcomes", key, {
            "execution_id": key[0], "page": key[1], "standings": list(standings), "messages": list(nothing),
            "engagements": list(nothing),
        })  # fmt: skip
    return []


def write_outcomes(
    tx: Transaction, execution_id: UUID, page: int, standings: Numbers, messages: Numbers, engagements: Numbers
) -> list[Row]:
    if _locked(tx, "outcomes", (execution_id, page)) is not None:
        tx.change(
            "outcomes", (execution_id, page),
            standings=list(standings), messages=list(messages), engagements=list(engagements),
        )  # fmt: skip
    return []


def triggers_with_outcomes(tx: Transaction, trigger_ids: Ids) -> list[Row]:
    found = [tx.get("triggers", trigger_id) for trigger_id in trigger_ids]
    return [
        {"trigger_id": row["trigger_id"], "asks_for_outcomes": row["asks_for_outcomes"]}
        for row in found
        if row is not None and row["accepted"] is not None
    ]


def _add(tx: Transaction, table: str, key: Any, row: Row) -> None:
    """ON CONFLICT DO NOTHING: an insert of another transaction that is not over yet is waited for."""
    if tx.get(table, key) is None:
        tx.put(table, key, row)


def _locked(tx: Transaction, table: str, key: Any) -> Row | None:
    tx.lock(table, key)
    return tx.get(table, key)


def _owned(tx: Transaction, key: Any, owner: UUID) -> Row | None:
    row = tx.get("stages", key)
    if row is None or row["owner"] != owner:
        return None
    return _locked(tx, "stages", key)


def _found(tx: Transaction, table: str, keys: Any) -> list[Row]:
    return [row for row in (tx.get(table, key) for key in keys) if row is not None]


def _executions(tx: Transaction, trigger_id: UUID) -> set[UUID]:
    return {key for key, row in tx.rows("executions") if row["trigger_id"] == trigger_id}


def _set_due(tx: Transaction, trigger_id: UUID, due_at: datetime) -> list[Row]:
    executions = _executions(tx, trigger_id)
    for key, row in tx.rows("commands"):
        if row["execution_id"] in executions and row["sends"] == 0:
            tx.change("commands", key, due_at=due_at)
    return []


def _is_unanswered(row: Row, opened_before: datetime, now: datetime) -> bool:
    return row["sends"] > 0 and row["opened_at"] < opened_before and row["due_at"] > now  # type: ignore[no-any-return]


def _sorted_commands(rows: Any) -> list[Row]:
    return sorted(rows, key=lambda row: (row["execution_id"], row["page"]))


def _command_key(row: Row) -> tuple[UUID, int, int]:
    return row["execution_id"], row["page"], row["round"]


def _stage_key(row: Row) -> tuple[UUID, int]:
    return row["trigger_id"], row["step_order"]
