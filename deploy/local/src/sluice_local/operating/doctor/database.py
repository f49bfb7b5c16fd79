"""The database: what the services have written down and not finished."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from sluice_contracts.vocabulary import Channel
from sluice_local.durations import describe
from sluice_local.operating.doctor.findings import Examination
from sluice_local.operating.errors import OperatingError
from sluice_local.operating.installation import Connection, Installation
from sluice_local.operating.quantities import counted
from sluice_storage import statements

PATIENCE: Final = timedelta(seconds=60)
"""How long something may be due before somebody should know."""

RECEIPT_PATIENCE: Final = timedelta(minutes=5)
_CLOCK_DIFFERENCE: Final = timedelta(seconds=5)
_STATEMENT_SECONDS: Final = 10.0
_SHOWN: Final = 10

_sql = statements.load("sluice_local.operating", "doctor.sql")


async def examine_database(installation: Installation) -> Examination:
    """Look for open work that nobody moves."""
    found = Examination()
    try:
        async with installation.database("status", _STATEMENT_SECONDS) as connection:
            await _look_at_clock(connection, found)
            await _look_at_commands(installation, connection, found)
            await _look_at_stages(installation, connection, found)
            await _look_at_waits(installation, connection, found)
            await _look_at_receipts(installation, connection, found)
        for channel in Channel:
            async with installation.database(f"channel_{channel}", _STATEMENT_SECONDS) as connection:
                await _look_at_channel(installation, connection, channel, found)
    except OperatingError as error:
        found.find("postgres", str(error), f"see that it runs, and read {installation.log('postgres')}")
    else:
        found.healthy.append("PostgreSQL answers")
    return found


async def _look_at_clock(connection: Connection, found: Examination) -> None:
    there: datetime = await connection.fetchval(_sql.present_moment)
    difference = abs(there - datetime.now(UTC))
    if difference > _CLOCK_DIFFERENCE:
        found.find(
            "postgres",
            f"its clock and this machine's differ by {describe(difference)}",
            "synchronise both with NTP: leases run on the database's clock, everything else on the services'",
        )


async def _look_at_commands(installation: Installation, connection: Connection, found: Examination) -> None:
    now = installation.clock.now()
    rows = await connection.fetch(_sql.unanswered_commands)
    for row in rows[:_SHOWN]:
        worker = f"channel-{row['channel']}" if row["channel"] else "its channel worker"
        found.find(
            f"trigger {row['trigger_id']}",
            f"nobody answers {counted(row['commands'], 'command')} with {counted(row['jobs'], 'job')}, the oldest for "
            f"{describe(now - row['opened_at'])}, sent {row['sends']} times",
            f"see that {worker} runs, then `sluice replay {row['trigger_id']}`",
        )
    if len(rows) > _SHOWN:
        found.notes.append(f"more than {_SHOWN} triggers have unanswered commands; the oldest are shown")
    overdue = await connection.fetchrow(_sql.overdue_commands, now - PATIENCE)
    if overdue is not None and overdue["commands"]:
        found.find(
            "orchestrator",
            f"has had {counted(overdue['commands'], 'command')} to send for {describe(now - overdue['due_at'])}",
            f"its timers do not run: read {installation.log('orchestrator')}",
        )


async def _look_at_stages(installation: Installation, connection: Connection, found: Examination) -> None:
    now = installation.clock.now()
    overdue = await connection.fetchrow(_sql.overdue_stages, now - PATIENCE)
    if overdue is not None and overdue["stages"]:
        found.find(
            "orchestrator",
            f"has had {counted(overdue['stages'], 'step')} to feed for {describe(now - overdue['due_at'])}, "
            f"first that of trigger {overdue['trigger_id']}",
            f"read {installation.log('orchestrator')}; if it is only slow, add copies",
        )


async def _look_at_waits(installation: Installation, connection: Connection, found: Examination) -> None:
    """Look for waits that should have begun or been over; one that lasts is as it should be."""
    now = installation.clock.now()
    overdue = await connection.fetchrow(_sql.overdue_waits, now - PATIENCE)
    if overdue is not None and overdue["waits"]:
        found.find(
            "orchestrator",
            f"has had {counted(overdue['waits'], 'wait')} for events to begin or to end for "
            f"{describe(now - overdue['due_at'])}, first that of trigger {overdue['trigger_id']}",
            f"read {installation.log('orchestrator')}; if it is only slow, add copies",
        )


async def _look_at_receipts(installation: Installation, connection: Connection, found: Examination) -> None:
    now = installation.clock.now()
    overdue = await connection.fetchrow(_sql.overdue_receipts, int((now - RECEIPT_PATIENCE).timestamp() * 1000))
    if overdue is not None and overdue["pages"]:
        since = now - datetime.fromtimestamp(overdue["due_at"] / 1000, UTC)
        found.find(
            "status-api",
            f"waits for the receipts of {counted(overdue['pages'], 'page')} {describe(since)} longer than it should",
            f"its sweeper does not run: read {installation.log('status-api')}",
        )


async def _look_at_channel(
    installation: Installation, connection: Connection, channel: Channel, found: Examination
) -> None:
    worker = f"channel-{channel}"
    cut_off = await connection.fetchrow(_sql.cut_off_waves, PATIENCE.total_seconds())
    if cut_off is not None and cut_off["waves"]:
        found.find(
            worker,
            f"nobody has taken over {counted(cut_off['waves'], 'wave')} of somebody who vanished "
            f"{describe(datetime.now(UTC) - cut_off['lease'])} ago",
            f"see that {worker} runs, then `sluice replay {cut_off['trigger_id']}`",
        )
    now = installation.clock.now()
    parked = await connection.fetchrow(_sql.parked_receipts, now - RECEIPT_PATIENCE)
    if parked is not None and parked["receipts"]:
        found.find(
            worker,
            f"{counted(parked['receipts'], 'receipt')} of messages that nobody knows, the oldest for "
            f"{describe(now - parked['parked_at'])}",
            "see whether another installation uses the same provider account; after an hour they are given up",
        )
