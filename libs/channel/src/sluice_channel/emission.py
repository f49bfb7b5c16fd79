"""Reports on the way out: job reports as the columns of `JobsReported`, on the `deliveries` topic."""

from __future__ import annotations

from datetime import datetime

from sluice_channel.reports import Reports
from sluice_contracts import topics
from sluice_contracts.messages.command import JobsCommanded
from sluice_contracts.messages.delivery import JobsReported, ReportedJobs
from sluice_messaging.records import OutboundRecord, outbound


def answer_to(command: JobsCommanded, reports: Reports, now: datetime) -> OutboundRecord:
    """Return the record that answers `command` in full: `reports` has one entry a job, in the command's order."""
    length = len(reports)
    columns = ReportedJobs.model_construct(
        seq=reports.seq,
        at=reports.at,
        state=list(reports.state),
        message=reports.message,
        engagement=[None] * length,
        epoch=[command.epoch] * length,
        attempt=reports.attempt,
        code=reports.code,
        detail=reports.detail,
        until=reports.until,
        external_id=command.jobs.external_id,
        address=command.jobs.address,
        provider=reports.provider,
        provider_id=reports.provider_id,
        segments=reports.segments,
        cost_micros=reports.cost_micros,
    )
    message = JobsReported.model_construct(
        workspace_id=command.workspace_id,
        trigger_id=command.trigger_id,
        execution_id=command.execution_id,
        channel=command.channel,
        page=command.page,
        answers_round=command.round,
        reported_at=now,
        jobs=columns,
    )
    return outbound(topics.DELIVERIES, message)
