"""What must hold at every commit: a status only moves forward, and a wait that is over stays as it ended."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from simulated.storage import Key, Row, Store

Written = Mapping[str, Mapping[Key, Row | None]]


class StatusWatch:
    """Sees every job's status change, and remembers whose changes have not been looked at yet."""

    def __init__(self, store: Store) -> None:
        self.violations: list[str] = []
        self._jobs = store.table("jobs")
        self._jobs_of: defaultdict[UUID, dict[Key, Row]] = defaultdict(dict)
        self._changed: set[UUID] = set()
        store.on_commit = self._see

    def changed(self) -> set[UUID]:
        """Return the triggers and executions of which anything was written since this was last asked."""
        changed, self._changed = self._changed, set()
        return changed

    def jobs_of(self, execution_id: UUID) -> Collection[Row]:
        """Return the jobs of an execution, as they are committed."""
        return self._jobs_of[execution_id].values()

    def _see(self, written: Written) -> None:
        for name in ("triggers", "executions"):
            self._changed.update(written.get(name, ()))  # type: ignore[arg-type]
        for key, row in written.get("jobs", {}).items():
            execution_id: UUID = key[0]  # type: ignore[index]
            self._changed.add(execution_id)
            before = self._jobs.get(key)
            if row is not None:
                self._jobs_of[execution_id][key] = row
            if before is None:
                continue
            old, new = before["facts"], None if row is None else row["facts"]
            if new is None or new.progress < old.progress or new.message < old.message:
                self.violations.append(f"the status of {key} moved back: {old} {new}")


class WaitWatch:
    """Sees every wait end, and remembers when events were kept."""

    def __init__(self, store: Store) -> None:
        self.violations: list[str] = []
        self.kept_at: dict[Any, datetime] = {}
        self._now = store.now
        self._waits = store.table("waits")
        store.on_commit = self._see

    def _see(self, written: Written) -> None:
        for key, row in written.get("waits", {}).items():
            before = self._waits.get(key)
            if before is None or before["outcome"] is None:
                continue
            if row is None or (row["outcome"], row["event_id"]) != (before["outcome"], before["event_id"]):
                self.violations.append(f"a wait that was over ended again: {before} {row}")
        for key in written.get("awaited_events", {}):
            self.kept_at.setdefault(key, self._now())
