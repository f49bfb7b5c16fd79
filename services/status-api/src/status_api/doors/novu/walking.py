"""Through a workspace's triggers, the newest first, to the page that was asked for.

What lies before the page is skipped by its counts; how many triggers are looked at is bounded, so that a rare filter
ends in a short page and not in a query without end.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sluice_catalog.snapshot import CatalogSnapshot
from sluice_contracts.novu import trigger_id_for_transaction
from status_api.adapters.status_store import StatusStore, TriggerFilter, TriggerPlace
from status_api.domain.overview import overview
from status_api.domain.rows import TriggerRow
from status_api.doors.novu.runs import Run, template_id_of
from status_api.doors.novu.store import NovuStore

MOST_LOOKED_AT: Final = 5_000
_AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which triggers: of some transactions (None: of all), accepted from `since` up to `until`."""

    transaction_ids: Sequence[str] | None = None
    since: datetime | None = None
    until: datetime | None = None


class Walk:
    """Loads runs."""

    def __init__(self, store: StatusStore, novu: NovuStore, snapshot: CatalogSnapshot) -> None:
        self._store = store
        self._novu = novu
        self._snapshot = snapshot

    async def runs(self, workspace_id: UUID, wanted: RunFilter) -> AsyncIterator[list[Run]]:
        """Yield batches of runs, the newest first."""
        if wanted.transaction_ids is not None:
            yield await self.of_transactions(workspace_id, wanted.transaction_ids)
            return
        after, looked_at = TriggerPlace(), 0
        chosen = TriggerFilter(wanted.since, wanted.until)
        while looked_at < MOST_LOOKED_AT:
            triggers = await self._store.triggers(workspace_id, chosen, after, _AT_ONCE)
            yield await self._loaded(workspace_id, triggers)
            if len(triggers) < _AT_ONCE:
                return
            looked_at += len(triggers)
            after = TriggerPlace(triggers[-1].accepted_at, triggers[-1].trigger_id)

    async def of_transactions(self, workspace_id: UUID, transaction_ids: Sequence[str]) -> list[Run]:
        """Return the runs of these transactions, as far as they are known."""
        triggers = []
        for transaction_id in dict.fromkeys(transaction_ids):
            trigger = await self.trigger(workspace_id, transaction_id)
            if trigger is not None:
                triggers.append(trigger)
        return await self._loaded(workspace_id, triggers)

    async def of_trigger(self, workspace_id: UUID, trigger_id: UUID) -> Run | None:
        """Return one run."""
        trigger = await self._store.trigger(workspace_id, trigger_id)
        return None if trigger is None else (await self._loaded(workspace_id, [trigger]))[0]

    async def trigger(self, workspace_id: UUID, transaction_id: str) -> TriggerRow | None:
        """Return the trigger of a transaction; our own ids are transaction ids of triggers from other doors."""
        found = await self._store.trigger(workspace_id, trigger_id_for_transaction(workspace_id, transaction_id))
        if found is not None:
            return found
        try:
            own = UUID(transaction_id)
        except ValueError:
            return None
        return await self._store.trigger(workspace_id, own)

    async def _loaded(self, workspace_id: UUID, triggers: Sequence[TriggerRow]) -> list[Run]:
        ids = [trigger.trigger_id for trigger in triggers]
        if not ids:
            return []
        executions = await self._store.executions(workspace_id, ids)
        noted = await self._novu.metadata(workspace_id, ids)
        runs = []
        for trigger in triggers:
            identifier = noted.get(trigger.trigger_id, {}).get("identifier")
            defined = self._snapshot.novu_workflow(workspace_id, identifier) if isinstance(identifier, str) else None
            template_id = template_id_of(
                trigger.workflow_id, None if defined is None else defined.id, trigger.trigger_id
            )
            whole = overview(trigger, executions[trigger.trigger_id])
            runs.append(Run(whole, noted.get(trigger.trigger_id, {}), template_id))
        return [run for run in runs if run.executions]
