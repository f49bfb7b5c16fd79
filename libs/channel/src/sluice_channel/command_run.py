"""One command carried out, wave by wave: plan, pace, claim, hand over, record.

Whatever happens in between, a repeat of the command finds in the ledger which waves are done, which nobody has begun,
and which were cut off; only the last kind holds jobs of which nobody can say whether they went out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from sluice_catalog.models import WorkspaceSettings
from sluice_channel.allowances import Candidate, has_limits
from sluice_channel.domain import gates
from sluice_channel.domain.gates import GATE_ORDER
from sluice_channel.hand_over import HandOver
from sluice_channel.ledger import WAVE_SIZE, CommandKey, Lease, Ledger, WaveFacts
from sluice_channel.pacing import Reservation
from sluice_channel.planning import PageFacts
from sluice_channel.recording import UnrecordedWave, WaveTakenError
from sluice_channel.reports import Reports, pack_columns
from sluice_channel.takeover import TakeOver
from sluice_channel.tools import Tools
from sluice_channel.turnstile import Passage
from sluice_channel.wave import Wave
from sluice_contracts.messages.command import JobsCommanded
from sluice_contracts.vocabulary import FilterCode, Lane
from sluice_runtime import metrics
from sluice_runtime.failpoints import FAILPOINTS

_GOOD_FOR: Final = timedelta(seconds=1)
"""How long a plan holds: windows close, messages expire."""


class _ClaimConflictError(Exception):
    """Rolls back what was counted for a wave that somebody else has claimed."""


class CommandRun:
    """Carries out one command once; every repeat is a new run with an owner of its own."""

    def __init__(self, tools: Tools, command: JobsCommanded) -> None:
        self._tools = tools
        self._command = command
        self._key = CommandKey(command.execution_id, command.page, command.round)
        self._ledger = Ledger(tools.database, tools.lease_seconds, tools.steady)

    async def carry_out(self) -> Reports:
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
        return Reports.joined([reports[number] for number in numbers])

    async def _page(self) -> PageFacts:
        command, tools = self._command, self._tools
        account = await tools.accounts.choose(command.workspace_id, command.sender)
        addresses = {address for address in command.jobs.address if address and tools.kind.is_address(address)}
        suppressions = await tools.catalog.suppressions_among(command.workspace_id, command.channel, addresses)
        renderer = await tools.renderer.page(command)
        # A hand-over of an earlier round whose answer was lost may have been proven by a receipt since.
        proven = await self._ledger.proven_before(self._key) if command.round else frozenset()
        return PageFacts(command, account, addresses, suppressions, renderer, proven)

    async def _new_waves(self, page: PageFacts, numbers: Sequence[int]) -> dict[int, Reports]:
        """Send waves and have them written down.

        The first is planned while the command waits for its turn with the account, each of the others while the ledger
        takes down the claim of the one before.
        """
        if not numbers:
            return {}
        command, tools = self._command, self._tools
        account = None if page.account is None else page.account.account.id
        settings = await tools.catalog.workspace_settings(command.workspace_id)
        first = self._plan(page, numbers[0])
        async with tools.turnstile.passage(account, command.category) as passage:
            done, sent = await self._send_all(page, settings, passage, first, numbers[1:])
        for wave in sent:
            await wave.recorded()
        return done

    async def _send_all(
        self, page: PageFacts, settings: WorkspaceSettings, passage: Passage, first: Wave, others: Sequence[int]
    ) -> tuple[dict[int, Reports], list[UnrecordedWave]]:
        done: dict[int, Reports] = {}
        sent: list[UnrecordedWave] = []
        planned: Wave | None = first
        following = iter(others)
        while planned is not None:
            if self._command.lane is Lane.BULK:
                await self._tools.precedence.give_way()
            claiming = asyncio.ensure_future(self._claim(page, settings, passage, planned))
            try:
                await asyncio.sleep(0)
                planned, fault = self._plan_ahead(page, next(following, None))
                wave, lease, reservation = await claiming
            finally:
                claiming.cancel()
            done[wave.number] = wave.reports
            if wave.hands_over:
                FAILPOINTS.reach("channel.after_claim")
                await self._send(page, wave, lease, reservation)
                passage.unrecorded = UnrecordedWave(self._ledger, self._key, wave, self._tools.clock)
                sent.append(passage.unrecorded)
            if fault is not None:
                raise fault
        return done, sent

    def _plan_ahead(self, page: PageFacts, number: int | None) -> tuple[Wave | None, Exception | None]:
        """Return a wave, or what its planning failed with: that is raised once the wave before is written down."""
        try:
            return (None if number is None else self._plan(page, number)), None
        except Exception as error:  # noqa: BLE001 - raised by the caller, later
            return None, error

    def _plan(self, page: PageFacts, number: int) -> Wave:
        now = self._tools.clock.now()
        stop = self._tools.controls.stop_of(self._command.trigger_id)
        places = range(number * WAVE_SIZE, min((number + 1) * WAVE_SIZE, len(self._command.jobs)))
        return self._tools.planner.plan(page, places, stop, now)

    async def _send(self, page: PageFacts, wave: Wave, lease: Lease, reservation: Reservation | None) -> None:
        started = time.perf_counter()
        await HandOver(self._tools, self._command, page, self._key, self._ledger).deliver(wave, lease, reservation)
        metrics.WAVE_SECONDS.labels(self._command.channel).observe(time.perf_counter() - started)
        FAILPOINTS.reach("channel.after_send")

    async def _claim(
        self, page: PageFacts, settings: WorkspaceSettings, passage: Passage, wave: Wave
    ) -> tuple[Wave, Lease, Reservation | None]:
        """Have the wave before written down, if there is one, and claim `wave`, without what has to wait.

        Where the trigger was stopped or resumed since `wave` was planned, or that is long ago, another takes its place.
        """
        now = self._tools.clock.now()
        if self._tools.controls.stop_of(self._command.trigger_id) != wave.stop or now - wave.planned_at > _GOOD_FOR:
            wave = self._plan(page, wave.number)
        reservation: Reservation | None = None
        limited = has_limits(settings, self._command.category)
        if page.account is not None and wave.hands_over:
            if limited or page.account.rate_per_second is not None:
                await passage.record()
            reservation = await HandOver(self._tools, self._command, page, self._key, self._ledger).pace(wave)
        if limited and (wave.hands_over or any(map(_is_late, wave.gates.values()))):
            await passage.record()
            return wave, await self._claim_and_count(page, settings, wave), reservation
        facts = self._facts(page, wave)
        if passage.unrecorded is None:
            lease = await self._ledger.claim(self._key, wave.number, wave.reports, facts, now)
        else:
            lease = await passage.unrecorded.record_and_claim(self._ledger, self._key, wave, facts, now)
            passage.unrecorded = None
        if lease is None:
            raise WaveTakenError(f"wave {wave.number} was claimed by another worker")
        return wave, lease, reservation

    async def _claim_and_count(self, page: PageFacts, settings: WorkspaceSettings, wave: Wave) -> Lease:
        """Claim a wave of a workspace with caps or a budget: counting and claiming stand or fall together."""
        now = self._tools.clock.now()
        jobs, reports = self._command.jobs, wave.reports
        sendable = set(wave.sendable())
        asked = sendable | {index for index, gate in wave.gates.items() if _is_late(gate)}
        candidates = [
            Candidate(
                reports.seq[index],
                str(jobs.contact_id[wave.places[index]] or jobs.address[wave.places[index]]),
                reports.cost_micros[index] or 0,
                counts=index in sendable,
            )
            for index in sorted(asked)
        ]
        try:
            async with self._tools.database.transaction() as connection:
                refusals = await self._tools.allowances.admit(
                    connection, settings, self._command.category, self._command.execution_id, candidates, now
                )
                for index, seq in enumerate(reports.seq):
                    if seq in refusals.capped:
                        wave.filter(index, gates.verdict(FilterCode.FREQUENCY_CAPPED))
                    elif seq in refusals.over_budget:
                        wave.filter(index, gates.verdict(FilterCode.BUDGET_EXCEEDED))
                lease = await self._ledger.claim(
                    self._key, wave.number, reports, self._facts(page, wave), now, connection
                )
                return _roll_back_unless(lease)
        except _ClaimConflictError:
            raise WaveTakenError(f"wave {wave.number} was claimed by another worker") from None

    async def _take_over(self, page: PageFacts, number: int) -> Reports:
        wave = await TakeOver(self._tools, self._command, page, self._key, self._ledger).resume(number)
        if wave is None:
            raise WaveTakenError(f"wave {number} is under way again")
        await UnrecordedWave(self._ledger, self._key, wave, self._tools.clock).recorded()
        return wave.reports

    def _facts(self, page: PageFacts, wave: Wave) -> WaveFacts:
        command, jobs = self._command, self._command.jobs
        here = slice(wave.places.start, wave.places.stop)
        return WaveFacts(
            command.workspace_id,
            command.trigger_id,
            None if page.account is None else page.account.account.id,
            command.category,
            command.epoch,
            pack_columns(seq=jobs.seq[here], address=jobs.address[here], external_id=jobs.external_id[here]),
        )


def _roll_back_unless(lease: Lease | None) -> Lease:
    if lease is None:
        raise _ClaimConflictError
    return lease


def _is_late(gate: FilterCode) -> bool:
    """Whether a gate is asked after the frequency cap."""
    return GATE_ORDER[gate] > GATE_ORDER[FilterCode.FREQUENCY_CAPPED]
