"""Twins of `status_api/sql/waits.sql`, as far as it writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from simulated.storage import Row, Transaction

_PLANNED = ("step_id", "step_name", "event", "timeout_minutes", "delay_minutes", "scheduled_for")
_COUNTED = ("waiting", "received", "timed_out")


def fold_wait_steps(tx: Transaction, *columns: Sequence[Any]) -> list[Row]:
    changed = []
    for trigger_id, step_order, workspace_id, *planned in sorted(zip(*columns, strict=True), key=lambda row: row[:2]):
        row = _step(tx, trigger_id, step_order, workspace_id)
        if row["step_id"] is None:
            tx.change("wait_steps", (trigger_id, step_order), **dict(zip(_PLANNED, planned, strict=True)))
            changed.append({"trigger_id": trigger_id, "workspace_id": workspace_id})
    return changed


def fold_waits(tx: Transaction, *given: Any) -> list[Row]:
    *columns, trigger_ids, workspace_ids = given
    names = ("trigger_id", "step_order", "seq", "external_id", "since", "until", "outcome", "ended_at", "event_id")
    moved: Counter[tuple[UUID, int, str]] = Counter()
    steps = set()
    for values in sorted(zip(*columns, strict=True), key=lambda row: row[:3]):
        row = dict(zip(names, values, strict=True))
        place = values[:3]
        tx.lock("waits", place)
        known = tx.get("waits", place)
        if known is None:
            tx.put("waits", place, row)
        elif row["ended_at"] is not None and row["ended_at"] > (known["ended_at"] or 0):
            tx.change("waits", place, **{name: row[name] for name in ("outcome", "ended_at", "event_id")})
            moved[*place[:2], known["outcome"] or "waiting"] -= 1
        else:
            continue
        moved[*place[:2], row["outcome"] or "waiting"] += 1
        steps.add(place[:2])
    workspaces = dict(zip(trigger_ids, workspace_ids, strict=True))
    for step in sorted(steps):
        row = _step(tx, *step, workspaces[step[0]])
        tx.change("wait_steps", step, **{name: row[name] + moved[*step, name] for name in _COUNTED})
    return [{"trigger_id": trigger_id, "workspace_id": workspaces[trigger_id]} for trigger_id, _ in sorted(steps)]


def _step(tx: Transaction, trigger_id: UUID, step_order: int, workspace_id: UUID) -> Row:
    key = (trigger_id, step_order)
    tx.lock("wait_steps", key)
    known = tx.get("wait_steps", key)
    if known is None:
        known = {
            "trigger_id": trigger_id, "step_order": step_order, "workspace_id": workspace_id,
            **dict.fromkeys(_PLANNED), **dict.fromkeys(_COUNTED, 0),
        }  # fmt: skip
        tx.put("wait_steps", key, known)
    return known
