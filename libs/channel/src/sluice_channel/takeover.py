"""A wave whose owner vanished between claiming and recording: find out what can be found out, and decide the rest.

What a receipt has proven is sent. What the provider can look up is what the provider says. Of the rest nobody knows: an
essential message is sent again, everything else is given up as uncertain rather than sent twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from sluice_channel.domain import outcomes
from sluice_channel.hand_over import HandOver
from sluice_channel.ledger import WAVE_SIZE, CommandKey, Lease, Ledger, apply_proofs
from sluice_channel.planning import PageFacts, PlannedJob
from sluice_channel.provider import Outcome
from sluice_channel.reports import JobReport, to_milliseconds
from sluice_channel.tools import Tools
from sluice_contracts.messages.command import JobsCommanded
from sluice_contracts.references import JobReference
from sluice_contracts.sentences import FAILURE_SENTENCES
from sluice_contracts.vocabulary import FailureCode, JobState
from sluice_runtime import metrics
from sluice_runtime.failpoints import FAILPOINTS

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Resumed:
    """A wave that is settled now and not yet recorded; `doubtful` positions may be at the provider all the same."""

    jobs: list[PlannedJob]
    doubtful: list[int]


class TakeOver:
    """Takes over waves of one command."""

    def __init__(self, tools: Tools, command: JobsCommanded, page: PageFacts, key: CommandKey, ledger: Ledger) -> None:
        self._tools = tools
        self._command = command
        self._page = page
        self._key = key
        self._ledger = ledger

    async def resume(self, number: int) -> Resumed | None:
        """Settle a wave whose lease has run out; None where it has an owner again, or is recorded by now."""
        taken = await self._ledger.take_over(self._key, number)
        if taken is None:
            return None
        lease, reports = taken
        in_doubt = [report for report in reports if report.state is JobState.SENDING]
        _log.warning(
            "wave.taken_over",
            execution_id=str(self._key.execution_id), page=self._key.page, round=self._key.round, wave=number,
            in_doubt=len(in_doubt),
        )  # fmt: skip
        metrics.UNCERTAIN_JOBS.labels(self._command.channel).inc(len(in_doubt))
        answers = await self._look_up(in_doubt)
        first = number * WAVE_SIZE
        jobs = [PlannedJob(first + offset, report) for offset, report in enumerate(reports)]
        self._decide(jobs, answers)
        proven = await self._ledger.revise(self._key, lease, [job.report for job in jobs])
        if proven is None:
            return None
        for job, report in zip(jobs, apply_proofs([job.report for job in jobs], proven), strict=True):
            job.report = report
        FAILPOINTS.reach("channel.after_claim")
        await self._send_again(jobs, lease)
        once_in_doubt = {report.seq for report in in_doubt}
        return Resumed(
            jobs,
            [j.report.seq for j in jobs if j.report.seq in once_in_doubt and j.report.state is not JobState.SENT],
        )

    async def _look_up(self, in_doubt: Sequence[JobReport]) -> Mapping[int, Outcome | None] | None:
        """Return what the provider says of each position, None for one that it never got; None if it cannot say."""
        active = self._page.account
        if active is None or not in_doubt:
            return None
        references = {self._reference(report.seq): report.seq for report in in_doubt}
        try:
            answers = await active.provider.look_up(list(references))
        except Exception:  # noqa: BLE001 - a provider that cannot be asked now cannot say
            _log.exception("provider.look_up_failed", provider=active.account.provider)
            return None
        return None if answers is None else {seq: answers.get(name) for name, seq in references.items()}

    def _decide(self, jobs: Sequence[PlannedJob], answers: Mapping[int, Outcome | None] | None) -> None:
        """Settle what can be settled; what stays `sending` goes out again."""
        for job in jobs:
            if not job.is_sendable:
                continue
            if answers is not None:
                outcome = answers[job.report.seq]
                if outcome is None:
                    self._plan_again(job)
                else:
                    self._settle(job, outcome)
                continue
            # The hand-over that was cut off counts as one: it may well have happened.
            job.report.attempt += 1
            if outcomes.may_resend(self._command.category, job.report.attempt):
                self._plan_again(job)
                if job.is_sendable or job.report.state is JobState.HELD:
                    continue
            job.fail(FailureCode.UNCERTAIN, FAILURE_SENTENCES[FailureCode.UNCERTAIN])

    def _settle(self, job: PlannedJob, outcome: Outcome) -> None:
        now = self._tools.clock.now()
        active = self._page.account
        settlement = outcomes.settle(
            outcome,
            attempts=job.report.attempt,
            category=self._command.category,
            now=now,
            draw=self._tools.draw,
            account_due=now if active is None else active.circuit.due(now),
            waits=self._command.round,
        )
        job.report.apply(settlement, to_milliseconds(now))

    def _plan_again(self, job: PlannedJob) -> None:
        """Ask the gates anew and render anew: the message itself was never stored."""
        stop = self._tools.controls.stop_of(self._command.trigger_id)
        attempts = job.report.attempt
        fresh = self._tools.planner.plan(self._page, [job.place], stop, self._tools.clock.now())[0]
        job.report, job.message, job.gate = fresh.report, fresh.message, fresh.gate
        job.report.attempt = attempts
        if job.message is not None:
            job.message = replace(job.message, attempt=attempts + 1)

    async def _send_again(self, jobs: Sequence[PlannedJob], lease: Lease) -> None:
        hand_over = HandOver(self._tools, self._command, self._page, self._key, self._ledger)
        reservation = await hand_over.pace(jobs)
        await hand_over.deliver(jobs, lease, reservation)
        FAILPOINTS.reach("channel.after_send")

    def _reference(self, seq: int) -> str:
        return self._tools.planner.reference(JobReference(self._command.execution_id, seq, self._command.round))
