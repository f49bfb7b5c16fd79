"""A wave between its hand-over and its record.

Whoever claims next for the same account may write it down on the way, in the statement of the claim: then there is one
commit between two waves, and never more than one wave in doubt.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import datetime

from sluice_channel.ledger import CommandKey, Lease, Ledger, WaveFacts, WaveOutcome
from sluice_channel.persistence import surely
from sluice_channel.wave import Wave
from sluice_contracts.vocabulary import JobState
from sluice_messaging.errors import TransientError
from sluice_runtime.clock import Clock
from sluice_runtime.failpoints import FAILPOINTS
from sluice_storage.errors import is_transient


class WaveTakenError(TransientError):
    """Another worker has, or had, a wave of this command: what it does with it will be in the ledger."""


class UnrecordedWave:
    """A wave of one command that was handed over, and of which it is not written down yet what came of it."""

    def __init__(self, ledger: Ledger, key: CommandKey, wave: Wave, clock: Clock) -> None:
        self._ledger = ledger
        self._key = key
        self._wave = wave
        self._clock = clock
        self._is_settled = False
        self._is_lost = False
        self._back = asyncio.Event()
        self._back.set()

    def hand_on(self) -> None:
        """Let somebody else write it down; `put_down` is called, or it is written down."""
        self._back.clear()

    def put_down(self) -> None:
        """Leave it to its own command again."""
        self._back.set()

    async def recorded(self) -> None:
        """Return once it is written down, by whoever it was handed on to or else by this call.

        Raises WaveTakenError where another worker had taken the wave over.
        """
        await self._back.wait()
        await self.record()
        if self._is_lost:
            raise WaveTakenError(f"wave {self._wave.number} was taken over by another worker")

    async def record(self) -> None:
        """Write down what came of the wave, once; while the database is away, wait: only memory knows it.

        Raises TransientError when it stays away.
        """
        if self._is_settled:
            return
        wave, now = self._wave, self._clock.now()
        recorded = await surely(lambda: self._ledger.record(self._key, wave.number, wave.reports, wave.doubtful, now))
        if recorded.proven is None:
            sent = [wave.reports.seq[index] for index in wave.reports.indexes(JobState.SENT)]
            if sent:
                await surely(lambda: self._ledger.prove(self._key, wave.number, sent))
        self._settle(recorded.proven)

    async def record_and_claim(
        self, ledger: Ledger, key: CommandKey, wave: Wave, facts: WaveFacts, now: datetime
    ) -> Lease | None:
        """Write down what came of this wave and claim `wave` of the command `key` for the owner of `ledger`, at once.

        Whatever becomes of the claim, this wave is written down. Returns what `Ledger.claim` does.
        """
        before = self._wave
        outcome = WaveOutcome(self._ledger, self._key, before.number, before.reports, before.doubtful)
        try:
            recorded = await ledger.record_and_claim(outcome, key, wave.number, wave.reports, facts, now)
        except Exception as error:
            if not is_transient(error):
                raise
        else:
            if recorded.proven is not None:
                self._settle(recorded.proven)
                return recorded.lease
        await self.record()
        return await ledger.claim(key, wave.number, wave.reports, facts, now)

    def _settle(self, proven: Collection[int] | None) -> None:
        self._is_settled = True
        if proven is None:
            self._is_lost = True
        else:
            self._wave.reports.prove(proven)
        self._back.set()
        FAILPOINTS.reach("channel.after_record")
