"""Sums over all triggers of a workflow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from uuid import UUID

from sluice_contracts.vocabulary import Channel
from sluice_storage.database import Database
from sluice_storage.statements import load
from status_api.adapters.patience import Patience
from status_api.domain.workflow_counts import StepCounts, WorkflowCounts

_sql = load("status_api", "workflows.sql")


class WorkflowCounter:
    """Reads the projection, always for one workspace."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._counts = Patience(self._summed_up)

    async def counts(self, workspace_id: UUID, workflow_ids: Iterable[UUID]) -> Mapping[UUID, WorkflowCounts]:
        """Return the counts of each of `workflow_ids`.

        Raises StillCountingError where they are too many to be summed up at once, and whatever the database does when
        it is away.
        """
        return await self._counts.ask((workspace_id, tuple(workflow_ids)))

    async def _summed_up(self, asked: tuple[UUID, tuple[UUID, ...]]) -> Mapping[UUID, WorkflowCounts]:
        if not asked[1]:
            return {}
        steps: dict[UUID, list[StepCounts]] = defaultdict(list)
        async with self._database.connection() as connection:
            enrolled = await connection.fetch(_sql.enrolled, *asked)
            counted = await connection.fetch(_sql.step_counts, *asked)
        for row in counted:
            values = dict(row)
            steps[values.pop("workflow_id")].append(StepCounts(**values | {"channel": Channel(row["channel"])}))
        return {
            row["workflow_id"]: WorkflowCounts(row["enrolled"], tuple(steps[row["workflow_id"]])) for row in enrolled
        }
