"""Reports on the way out: job reports as the columns of `JobsReported`, on the `deliveries` topic."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sluice_channel.reports import JobReport
from sluice_contracts import topics
from sluice_contracts.identifiers import page_key
from sluice_contracts.messages.command import JobsCommanded
from sluice_contracts.messages.delivery import JobsReported, ReportedJobs
from sluice_messaging.records import OutboundRecord, outbound


def answer_to(command: JobsCommanded, reports: Sequence[JobReport], now: datetime) -> OutboundRecord:
    """Return the record that answers `command` in full: `reports` has one entry a job, in the command's order."""
    length = len(reports)
    columns = ReportedJobs.model_construct(
        seq=[report.seq for report in reports],
        at=[report.at for report in reports],
        state=[report.state for report in reports],
        message=[report.message for report in reports],
        engagement=[None] * length,
        epoch=[command.epoch] * length,
        attempt=[report.attempt for report in reports],
        code=[report.code for report in reports],
        detail=[report.detail for report in reports],
        until=[report.until for report in reports],
        external_id=command.jobs.external_id,
        address=command.jobs.address,
        provider=[report.provider for report in reports],
        provider_id=[report.provider_id for report in reports],
        segments=[report.segments for report in reports],
        cost_micros=[report.cost_micros for report in reports],
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
    return outbound(topics.DELIVERIES, page_key(command.execution_id, command.page), message)
