"""Who has started a rule's workflow, and when last: kept only for rules that limit it."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.adapters.statements import event_queries
from orchestrator.domain.rules import Entry
from sluice_storage.database import Connection


async def enter(connection: Connection, entries: Sequence[Entry]) -> set[Entry]:
    """Note entries; return those that are granted. One that was granted before is granted again to the same event."""
    granted: set[Entry] = set()
    waiting = list(entries)
    while waiting:
        # A contact may enter twice in one batch, and a statement can touch a row once: the later one sees the earlier.
        first = {(entry.rule_id, entry.external_id): entry for entry in reversed(waiting)}
        rows = await connection.fetch(
            event_queries.enter_rules,
            [entry.rule_id for entry in first.values()],
            [entry.external_id for entry in first.values()],
            [entry.event_id for entry in first.values()],
            [entry.at for entry in first.values()],
            [entry.after for entry in first.values()],
        )
        granted |= {first[row["rule_id"], row["external_id"]] for row in rows}
        waiting = [entry for entry in waiting if entry is not first[entry.rule_id, entry.external_id]]
    return granted
