"""One command carried out, wave by wave: plan, pace, claim, hand over, record.

Whatever happens in between, a repeat of the command finds in the ledger which waves are done, which nobody has begun,
and which were cut off; only the last kind holds jobs of which nobody can say whether they went out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sluice_catalog.models import WorkspaceSettings
from sluice_channel.allowances import Candidate, has_limits
from sluice_channel.control import Stop
from sluice_channel.domain import gates
from sluice_channel.domain.gates import GATE_ORDER
from sluice_channel.hand_over import HandOver
from sluice_channel.ledger import WAVE_SIZE, CommandKey, Lease, Ledger, Recorded, WaveFacts, apply_proofs
from sluice_channel.pacing import Reservation
from sluice_channel.persistence import surely
from sluice_channel.planning import PageFacts, PlannedJob
from sluice_channel.reports import JobReport, pack_columns
from sluice_channel.takeover import TakeOver
from sluice_channel.tools import Tools
from sluice_contracts.messages.command import JobsCommanded
from sluice_contracts.vocabulary import FilterCode, JobState
from sluice_messaging.errors import TransientError
from sluice_runtime import metrics
from sluice_runtime.failpoints import FAILPOINTS
from sluice_storage.errors import is_transient


class WaveTakenError(TransientError):
    """Another worker has, or had, a wave of this command: what it does with it will be in the ledger."""


class _ClaimConflictError(Exception):
    """Rolls back what was counted for a wave that somebody else has claimed."""


@dataclass(slots=True)
class _Wave:
    number: int
    jobs: list[PlannedJob]
    stop: Stop | None
    doubtful: Sequence[int] = ()

    @property
    def reports(self) -> list[JobReport]:
        return [job.report for job in self.jobs]

    @property
    def sendable(self) -> list[PlannedJob]:
        return [job for job in self.jobs if job.is_sendable]


class CommandRun:
    """Carries out one command once; every repeat is a new run with an owner of its own."""

    def __init__(self, tools: Tools, command: JobsCommanded) -> None:
        self._tools = tools
        self._command = command
        self._key = CommandKey(command.execution_id, command.page, command.round)
        self._ledger = Ledger(tools.database, tools.lease_seconds, tools.steady)

    async def carry_out(self) -> list[JobReport]:
        """Return a report on every job, in order; what is recorded already is answered from the ledger.

        Raises TransientError while another worker has a part of it, or the database is away.
        """
        known = {wave.number: wave for wave in await self._ledger.waves(self._key)}
        numbers = range(-(-len(self._command.jobs) // WAVE_SIZE))
        reports = {number: wave.reports for number, wave in known.items() if wave.is_recorded}
        if len(reports) < len(numbers):
            page = await self._page()
            for number, wave in known.items():
                if not wave.is_recorded:
                    if not wave.is_expired:
                        raise WaveTakenError(f"wave {number} is under way")
                    reports[number] = await self._take_over(page, number)
            reports.update(await self._new_waves(page, [number for number in numbers if number not in known]))
        return [report for number in numbers for report in reports[number]]

    async def _page(self) -> PageFacts:
        command, tools = self._command, self._tools
        account = await tools.accounts.choose(command.workspace_id, command.sender)
        addresses = {address for address in command.jobs.address if address and tools.kind.is_address(address)}
        suppressions = await tools.catalog.suppressions_among(command.workspace_id, command.channel, addresses)
        renderer = await tools.renderer.page(command)
        # A hand-over of an earlier round whose answer was lost may have been proven by a receipt since.
        proven = await self._ledger.proven_before(self._key) if command.round else frozenset()
        return PageFacts(command, account, suppressions, renderer, proven)

    async def _new_waves(self, page: PageFacts, numbers: Sequence[int]) -> dict[int, list[JobReport]]:
        """Send the waves one after another: each is planned while the one before is on its way to the provider."""
        done: list[_Wave] = []
        settings = await self._tools.catalog.workspace_settings(self._command.workspace_id)
        previous: _Wave | None = None
        planned = self._plan(page, numbers[0]) if numbers else None
        following = iter(numbers[1:])
        while planned is not None:
            wave = planned
            next_number = next(following, None)
            lease, reservation = await self._claim(page, settings, previous, wave)
            previous = None
            if wave.sendable:
                FAILPOINTS.reach("channel.after_claim")
                planned = await self._send_while_planning(page, wave, lease, reservation, next_number)
                previous = wave
            else:
                planned = None if next_number is None else self._plan(page, next_number)
            done.append(wave)
        if previous is not None:
            await self._record(previous)
        return {wave.number: wave.reports for wave in done}

    def _plan(self, page: PageFacts, number: int) -> _Wave:
        now = self._tools.clock.now()
        stop = self._tools.controls.stop_of(self._command.trigger_id)
        places = range(number * WAVE_SIZE, min((number + 1) * WAVE_SIZE, len(self._command.jobs)))
        return _Wave(number, self._tools.planner.plan(page, places, stop, now), stop)

    async def _send_while_planning(
        self, page: PageFacts, wave: _Wave, lease: Lease, reservation: Reservation | None, next_number: int | None
    ) -> _Wave | None:
        async def plan_next() -> _Wave | None:
            return None if next_number is None else self._plan(page, next_number)

        started = time.perf_counter()
        hand_over = HandOver(self._tools, self._command, page, self._key, self._ledger)
        doubtful, planned = await asyncio.gather(
            hand_over.deliver(wave.jobs, lease, reservation), plan_next(), return_exceptions=True
        )
        metrics.WAVE_SECONDS.labels(self._command.channel).observe(time.perf_counter() - started)
        if isinstance(doubtful, BaseException):
            raise doubtful
        wave.doubtful = doubtful
        FAILPOINTS.reach("channel.after_send")
        if isinstance(planned, BaseException):
            await self._record(wave)
            raise planned
        return planned

    async def _claim(
        self, page: PageFacts, settings: WorkspaceSettings, previous: _Wave | None, wave: _Wave
    ) -> tuple[Lease, Reservation | None]:
        """Record the wave before, if there is one, and claim `wave`; what has to wait is taken out of it first."""
        now = self._tools.clock.now()
        if self._tools.controls.stop_of(self._command.trigger_id) != wave.stop:
            fresh = self._plan(page, wave.number)
            wave.jobs, wave.stop = fresh.jobs, fresh.stop
        reservation: Reservation | None = None
        limited = has_limits(settings, self._command.category)
        paced = page.account is not None and page.account.rate_per_second is not None
        if page.account is not None and wave.sendable:
            if previous is not None and (paced or limited):
                await self._record(previous)
                previous = None
            reservation = await HandOver(self._tools, self._command, page, self._key, self._ledger).pace(wave.jobs)
        if limited and (wave.sendable or any(_is_late_gate(job) for job in wave.jobs)):
            if previous is not None:
                await self._record(previous)
            return await self._claim_and_count(page, settings, wave), reservation
        return await self._claim_after(previous, wave, self._facts(page, wave), now), reservation

    async def _claim_after(self, previous: _Wave | None, wave: _Wave, facts: WaveFacts, now: datetime) -> Lease:
        if previous is None:
            lease = await self._ledger.claim(self._key, wave.number, wave.reports, facts, now)
        else:
            try:
                recorded = await self._ledger.record_and_claim(
                    self._key,
                    previous.number,
                    previous.reports,
                    previous.doubtful,
                    wave.reports,
                    wave.number,
                    facts,
                    now,
                )
            except Exception as error:
                if not is_transient(error):
                    raise
                await self._record(previous)
                return await self._claim_after(None, wave, facts, now)
            if recorded.proven is None:
                await self._record(previous)
                return await self._claim_after(None, wave, facts, now)
            self._adopt(previous, recorded)
            FAILPOINTS.reach("channel.after_record")
            lease = recorded.lease
        if lease is None:
            raise WaveTakenError(f"wave {wave.number} was claimed by another worker")
        return lease

    async def _claim_and_count(self, page: PageFacts, settings: WorkspaceSettings, wave: _Wave) -> Lease:
        """Claim a wave of a workspace with caps or a budget: counting and claiming stand or fall together."""
        now = self._tools.clock.now()
        jobs = self._command.jobs
        candidates = [
            Candidate(
                job.report.seq,
                str(jobs.contact_id[job.place] or jobs.address[job.place]),
                job.report.cost_micros or 0,
                counts=job.is_sendable,
            )
            for job in wave.jobs
            if job.is_sendable or _is_late_gate(job)
        ]
        try:
            async with self._tools.database.transaction() as connection:
                refusals = await self._tools.allowances.admit(
                    connection, settings, self._command.category, self._command.execution_id, candidates, now
                )
                for job in wave.jobs:
                    if job.report.seq in refusals.capped:
                        job.filter(gates.verdict(FilterCode.FREQUENCY_CAPPED))
                    elif job.report.seq in refusals.over_budget:
                        job.filter(gates.verdict(FilterCode.BUDGET_EXCEEDED))
                lease = await self._ledger.claim(
                    self._key, wave.number, wave.reports, self._facts(page, wave), now, connection
                )
                return _roll_back_unless(lease)
        except _ClaimConflictError:
            raise WaveTakenError(f"wave {wave.number} was claimed by another worker") from None

    async def _record(self, wave: _Wave) -> None:
        """Write down what came of a wave; while the database is away, wait: what is in memory is all that is known."""
        now = self._tools.clock.now()
        recorded = await surely(lambda: self._ledger.record(self._key, wave.number, wave.reports, wave.doubtful, now))
        if recorded.proven is None:
            sent = [report.seq for report in wave.reports if report.state is JobState.SENT]
            if sent:
                await surely(lambda: self._ledger.prove(self._key, wave.number, sent))
            raise WaveTakenError(f"wave {wave.number} was taken over by another worker")
        self._adopt(wave, recorded)
        FAILPOINTS.reach("channel.after_record")

    def _adopt(self, wave: _Wave, recorded: Recorded) -> None:
        if recorded.proven:
            for job, report in zip(wave.jobs, apply_proofs(wave.reports, recorded.proven), strict=True):
                job.report = report

    async def _take_over(self, page: PageFacts, number: int) -> list[JobReport]:
        take_over = TakeOver(self._tools, self._command, page, self._key, self._ledger)
        resumed = await take_over.resume(number)
        if resumed is None:
            raise WaveTakenError(f"wave {number} is under way again")
        wave = _Wave(number, resumed.jobs, None, resumed.doubtful)
        await self._record(wave)
        return wave.reports

    def _facts(self, page: PageFacts, wave: _Wave) -> WaveFacts:
        command, jobs = self._command, self._command.jobs
        first, last = wave.jobs[0].place, wave.jobs[-1].place + 1
        return WaveFacts(
            command.workspace_id,
            command.trigger_id,
            None if page.account is None else page.account.account.id,
            command.category,
            command.epoch,
            pack_columns(
                seq=jobs.seq[first:last], address=jobs.address[first:last], external_id=jobs.external_id[first:last]
            ),
        )


def _roll_back_unless(lease: Lease | None) -> Lease:
    if lease is None:
        raise _ClaimConflictError
    return lease


def _is_late_gate(job: PlannedJob) -> bool:
    """Whether a job is filtered only by a gate that is asked after the frequency cap."""
    return job.gate is not None and GATE_ORDER[job.gate] > GATE_ORDER[FilterCode.FREQUENCY_CAPPED]
