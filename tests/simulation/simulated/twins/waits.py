"""What requests about triggers do to waits for events, of which the simulated workflows have none."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from simulated.storage import Row, Transaction


def _nothing(_: Transaction, __: UUID, ___: datetime | None = None) -> list[Row]:
    return []


wait_stages_rest = waits_rest = releases_rest = _nothing
wait_stages_go_on = waits_go_on = releases_go_on = _nothing
drop_wait_stages = drop_waits = drop_releases = stop_released_executions = _nothing
