"""The messages of one wave on their way: paced, handed over under a kept lease, and settled by what came of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import structlog

from sluice_catalog.models import Suppression
from sluice_channel.accounts import ActiveAccount
from sluice_channel.domain import outcomes
from sluice_channel.ledger import CommandKey, Lease, Ledger
from sluice_channel.pacing import Reservation
from sluice_channel.persistence import surely
from sluice_channel.planning import PageFacts
from sluice_channel.provider import Accepted, OutboundMessage, Outcome
from sluice_channel.reports import to_milliseconds
from sluice_channel.sending import WaveSender, Withheld
from sluice_channel.tools import Tools
from sluice_channel.wave import Wave
from sluice_contracts.messages.command import JobsCommanded
from sluice_contracts.sentences import FAILURE_SENTENCES
from sluice_contracts.vocabulary import FailureCode, HoldCode, JobState, SuppressionReason
from sluice_messaging.tasks import cancelled
from sluice_runtime import metrics

_log = structlog.get_logger()


class HandOver:
    """Hands over what is planned of one command."""

    def __init__(self, tools: Tools, command: JobsCommanded, page: PageFacts, key: CommandKey, ledger: Ledger) -> None:
        self._tools = tools
        self._command = command
        self._page = page
        self._key = key
        self._ledger = ledger

    async def pace(self, wave: Wave) -> Reservation | None:
        """Hold the jobs that cannot go now, and wait up to two seconds for the slot of the first that can.

        None where the account has no limit, or nothing is left to hand over.
        """
        active = self._page.account
        if active is None or not wave.hands_over:
            return None
        now = self._tools.clock.now()
        paused_until = active.paused_until(self._command.sender.sender, now)
        if paused_until is not None:
            for index in wave.sendable():
                wave.hold(index, HoldCode.RATE, paused_until + timedelta(seconds=self._tools.draw()))
            return None
        if active.circuit.blocks(now):
            self._await_account(wave, active.circuit.due(now))
            return None
        rate = active.rate_per_second
        if rate is None:
            return None
        queues = self._command.round == 0 and not self._command.category.is_essential
        sendable = wave.sendable()
        reservation = await self._tools.pacing.reserve(active.account.id, len(sendable), rate, queues=queues)
        for place, index in enumerate(sendable[reservation.granted :]):
            wave.hold(index, HoldCode.RATE, reservation.come_back(place, now))
        if reservation.granted == 0:
            return None
        if reservation.wait > 0:
            await asyncio.sleep(reservation.wait)
        return reservation

    async def deliver(self, wave: Wave, lease: Lease, reservation: Reservation | None) -> None:
        """Hand over what is sendable and write down in the wave what came of it."""
        active = self._page.account
        sendable = wave.sendable()
        if active is None or not sendable:
            return
        # Not of all that was planned: a receipt may have proven meanwhile that a job has been sent.
        messages = [message for index in sendable if (message := wave.messages[index]) is not None]
        self._observe_queue()
        sender = WaveSender(self._tools.clock, self._tools.pacing, active, self._command.lane, lease, reservation)
        async with self._keeping(lease):
            results = await sender.send(messages)
        await self._settle(active, wave, sendable, messages, results)

    def _await_account(self, wave: Wave, due: datetime) -> None:
        """Hold jobs for an account that refuses everything; give up those that have waited for about a day."""
        for index in wave.sendable():
            if self._command.round >= outcomes.MAX_WAITS:
                wave.fail(index, FailureCode.ACCOUNT_REJECTED, FAILURE_SENTENCES[FailureCode.ACCOUNT_REJECTED])
            else:
                wave.hold(index, HoldCode.PROVIDER_UNAVAILABLE, due)

    async def _settle(
        self,
        active: ActiveAccount,
        wave: Wave,
        sendable: Sequence[int],
        messages: Sequence[OutboundMessage],
        results: Sequence[Outcome | Withheld],
    ) -> None:
        now = self._tools.clock.now()
        accepted = [result for result in results if isinstance(result, Accepted)]
        if len(accepted) == len(sendable):
            wave.reports.accept(sendable, accepted, to_milliseconds(now))
        else:
            await self._settle_singly(active, wave, sendable, results, now)
        if active.matches_replies_by_address and accepted:
            await self._remember(active, messages, [wave.reports.seq[index] for index in sendable], results)

    async def _settle_singly(
        self,
        active: ActiveAccount,
        wave: Wave,
        sendable: Sequence[int],
        results: Sequence[Outcome | Withheld],
        now: datetime,
    ) -> None:
        doubtful: list[int] = []
        suppressions: list[Suppression] = []
        for index, result in zip(sendable, results, strict=True):
            if isinstance(result, Withheld):
                wave.hold(index, result.code, result.until)
                continue
            settlement = outcomes.settle(
                result,
                attempts=wave.reports.attempt[index],
                category=self._command.category,
                now=now,
                draw=self._tools.draw,
                account_due=active.circuit.due(now),
                waits=self._command.round,
            )
            wave.reports.settle(index, settlement, to_milliseconds(now))
            if settlement.state is not JobState.SENT:
                doubtful.append(wave.reports.seq[index])
            if settlement.code == FailureCode.UNCERTAIN:
                metrics.UNCERTAIN_JOBS.labels(self._command.channel).inc()
            if settlement.suppress is not None:
                suppressions.append(self._suppression(wave, index, settlement.suppress))
        wave.doubtful = doubtful
        if suppressions:
            await surely(lambda: self._tools.catalog.suppress(suppressions))

    async def _remember(
        self,
        active: ActiveAccount,
        messages: Sequence[OutboundMessage],
        seqs: Sequence[int],
        results: Sequence[Outcome | Withheld],
    ) -> None:
        now = self._tools.clock.now()
        newest = {
            result.answers_from or message.address: seq
            for message, seq, result in zip(messages, seqs, results, strict=True)
            if isinstance(result, Accepted)
        }
        await surely(
            lambda: self._tools.conversations.remember(
                active.account.id, self._key.execution_id, self._key.round, newest, now
            )
        )

    def _suppression(self, wave: Wave, index: int, reason: SuppressionReason) -> Suppression:
        address = self._command.jobs.address[wave.places[index]] or ""
        return Suppression(
            self._command.workspace_id, self._command.channel, address, reason, wave.reports.detail[index]
        )

    def _observe_queue(self) -> None:
        """Only first rounds of first steps: whatever came later had to wait on purpose."""
        if self._command.round == 0 and self._command.step_order == 1:
            waited = (self._tools.clock.now() - self._command.accepted_at).total_seconds()
            metrics.QUEUE_SECONDS.labels(self._command.lane).observe(max(waited, 0.0))

    @asynccontextmanager
    async def _keeping(self, lease: Lease) -> AsyncIterator[None]:
        """Renew the lease every third of it until the block ends; most end long before, and cost a timer."""
        loop, seconds = asyncio.get_running_loop(), self._tools.lease_seconds / 3
        renewals: list[asyncio.Task[None]] = []
        timer = loop.call_later(seconds, lambda: renewals.append(loop.create_task(self._renew(lease, seconds))))
        try:
            yield
        finally:
            timer.cancel()
            await cancelled(*renewals)

    async def _renew(self, lease: Lease, seconds: float) -> None:
        while True:
            try:
                await self._ledger.renew(self._key, lease)
            except Exception as error:  # noqa: BLE001 - what it is, the hand-over will meet where it is recorded
                _log.warning("lease.renewal_failed", error=type(error).__name__)
            await asyncio.sleep(seconds)
