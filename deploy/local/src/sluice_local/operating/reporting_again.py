"""Reports that were lost on their way, made again from the ledgers of the channel workers.

A worker reports what came of a command once. When that report can never be read (it lies among the dead letters, say),
nobody asks again: the command was answered. The ledger still knows; and a report is a fact, so that a second one of the
same changes nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from sluice_channel.ledger import apply_proofs
from sluice_channel.reports import JobReport, Reports, unpack, unpack_columns
from sluice_contracts import topics
from sluice_contracts.identifiers import PAGE_SIZE
from sluice_contracts.messages.delivery import JobsReported, ReportedJobs
from sluice_contracts.vocabulary import Channel, JobState
from sluice_local.operating.installation import Connection
from sluice_messaging.records import OutboundRecord, outbound
from sluice_storage import statements

_PAGES: Final = 25
"""Pages that are looked at together: at most five thousand jobs."""

_sql = statements.load("sluice_local.operating", "replay.sql")


async def lost_reports(
    shown: Connection,
    ledger: Connection,
    execution_id: UUID,
    channel: Channel,
    unanswered: Collection[tuple[int, int]],
    now: datetime,
) -> AsyncIterator[tuple[OutboundRecord, int]]:
    """Yield a report for each wave whose end is recorded and not shown, with how many jobs it is about.

    `ledger` is a connection to the channel's schema. A command that is still open, (page, round) in `unanswered`, is
    left alone: its worker will answer it, and a part of an answer would be taken for the whole.
    """
    last: int | None = await ledger.fetchval(_sql.last_wave, execution_id)
    for first in range(0, -1 if last is None else last + 1, _PAGES):
        seqs = (first * PAGE_SIZE, (first + _PAGES) * PAGE_SIZE)
        ranks = {row["seq"]: row["rank"] for row in await shown.fetch(_sql.reported_jobs, execution_id, *seqs)}
        for wave in await ledger.fetch(_sql.recorded_waves, execution_id, first, first + _PAGES):
            if (wave["page"], wave["round"]) in unanswered:
                continue
            reports = apply_proofs(unpack(wave["reports"]), wave["proven"])
            lost = sum(is_lost(state, ranks.get(seq)) for seq, state in zip(reports.seq, reports.state, strict=True))
            if lost:
                yield _report(execution_id, channel, wave, reports, now), lost


def is_lost(recorded: JobState, shown_rank: int | None) -> bool:
    """Whether a job that ended in `recorded` is shown as something that it cannot be if its report had arrived."""
    if not recorded.is_final:
        return False
    if shown_rank is None or shown_rank < JobState.CANCELLED.rank:
        return True
    return recorded is JobState.SENT and shown_rank != JobState.SENT.rank


def _report(
    execution_id: UUID, channel: Channel, wave: asyncpg.Record, reports: Reports, now: datetime
) -> OutboundRecord:
    people = _people(unpack_columns(wave["facts"]))
    nobody: tuple[str | None, str | None] = (None, None)
    columns = ReportedJobs(
        **dict(zip(JobReport._fields, reports.columns(), strict=True)),
        engagement=[None] * len(reports),
        epoch=[wave["epoch"]] * len(reports),
        external_id=[people.get(seq, nobody)[1] for seq in reports.seq],
        address=[people.get(seq, nobody)[0] for seq in reports.seq],
    )
    message = JobsReported(
        workspace_id=wave["workspace_id"],
        trigger_id=wave["trigger_id"],
        execution_id=execution_id,
        channel=channel,
        page=wave["page"],
        answers_round=wave["round"],
        reported_at=now,
        jobs=columns,
    )
    return outbound(topics.DELIVERIES, message)


def _people(facts: Mapping[str, Sequence[str | int | None]]) -> dict[object, tuple[str | None, str | None]]:
    """Return the address and the external id of each position that the ledger keeps them of."""
    seqs = facts.get("seq", ())
    none: Sequence[None] = [None] * len(seqs)
    rows = zip(seqs, facts.get("address", none), facts.get("external_id", none), strict=True)
    return {seq: (_text(address), _text(external_id)) for seq, address, external_id in rows}


def _text(value: str | int | None) -> str | None:
    return None if value is None else str(value)
