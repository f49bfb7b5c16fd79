"""Twins of `status_api/sql/standstill.sql`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from simulated.storage import LONG_AGO, Row, Transaction
from simulated.twins import truth
from simulated.twins.status import SENT
from status_api.domain.fold import JobFacts
from status_api.domain.progress import state_of

_ENDED = ("sent", "failed", "filtered", "cancelled")


def elect(tx: Transaction) -> list[Row]:
    elected = tx.can_lock("advisory", "standstill")
    if elected:
        tx.lock("advisory", "standstill")
    return truth(elected)


def standing_still(tx: Transaction, before: datetime, without: Sequence[UUID], limit: int) -> list[Row]:
    def stands_still(row: Row) -> bool:
        started = row["started_at"]
        return (
            started is not None
            and (row["commanded_total"] is None or _open(row) > 0)
            and not _open_only_for_waits(tx, row, before)
            and started < before
            and (row["last_ended_at"] or started) < before
        )

    found = sorted(_executions(tx, without, stands_still), key=lambda row: row["started_at"])
    return [_shown(row, None if row["commanded_total"] is None else _open(row)) for row in found[:limit]]


def never_started(tx: Transaction, before: datetime, without: Sequence[UUID], limit: int) -> list[Row]:
    def was_due(row: Row) -> bool:
        trigger = tx.get("triggers", row["trigger_id"])
        return (
            row["started_at"] is None
            and (row["scheduled_for"] is None or row["scheduled_for"] < before)
            and trigger is not None
            and trigger["accepted_at"] is not None
            and trigger["accepted_at"] < before
            and trigger["cancelled_at"] is None
            and trigger["failed_at"] is None
        )

    return [_shown(row, None) for row in _executions(tx, without, was_due)[:limit]]


def started_unheard(tx: Transaction, before: datetime, without: Sequence[UUID], limit: int) -> list[Row]:
    def is_unheard(row: Row) -> bool:
        return (
            row["started_at"] is None
            and row["commanded_total"] is None
            and _ended(row) > 0
            and (row["last_ended_at"] or LONG_AGO) < before
        )

    return [_shown(row, None) for row in _executions(tx, without, is_unheard)[:limit]]


def never_planned(tx: Transaction, before: datetime, without: Sequence[UUID], limit: int) -> list[Row]:
    found = [
        row
        for _, row in tx.rows("triggers")
        if row["planned_at"] is None
        and row["failed_at"] is None
        and row["accepted_at"] is not None
        and row["accepted_at"] < before
        and row["trigger_id"] not in without
    ]
    found.sort(key=lambda row: row["accepted_at"])
    return [_shown(row | {"execution_id": None, "channel": None}, None) for row in found[:limit]]


def nameless(tx: Transaction, before: datetime, without: Sequence[UUID], limit: int) -> list[Row]:
    of_nobody = {
        row["execution_id"]
        for _, row in tx.rows("jobs")
        if not _is_named(row["facts"]) and state_of(row["facts"].progress).rank == SENT
    }
    found = _executions(
        tx,
        without,
        lambda row: (
            row["execution_id"] in of_nobody and (row["last_ended_at"] or row["started_at"] or LONG_AGO) < before
        ),
    )
    return [_shown(row, None) for row in found[:limit]]


def lanes(tx: Transaction, trigger_ids: Sequence[UUID]) -> list[Row]:
    found = [tx.get("triggers", trigger_id) for trigger_id in dict.fromkeys(trigger_ids)]
    return [{"trigger_id": row["trigger_id"], "lane": row["lane"]} for row in found if row and row["lane"] is not None]


def pages(tx: Transaction, execution_id: UUID | None, now_ms: int, page_size: int) -> list[Row]:
    ended: Counter[int] = Counter()
    waiting: Counter[int] = Counter()
    for _, row in tx.rows("jobs"):
        if row["execution_id"] == execution_id:
            facts, page = row["facts"], row["seq"] // page_size
            rank = state_of(facts.progress).rank
            ended[page] += 4 <= rank <= 6 or (rank == SENT and _is_named(facts))
            waiting[page] += rank < 4 and facts.until is not None and facts.until > now_ms
    return [{"page": page, "ended": ended[page], "waiting": waiting[page]} for page in sorted(ended)]


def _executions(tx: Transaction, without: Sequence[UUID], wanted: Callable[[Row], bool]) -> list[Row]:
    return [row for key, row in tx.rows("executions") if key not in without and wanted(row)]


def _open_only_for_waits(tx: Transaction, row: Row, before: datetime) -> bool:
    waiting = sum(step["waiting"] for key, step in tx.rows("wait_steps") if key[0] == row["trigger_id"])
    expected = row["expected"] or 0
    return (
        row["commanded_total"] is None
        and (row["scheduled_for"] or LONG_AGO) >= before
        and _ended(row) < expected
        and waiting > 0
        and waiting + _ended(row) >= expected
    )


def _ended(row: Row) -> int:
    return sum(row[name] for name in _ENDED)


def _open(row: Row) -> int:
    total: int = row["commanded_total"] - _ended(row) - (row["never_commanded"] or 0)
    return total


def _shown(row: Row, open_jobs: int | None) -> Row:
    names = ("execution_id", "trigger_id", "workspace_id", "channel")
    return {name: row[name] for name in names} | {"open": open_jobs}


def _is_named(facts: JobFacts) -> bool:
    return facts.address is not None or facts.external_id is not None
