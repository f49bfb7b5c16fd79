"""Twins of `sluice_channel/sql/ledger.sql`, `pacing.sql` and `receipts.sql`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from simulated.storage import LONG_AGO, Row, Transaction
from simulated.twins import truth

WaveKey = tuple[UUID, int, int, int]


def waves_of_command(tx: Transaction, execution_id: UUID, page: int, number: int) -> list[Row]:
    rows = [row for key, row in tx.rows("waves") if key[:3] == (execution_id, page, number)]
    return [
        {
            "wave": row["wave"],
            "is_recorded": row["recorded_at"] is not None,
            "is_expired": row["lease"] < tx.now,
            "proven": row["proven"],
            "reports": row["reports"],
        }
        for row in sorted(rows, key=lambda row: row["wave"])
    ]


def claim(tx: Transaction, *values: Any) -> list[Row]:
    key, row = _claimed(tx, *values)
    tx.lock("waves", key)
    if tx.get("waves", key) is not None:
        return []
    tx.put("waves", key, row)
    return truth(1)


def record(
    tx: Transaction, execution_id: UUID, page: int, number: int, wave: int, owner: UUID, reports: bytes,
    doubtful: Sequence[int] | None, now: datetime,
) -> list[Row]:  # fmt: skip
    key = (execution_id, page, number, wave)
    row = _unrecorded(tx, key, owner)
    if row is None:
        return []
    tx.change("waves", key, reports=reports, doubtful=doubtful, recorded_at=now)
    return [{"proven": row["proven"] or []}]


def record_and_claim(tx: Transaction, *values: Any) -> list[Row]:
    claimed, before = values[:17], values[17:]
    recorded = record(tx, *before, claimed[16])
    entered = claim(tx, *claimed) if recorded else []
    return [{"proven": recorded[0]["proven"] if recorded else None, "claimed": len(entered)}]


def own_claim(
    tx: Transaction, execution_id: UUID, page: int, number: int, wave: int, owner: UUID, seconds: float
) -> list[Row]:
    key = (execution_id, page, number, wave)
    if _owned(tx, key, owner) is None:
        return []
    tx.change("waves", key, lease=_later(tx, seconds))
    return truth(1)


def own_record(tx: Transaction, execution_id: UUID, page: int, number: int, wave: int, owner: UUID) -> list[Row]:
    row = tx.get("waves", (execution_id, page, number, wave))
    if row is None or row["owner"] != owner or row["recorded_at"] is None:
        return []
    return [{"proven": row["proven"] or []}]


def take_over(
    tx: Transaction, execution_id: UUID, page: int, number: int, wave: int, owner: UUID, seconds: float
) -> list[Row]:
    key = (execution_id, page, number, wave)
    tx.lock("waves", key)
    row = tx.get("waves", key)
    if row is None or row["recorded_at"] is not None or row["lease"] >= tx.now:
        return []
    tx.change("waves", key, owner=owner, lease=_later(tx, seconds))
    return [{"proven": row["proven"] or [], "reports": row["reports"]}]


def revise(
    tx: Transaction, execution_id: UUID, page: int, number: int, wave: int, owner: UUID, reports: bytes, seconds: float
) -> list[Row]:
    key = (execution_id, page, number, wave)
    row = _unrecorded(tx, key, owner)
    if row is None:
        return []
    tx.change("waves", key, reports=reports, lease=_later(tx, seconds))
    return [{"proven": row["proven"] or []}]


def renew(
    tx: Transaction, execution_id: UUID, page: int, number: int, wave: int, owner: UUID, seconds: float
) -> list[Row]:
    key = (execution_id, page, number, wave)
    if _unrecorded(tx, key, owner) is None:
        return []
    tx.change("waves", key, lease=_later(tx, seconds))
    return truth(1)


def prove_own(tx: Transaction, execution_id: UUID, page: int, number: int, wave: int, seqs: Sequence[int]) -> list[Row]:
    key = (execution_id, page, number, wave)
    tx.lock("waves", key)
    row = tx.get("waves", key)
    if row is not None:
        tx.change("waves", key, proven=sorted({*(row["proven"] or []), *seqs}))
    return []


def proven_before(tx: Transaction, execution_id: UUID, page: int, number: int) -> list[Row]:
    proven = {
        seq
        for key, row in tx.rows("waves")
        if key[:2] == (execution_id, page) and key[2] < number
        for seq in row["proven"] or []
    }
    return [{"seq": seq} for seq in sorted(proven)]


def waves_of_commands(tx: Transaction, *columns: Sequence[Any]) -> list[Row]:
    names = (
        "execution_id", "page", "round", "wave", "first_seq", "last_seq", "workspace_id", "trigger_id", "epoch",
        "doubtful",
    )  # fmt: skip
    return [
        {name: row[name] for name in names} | {"is_open": row["recorded_at"] is None}
        for command in zip(*columns, strict=True)
        for key, row in tx.rows("waves")
        if key[:3] == command
    ]


def facts_of_jobs(tx: Transaction, *columns: Sequence[Any]) -> list[Row]:
    names = ("workspace_id", "category", "facts")
    return [{"place": place} | {name: row[name] for name in names} for place, _, row in _waves_with(tx, columns)]


def pages_recorded(tx: Transaction, execution_id: UUID, first: int, until: int, limit: int) -> list[Row]:
    found = {
        row["page"]
        for key, row in tx.rows("waves")
        if key[0] == execution_id and first <= key[1] < until and row["recorded_at"] is not None
    }
    return [{"page": page} for page in sorted(found)[:limit]]


def waves_of_pages(tx: Transaction, execution_id: UUID, pages: Sequence[int]) -> list[Row]:
    names = ("page", "round", "workspace_id", "trigger_id", "epoch", "facts", "reports")
    found = [
        (key, row)
        for key, row in tx.rows("waves")
        if key[0] == execution_id and key[1] in pages and row["recorded_at"] is not None
    ]
    return [
        {name: row[name] for name in names} | {"proven": row["proven"] or []}
        for _, row in sorted(found, key=lambda wave: wave[0])
    ]


def open_bucket(tx: Transaction, account_id: UUID) -> list[Row]:
    if tx.get("pace", account_id) is None:
        tx.put("pace", account_id, {"account_id": account_id, "next_at": LONG_AGO, "horizon": LONG_AGO})
    return []


def reserve(tx: Transaction, account_id: UUID, wanted: int, rate: float, longest: float, queues: bool) -> list[Row]:
    if tx.get("pace", account_id) is None:
        return []
    tx.lock("pace", account_id)
    row = tx.get("pace", account_id)
    assert row is not None
    start = max(row["next_at"], tx.now)
    if queues and row["horizon"] > tx.now + timedelta(seconds=longest):
        granted = 0
    else:
        free = math.floor(rate * (longest - (start - tx.now).total_seconds()))
        granted = min(wanted, max(0, 1 + free))
    next_at = start + timedelta(seconds=granted / rate)
    tail = max(row["horizon"], next_at)
    horizon = tail + timedelta(seconds=(wanted - granted) / rate) if granted < wanted else row["horizon"]
    tx.change("pace", account_id, next_at=next_at, horizon=horizon)
    return [
        {
            "granted": granted,
            "wait": (start - tx.now).total_seconds(),
            "tail": (tail - tx.now).total_seconds(),
        }
    ]


def pause(tx: Transaction, account_id: UUID, seconds: float) -> list[Row]:
    if tx.get("pace", account_id) is not None:
        tx.lock("pace", account_id)
        row = tx.get("pace", account_id)
        assert row is not None
        tx.change("pace", account_id, next_at=max(row["next_at"], _later(tx, seconds)))
    return []


def park(tx: Transaction, receipts: Sequence[bytes], now: datetime, due_at: datetime) -> list[Row]:
    for receipt in receipts:
        number = tx.store.next_number("parked_receipts")
        tx.put("parked_receipts", number, {
            "id": number, "receipt": receipt, "parked_at": now, "due_at": due_at, "tries": 0,
        })  # fmt: skip
    return []


def due_receipts(tx: Transaction, now: datetime, hidden_until: datetime, limit: int) -> list[Row]:
    due = sorted((row for _, row in tx.rows("parked_receipts") if row["due_at"] <= now), key=lambda row: row["due_at"])
    taken: list[Row] = []
    for row in due:
        if len(taken) < limit and tx.can_lock("parked_receipts", row["id"]):
            taken.append(tx.change("parked_receipts", row["id"], due_at=hidden_until, tries=row["tries"] + 1))
    return [{name: row[name] for name in ("id", "receipt", "parked_at", "tries")} for row in taken]


def postpone(tx: Transaction, number: int, due_at: datetime) -> list[Row]:
    if tx.get("parked_receipts", number) is not None:
        tx.change("parked_receipts", number, due_at=due_at)
    return []


def unpark(tx: Transaction, numbers: Sequence[int]) -> list[Row]:
    for number in numbers:
        if tx.get("parked_receipts", number) is not None:
            tx.delete("parked_receipts", number)
    return []


def count_parked(tx: Transaction) -> list[Row]:
    return truth(sum(1 for _ in tx.rows("parked_receipts")))


def _claimed(tx: Transaction, *values: Any) -> tuple[WaveKey, Row]:
    (
        execution_id, page, number, wave, owner, seconds, first_seq, last_seq, workspace_id, trigger_id, account_id,
        category, epoch, facts, reports, recorded, now,
    ) = values  # fmt: skip
    return (execution_id, page, number, wave), {
        "execution_id": execution_id, "page": page, "round": number, "wave": wave, "owner": owner,
        "lease": _later(tx, seconds), "first_seq": first_seq, "last_seq": last_seq, "workspace_id": workspace_id,
        "trigger_id": trigger_id, "account_id": account_id, "category": str(category), "epoch": epoch, "facts": facts,
        "reports": reports, "claimed_at": now, "recorded_at": now if recorded else None, "doubtful": None,
        "proven": None,
    }  # fmt: skip


def _owned(tx: Transaction, key: WaveKey, owner: UUID) -> Row | None:
    row = tx.get("waves", key)
    if row is None or row["owner"] != owner:
        return None
    tx.lock("waves", key)
    return tx.get("waves", key)


def _unrecorded(tx: Transaction, key: WaveKey, owner: UUID) -> Row | None:
    row = _owned(tx, key, owner)
    return None if row is None or row["recorded_at"] is not None else row


def _waves_with(tx: Transaction, columns: Sequence[Sequence[Any]]) -> list[tuple[int, int, Row]]:
    found = []
    for place, (execution_id, page, number, seq) in enumerate(zip(*columns, strict=True)):
        for key, row in tx.rows("waves"):
            if key[:3] == (execution_id, page, number) and row["first_seq"] <= seq <= row["last_seq"]:
                found.append((place, seq, row))
    return found


def _later(tx: Transaction, seconds: float) -> datetime:
    return tx.now + timedelta(seconds=seconds)
