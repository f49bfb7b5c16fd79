"""A wave whose owner vanished between claiming and recording: find out what can be found out, and decide the rest.

What a receipt has proven is sent. What the provider can look up is what the provider says. Of the rest nobody knows: an
essential message is sent again, everything else is given up as uncertain rather than sent twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import structlog

from sluice_channel.domain import outcomes
from sluice_channel.hand_over import HandOver
from sluice_channel.ledger import WAVE_SIZE, CommandKey, Lease, Ledger
from sluice_channel.planning import PageFacts
from sluice_channel.provider import Outcome
from sluice_channel.reports import to_milliseconds
from sluice_channel.tools import Tools
from sluice_channel.wave import Wave
from sluice_contracts.messages.command import JobsCommanded
from sluice_contracts.references import JobReference
from sluice_contracts.sentences import FAILURE_SENTENCES
from sluice_contracts.vocabulary import FailureCode, JobState
from sluice_runtime import metrics
from sluice_runtime.failpoints import FAILPOINTS

_log = structlog.get_logger()


class TakeOver:
    """Takes over waves of one command."""

    def __init__(self, tools: Tools, command: JobsCommanded, page: PageFacts, key: CommandKey, ledger: Ledger) -> None:
        self._tools = tools
        self._command = command
        self._page = page
        self._key = key
        self._ledger = ledger

    async def resume(self, number: int) -> Wave | None:
        """Settle a wave whose lease has run out, short of recording it.

        None where it has an owner again, or is recorded by now.
        """
        taken = await self._ledger.take_over(self._key, number)
        if taken is None:
            return None
        lease, reports = taken
        in_doubt = [reports.seq[index] for index in reports.indexes(JobState.SENDING)]
        _log.warning(
            "wave.taken_over",
            execution_id=str(self._key.execution_id), page=self._key.page, round=self._key.round, wave=number,
            in_doubt=len(in_doubt),
        )  # fmt: skip
        metrics.UNCERTAIN_JOBS.labels(self._command.channel).inc(len(in_doubt))
        answers = await self._look_up(in_doubt)
        first = number * WAVE_SIZE
        wave = Wave(range(first, first + len(reports)), reports, [None] * len(reports), self._tools.clock.now())
        self._decide(wave, answers)
        proven = await self._ledger.revise(self._key, lease, reports)
        if proven is None:
            return None
        reports.prove(proven)
        FAILPOINTS.reach("channel.after_claim")
        await self._send_again(wave, lease)
        unsent = {seq for seq, state in zip(reports.seq, reports.state, strict=True) if state is not JobState.SENT}
        wave.doubtful = [seq for seq in in_doubt if seq in unsent]
        return wave

    async def _look_up(self, in_doubt: Sequence[int]) -> Mapping[int, Outcome | None] | None:
        """Return what the provider says of each position, None for one that it never got; None if it cannot say."""
        active = self._page.account
        if active is None or not in_doubt:
            return None
        references = {self._reference(seq): seq for seq in in_doubt}
        try:
            answers = await active.provider.look_up(list(references))
        except Exception:  # noqa: BLE001 - a provider that cannot be asked now cannot say
            _log.exception("provider.look_up_failed", provider=active.account.provider)
            return None
        return None if answers is None else {seq: answers.get(name) for name, seq in references.items()}

    def _decide(self, wave: Wave, answers: Mapping[int, Outcome | None] | None) -> None:
        """Settle what can be settled; what stays `sending` goes out again."""
        reports = wave.reports
        for index in wave.sendable():
            if answers is not None:
                outcome = answers[reports.seq[index]]
                if outcome is None:
                    self._plan_again(wave, index)
                else:
                    self._settle(wave, index, outcome)
                continue
            # The hand-over that was cut off counts as one: it may well have happened.
            reports.attempt[index] += 1
            if outcomes.may_resend(self._command.category, reports.attempt[index]):
                self._plan_again(wave, index)
                if reports.state[index] in (JobState.SENDING, JobState.HELD):
                    continue
            wave.fail(index, FailureCode.UNCERTAIN, FAILURE_SENTENCES[FailureCode.UNCERTAIN])

    def _settle(self, wave: Wave, index: int, outcome: Outcome) -> None:
        now = self._tools.clock.now()
        active = self._page.account
        settlement = outcomes.settle(
            outcome,
            attempts=wave.reports.attempt[index],
            category=self._command.category,
            now=now,
            draw=self._tools.draw,
            account_due=now if active is None else active.circuit.due(now),
            waits=self._command.round,
        )
        wave.reports.settle(index, settlement, to_milliseconds(now))

    def _plan_again(self, wave: Wave, index: int) -> None:
        """Ask the gates anew and render anew: the message itself was never stored."""
        stop = self._tools.controls.stop_of(self._command.trigger_id)
        place, attempts = wave.places[index], wave.reports.attempt[index]
        wave.take(
            index, self._tools.planner.plan(self._page, range(place, place + 1), stop, self._tools.clock.now()), 0
        )
        wave.reports.attempt[index] = attempts
        message = wave.messages[index]
        if message is not None:
            wave.messages[index] = message._replace(attempt=attempts + 1)

    async def _send_again(self, wave: Wave, lease: Lease) -> None:
        hand_over = HandOver(self._tools, self._command, self._page, self._key, self._ledger)
        reservation = await hand_over.pace(wave)
        await hand_over.deliver(wave, lease, reservation)
        FAILPOINTS.reach("channel.after_send")

    def _reference(self, seq: int) -> str:
        return self._tools.planner.reference(JobReference(self._command.execution_id, seq, self._command.round))
