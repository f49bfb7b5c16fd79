"""Ways to build it wrong. Each must be found out: a simulation that finds nothing in these finds nothing anywhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from typing import Any
from unittest.mock import patch

from simulated.broker import SimulatedSource
from simulated.storage import INFINITY, Row, Transaction
from sluice_channel import emission
from sluice_channel.command_run import CommandRun
from sluice_channel.commands import CommandHandler
from sluice_channel.ledger import CommandKey, Lease, Ledger, Recorded, WaveFacts, WaveOutcome
from sluice_channel.reports import Reports
from sluice_contracts.messages.command import JobsCommanded
from sluice_contracts.messages.trigger import RetryRequested
from sluice_contracts.vocabulary import JobState
from sluice_messaging.records import Partition, Record
from sluice_messaging.watermark import Watermark
from status_api.domain.batch import Batch
from status_api.handlers.standstill import Asker


class Variant(StrEnum):
    """What is built wrong."""

    EMIT_BEFORE_RECORD = "emit-before-record"
    COMMIT_BEFORE_EMIT = "commit-before-emit"
    NO_CLAIM = "no-claim"
    WAIT_ENDS_TWICE = "wait-ends-twice"
    NO_WATERMARK = "no-watermark"
    NOBODY_ASKS = "nobody-asks"
    RETRIES_UNHEARD = "retries-unheard"


@contextmanager
def built(variant: Variant | None) -> Iterator[None]:
    """Build everything that is started meanwhile as `variant` says; None: as it is."""
    match variant:
        case None:
            yield
        case Variant.EMIT_BEFORE_RECORD:
            with (
                patch("sluice_channel.command_run.Ledger", _ForgetfulLedger),
                patch("simulated.copies.CommandHandler", _HastyHandler),
            ):
                yield
        case Variant.COMMIT_BEFORE_EMIT:
            with patch.object(SimulatedSource, "fetch", _fetch_and_commit):
                yield
        case Variant.NO_CLAIM:
            with patch("sluice_channel.command_run.Ledger", _BoldLedger):
                yield
        case Variant.WAIT_ENDS_TWICE:
            with (
                patch("simulated.twins.waits._open", _all_waits),
                patch("simulated.twins.waits._is_open", lambda row: row is not None),
            ):
                yield
        case Variant.NO_WATERMARK:
            with patch.object(Watermark, "finish", _finish_and_pass):
                yield
        case Variant.NOBODY_ASKS:
            with patch.object(Asker, "look", _look_away):
                yield
        case Variant.RETRIES_UNHEARD:
            with patch.object(Batch, "of_retries", _unheard):
                yield


def _all_waits(tx: Transaction) -> list[Row]:
    """Take waits that are over for open ones."""
    return [row | {"due_at": row["due_at"] or INFINITY} for _, row in tx.rows("waits")]


_finish = Watermark.finish


def _finish_and_pass(self: Watermark, offset: int) -> None:
    """Commit what is finished, whatever is not finished before it."""
    _finish(self, offset)
    self.committable = max(self.committable or 0, offset + 1)


async def _look_away(self: Asker) -> int:
    return 0


def _unheard(requests: Iterable[RetryRequested]) -> Batch:
    """What is tried again counts as over until somebody reports about it."""
    return Batch([])


class _ForgetfulLedger(Ledger):
    """Writes nothing down before it is told to."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.put_off: list[Callable[[], Awaitable[Any]]] = []

    async def record(
        self, key: CommandKey, number: int, reports: Reports, doubtful: Sequence[int], now: datetime
    ) -> Recorded:
        self.put_off.append(lambda: super(_ForgetfulLedger, self).record(key, number, reports, doubtful, now))
        return Recorded(frozenset())

    async def record_and_claim(
        self, before: WaveOutcome, key: CommandKey, number: int, reports: Reports, facts: WaveFacts, now: datetime
    ) -> Recorded:
        await before.ledger.record(before.key, before.number, before.reports, before.doubtful, now)
        return Recorded(frozenset(), await self.claim(key, number, reports, facts, now))


class _HastyHandler(CommandHandler):
    """Tells everybody, and then writes it down."""

    async def handle(self, record: Record) -> None:
        command = record.decode(JobsCommanded)
        run = CommandRun(self._tools, command)
        reports = await run.carry_out()
        await self._publisher.publish([emission.answer_to(command, reports, self._tools.clock.now())])
        ledger = run._ledger
        if isinstance(ledger, _ForgetfulLedger):
            for write in ledger.put_off:
                await write()


_fetch = SimulatedSource.fetch


async def _fetch_and_commit(
    self: SimulatedSource, *, limit: int, wait: float, without: Collection[Partition] = ()
) -> Sequence[Record]:
    """Commit what was fetched at once, as a consumer does that commits by itself."""
    records = await _fetch(self, limit=limit, wait=wait, without=without)
    offsets = {record.source: record.offset + 1 for record in records}
    if offsets:
        await self.commit(offsets)
    return records


class _BoldLedger(Ledger):
    """Claims nothing: a wave is written down once, when it is over."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._facts: dict[int, WaveFacts] = {}

    async def claim(
        self, key: CommandKey, number: int, reports: Reports, facts: WaveFacts, now: datetime,
        connection: Any = None,
    ) -> Lease | None:  # fmt: skip
        if JobState.SENDING not in reports.state:
            return await super().claim(key, number, reports, facts, now, connection)
        self._facts[number] = facts
        return Lease(number, self._steady() + self._lease_seconds, self._steady)

    async def record(
        self, key: CommandKey, number: int, reports: Reports, doubtful: Sequence[int], now: datetime
    ) -> Recorded:
        if number in self._facts:
            settled = Reports.joined([reports])
            await super().claim(key, number, settled, self._facts[number], now)
        return Recorded(frozenset())

    async def record_and_claim(
        self, before: WaveOutcome, key: CommandKey, number: int, reports: Reports, facts: WaveFacts, now: datetime
    ) -> Recorded:
        await before.ledger.record(before.key, before.number, before.reports, before.doubtful, now)
        return Recorded(frozenset(), await self.claim(key, number, reports, facts, now))
