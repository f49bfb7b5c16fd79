"""The messages of one wave on their way: paced, handed over under a kept lease, and settled by what came of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

import structlog

from sluice_catalog.models import Suppression
from sluice_channel.accounts import ActiveAccount
from sluice_channel.domain import outcomes
from sluice_channel.ledger import CommandKey, Lease, Ledger
from sluice_channel.pacing import Reservation
from sluice_channel.persistence import surely
from sluice_channel.planning import PageFacts, PlannedJob
from sluice_channel.provider import Accepted, Outcome
from sluice_channel.reports import to_milliseconds
from sluice_channel.sending import WaveSender, Withheld
from sluice_channel.tools import Tools
from sluice_contracts.messages.command import JobsCommanded
from sluice_contracts.sentences import FAILURE_SENTENCES
from sluice_contracts.vocabulary import FailureCode, HoldCode, JobState, SuppressionReason
from sluice_runtime import metrics
from sluice_storage.errors import is_transient

T = TypeVar("T")

_log = structlog.get_logger()


class HandOver:
    """Hands over what is planned of one command."""

    def __init__(self, tools: Tools, command: JobsCommanded, page: PageFacts, key: CommandKey, ledger: Ledger) -> None:
        self._tools = tools
        self._command = command
        self._page = page
        self._key = key
        self._ledger = ledger

    async def pace(self, jobs: Sequence[PlannedJob]) -> Reservation | None:
        """Hold the jobs that cannot go now, and wait up to two seconds for the slot of the first that can.

        None where the account has no limit, or nothing is left to hand over.
        """
        active = self._page.account
        sendable = [job for job in jobs if job.is_sendable]
        if active is None or not sendable:
            return None
        now = self._tools.clock.now()
        paused_until = active.paused_until(self._command.sender.sender, now)
        if paused_until is not None:
            _hold_all(sendable, HoldCode.RATE, lambda _: paused_until + timedelta(seconds=self._tools.draw()))
            return None
        if active.circuit.blocks(now):
            self._await_account(sendable, active.circuit.due(now))
            return None
        rate = active.rate_per_second
        if rate is None:
            return None
        queues = self._command.round == 0 and not self._command.category.is_essential
        reservation = await self._tools.pacing.reserve(active.account.id, len(sendable), rate, queues=queues)
        _hold_all(sendable[reservation.granted :], HoldCode.RATE, lambda place: reservation.come_back(place, now))
        if reservation.granted == 0:
            return None
        if reservation.wait > 0:
            await asyncio.sleep(reservation.wait)
        return reservation

    async def deliver(self, jobs: Sequence[PlannedJob], lease: Lease, reservation: Reservation | None) -> list[int]:
        """Hand over what is sendable and write the outcomes into the reports.

        Returns the positions that were handed over and are not sent: the provider may have them all the same.
        """
        active = self._page.account
        sendable = [job for job in jobs if job.is_sendable]
        if active is None or not sendable:
            return []
        messages = [job.message for job in sendable if job.message is not None]
        self._observe_queue()
        sender = WaveSender(self._tools.clock, self._tools.pacing, active, self._command.lane, lease, reservation)
        results = await self._keeping(lease, sender.send(messages))
        return await self._settle(active, sendable, results)

    def _await_account(self, jobs: Sequence[PlannedJob], due: datetime) -> None:
        """Hold jobs for an account that refuses everything; give up those that have waited for about a day."""
        if self._command.round >= outcomes.MAX_WAITS:
            for job in jobs:
                job.fail(FailureCode.ACCOUNT_REJECTED, FAILURE_SENTENCES[FailureCode.ACCOUNT_REJECTED])
        else:
            _hold_all(jobs, HoldCode.PROVIDER_UNAVAILABLE, lambda _: due)

    async def _settle(
        self, active: ActiveAccount, jobs: Sequence[PlannedJob], results: Sequence[Outcome | Withheld]
    ) -> list[int]:
        now = self._tools.clock.now()
        at = to_milliseconds(now)
        doubtful: list[int] = []
        suppressions: list[Suppression] = []
        for job, result in zip(jobs, results, strict=True):
            if isinstance(result, Withheld):
                job.hold(result.code, result.until)
                continue
            settlement = outcomes.settle(
                result,
                attempts=job.report.attempt,
                category=self._command.category,
                now=now,
                draw=self._tools.draw,
                account_due=active.circuit.due(now),
                waits=self._command.round,
            )
            job.report.apply(settlement, at)
            if settlement.state is not JobState.SENT:
                doubtful.append(job.report.seq)
            if settlement.code == FailureCode.UNCERTAIN:
                metrics.UNCERTAIN_JOBS.labels(self._command.channel).inc()
            if settlement.suppress is not None:
                suppressions.append(self._suppression(job, settlement.suppress))
        if suppressions:
            await surely(lambda: self._tools.catalog.suppress(suppressions))
        if active.matches_replies_by_address:
            await self._remember(active, jobs, results)
        return doubtful

    async def _remember(
        self, active: ActiveAccount, jobs: Sequence[PlannedJob], results: Sequence[Outcome | Withheld]
    ) -> None:
        now = self._tools.clock.now()
        seqs = {
            result.answers_from or job.message.address: job.report.seq
            for job, result in zip(jobs, results, strict=True)
            if job.message is not None and isinstance(result, Accepted)
        }
        if seqs:
            await surely(
                lambda: self._tools.conversations.remember(
                    active.account.id, self._key.execution_id, self._key.round, seqs, now
                )
            )

    def _suppression(self, job: PlannedJob, reason: SuppressionReason) -> Suppression:
        address = self._command.jobs.address[job.place] or ""
        return Suppression(self._command.workspace_id, self._command.channel, address, reason, job.report.detail)

    def _observe_queue(self) -> None:
        """Only first rounds of first steps: whatever came later had to wait on purpose."""
        if self._command.round == 0 and self._command.step_order == 1:
            waited = (self._tools.clock.now() - self._command.accepted_at).total_seconds()
            metrics.QUEUE_SECONDS.labels(self._command.lane).observe(max(waited, 0.0))

    async def _keeping(self, lease: Lease, work: Awaitable[T]) -> T:
        """Return what `work` returns, and renew the lease every third of it for as long as that takes."""
        task = asyncio.ensure_future(work)
        try:
            while True:
                done, _ = await asyncio.wait({task}, timeout=self._tools.lease_seconds / 3)
                if done:
                    return task.result()
                try:
                    await self._ledger.renew(self._key, lease)
                except Exception as error:
                    if not is_transient(error):
                        raise
                    _log.warning("lease.renewal_failed", error=type(error).__name__)
        finally:
            if not task.done():
                task.cancel()


def _hold_all(jobs: Sequence[PlannedJob], code: HoldCode, until: Callable[[int], datetime]) -> None:
    for place, job in enumerate(jobs):
        job.hold(code, until(place))
