"""What the ledger knows to have happened, said again to somebody who may have missed it.

A worker answers a command once, and once answered nobody repeats it. If that answer is lost before everybody has read
it (its topic lost its log, say), whoever missed it asks; the ledger still knows. A report is a fact: who has heard it
already learns nothing new.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

import asyncpg

from sluice_channel.ledger import apply_proofs
from sluice_channel.reports import JobReport, unpack, unpack_columns
from sluice_contracts import topics
from sluice_contracts.messages.command import ReportsRequested
from sluice_contracts.messages.delivery import JobsReported, ReportedJobs
from sluice_messaging.records import OutboundRecord, outbound
from sluice_storage import statements
from sluice_storage.database import Database

_PAGES: Final = 25
"""Pages that are held at once: at most five thousand jobs."""

_ALL_PAGES: Final = 2**31 - 1

_sql = statements.load("sluice_channel", "ledger.sql")


async def reports_again(
    database: Database, request: ReportsRequested, now: datetime
) -> AsyncIterator[list[OutboundRecord]]:
    """Yield, a few pages at a time, a report for each recorded wave of the pages of which more is known here."""
    known = {request.first_page + offset: ended for offset, ended in enumerate(request.ended)}
    first = request.first_page
    until = _ALL_PAGES if request.and_later else first + len(request.ended)
    while True:
        async with database.connection() as connection:
            rows = await connection.fetch(_sql.pages_recorded, request.execution_id, first, until, _PAGES)
            pages = [row["page"] for row in rows]
            waves = await connection.fetch(_sql.waves_of_pages, request.execution_id, pages)
        if not pages:
            return
        records: list[OutboundRecord] = []
        for page, recorded in groupby(waves, key=itemgetter("page")):
            over = [(wave, _over(wave)) for wave in recorded if wave["workspace_id"] == request.workspace_id]
            if len({report.seq for _, reports in over for report in reports}) > known.get(page, 0):
                records += [_report(request, wave, reports, now) for wave, reports in over if reports]
        if records:
            yield records
        first = pages[-1] + 1


def _over(wave: asyncpg.Record) -> list[JobReport]:
    reports = apply_proofs(unpack(wave["reports"]), wave["proven"])
    return [report for report in reports if report.state.is_final]


def _report(
    request: ReportsRequested, wave: asyncpg.Record, reports: Sequence[JobReport], now: datetime
) -> OutboundRecord:
    people = _people(unpack_columns(wave["facts"]))
    columns = ReportedJobs(
        seq=[report.seq for report in reports],
        at=[report.at for report in reports],
        state=[report.state for report in reports],
        message=[report.message for report in reports],
        engagement=[None] * len(reports),
        epoch=[wave["epoch"]] * len(reports),
        attempt=[report.attempt for report in reports],
        code=[report.code for report in reports],
        detail=[report.detail for report in reports],
        until=[report.until for report in reports],
        external_id=[people[report.seq][1] for report in reports],
        address=[people[report.seq][0] for report in reports],
        provider=[report.provider for report in reports],
        provider_id=[report.provider_id for report in reports],
        segments=[report.segments for report in reports],
        cost_micros=[report.cost_micros for report in reports],
    )
    message = JobsReported(
        workspace_id=wave["workspace_id"],
        trigger_id=wave["trigger_id"],
        execution_id=request.execution_id,
        channel=request.channel,
        page=wave["page"],
        answers_round=None,
        reported_at=now,
        jobs=columns,
    )
    return outbound(topics.DELIVERIES, message)


def _people(facts: Mapping[str, Sequence[Any]]) -> Mapping[int, tuple[str | None, str | None]]:
    """Return the address and the external id of each position."""
    seqs = facts["seq"]
    nobody: Sequence[None] = [None] * len(seqs)
    rows = zip(seqs, facts.get("address", nobody), facts.get("external_id", nobody), strict=True)
    return {seq: (address, external_id) for seq, address, external_id in rows}
