"""Sums over all triggers of a workflow."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sluice_contracts.vocabulary import Channel
from sluice_storage.database import Database
from sluice_storage.statements import load
from status_api.domain.workflow_counts import StepCounts, WorkflowCounts

_SECONDS: Final = 3.0
_sql = load("status_api", "workflows.sql")


class WorkflowCounter:
    """Reads the projection, always for one workspace."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def counts(self, workspace_id: UUID, workflow_ids: Sequence[UUID]) -> dict[UUID, WorkflowCounts]:
        """Return the counts of each of `workflow_ids`.

        Raises TimeoutError when the database does not answer within three seconds, and whatever it raises when it is
        away.
        """
        if not workflow_ids:
            return {}
        steps: dict[UUID, list[StepCounts]] = defaultdict(list)
        async with asyncio.timeout(_SECONDS), self._database.connection() as connection:
            enrolled = await connection.fetch(_sql.enrolled, workspace_id, workflow_ids)
            counted = await connection.fetch(_sql.step_counts, workspace_id, workflow_ids)
        for row in counted:
            values = dict(row)
            steps[values.pop("workflow_id")].append(StepCounts(**values | {"channel": Channel(row["channel"])}))
        return {
            row["workflow_id"]: WorkflowCounts(row["enrolled"], tuple(steps[row["workflow_id"]])) for row in enrolled
        }
