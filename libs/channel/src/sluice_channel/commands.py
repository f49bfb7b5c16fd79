"""From a record of commands to a record of reports: the handler of the channel's two command topics."""

from __future__ import annotations

from collections import Counter

import structlog

from sluice_channel import emission
from sluice_channel.command_run import CommandRun
from sluice_channel.reporting_again import reports_again
from sluice_channel.reports import Reports
from sluice_channel.tools import Tools
from sluice_contracts.messages.command import JobsCommanded, ReportsRequested
from sluice_contracts.vocabulary import Channel, JobState
from sluice_messaging.errors import PoisonError
from sluice_messaging.ports import EventPublisher
from sluice_messaging.records import Record
from sluice_runtime import metrics
from sluice_runtime.failpoints import FAILPOINTS

_log = structlog.get_logger()


class CommandHandler:
    """Carries out commands. When `handle` returns, what came of every job is on `deliveries`, and not before."""

    def __init__(self, channel: Channel, tools: Tools, publisher: EventPublisher) -> None:
        self._channel = channel
        self._tools = tools
        self._publisher = publisher

    async def handle(self, record: Record) -> None:
        """Carry out the command of `record` and report; or report again what somebody has missed.

        Raises PoisonError for what is no command of this channel, TransientError for what will work later.
        """
        if record.message_type == ReportsRequested.TYPE:
            await self._report_again(record.decode(ReportsRequested))
            return
        command = record.decode(JobsCommanded)
        if command.channel is not self._channel or not len(command.jobs):
            raise PoisonError(f"not a command for {self._channel}")
        reports = await CommandRun(self._tools, command).carry_out()
        await self._publisher.publish([emission.answer_to(command, reports, self._tools.clock.now())])
        FAILPOINTS.reach("channel.after_emit")
        states = Counter(reports.state)
        self._count(states, reports)
        _log.info(
            "command.carried_out",
            execution_id=str(command.execution_id), page=command.page, round=command.round,
            **{str(state): count for state, count in states.items()},
        )  # fmt: skip
        FAILPOINTS.reach("channel.before_commit")

    async def _report_again(self, request: ReportsRequested) -> None:
        if request.channel is not self._channel:
            raise PoisonError(f"not a request to {self._channel}")
        waves = 0
        async for records in reports_again(self._tools.database, request, self._tools.clock.now()):
            await self._publisher.publish(records)
            waves += len(records)
        _log.info("reports.repeated", execution_id=str(request.execution_id), waves=waves)

    def _count(self, states: Counter[JobState], reports: Reports) -> None:
        for state, count in states.items():
            if state.is_final:
                metrics.FINISHED_JOBS.labels(self._channel, state).inc(count)
        for code, count in Counter(reports.code[index] for index in reports.indexes(JobState.FILTERED)).items():
            metrics.FILTERED_JOBS.labels(self._channel, code).inc(count)
