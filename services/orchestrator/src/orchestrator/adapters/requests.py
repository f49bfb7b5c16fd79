"""What a request to cancel, pause or resume does to the rows of a trigger."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from orchestrator.adapters import waits
from orchestrator.adapters.statements import queries
from orchestrator.domain.running import Mode
from sluice_contracts.identifiers import PAGE_SIZE
from sluice_storage.database import Connection


async def note_request(
    connection: Connection, trigger_id: UUID, workspace_id: UUID, mode: Mode, requested_at: datetime
) -> bool | None:
    """Change a trigger's mode; return whether it has been planned yet.

    None: nothing was changed, because the trigger is another workspace's, is over, or has obeyed a later request.
    """
    planned: bool | None = await connection.fetchval(
        queries.note_request, trigger_id, workspace_id, requested_at, mode, requested_at
    )
    return planned


async def stop(connection: Connection, trigger_id: UUID, now: datetime) -> None:
    """Let nothing more start. What was held comes now, to be reported as cancelled by its worker."""
    # Commands before stages: the order in which every transaction locks them.
    await connection.execute(queries.resting_commands_come_now, trigger_id, now)
    for row in await connection.fetch(queries.drop_stages, trigger_id):
        await connection.execute(
            queries.stop_executions, trigger_id, now, row["step_order"], row["next_page"] * PAGE_SIZE
        )
    await waits.stop(connection, trigger_id, now)
    # Nobody will count the rest of the audience now: the estimate is the last word.
    await connection.execute(queries.settle_cohort, trigger_id)


async def repeat(connection: Connection, trigger_id: UUID, opened_before: datetime, now: datetime) -> int:
    """Let commands come again now that were sent, opened before `opened_before` and never answered; return how many."""
    done = await connection.execute(queries.unanswered_commands_come_now, trigger_id, opened_before, now)
    return int(done.rpartition(" ")[2])


async def rest(connection: Connection, trigger_id: UUID) -> None:
    """Let nothing become due. What is under way is answered as held by its worker."""
    await connection.execute(queries.waiting_commands_rest, trigger_id)
    await connection.execute(queries.stages_rest, trigger_id)
    await waits.rest(connection, trigger_id)


async def go_on(connection: Connection, trigger_id: UUID, now: datetime) -> None:
    """Let everything that rests go on: waiting jobs now, stages when they were planned."""
    await connection.execute(queries.resting_commands_come_now, trigger_id, now)
    await connection.execute(queries.stages_go_on, trigger_id)
    await waits.go_on(connection, trigger_id)
