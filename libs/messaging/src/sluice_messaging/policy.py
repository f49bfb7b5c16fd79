"""What happens when a handler fails. Written once, for every consumer.

- TransientError, and whatever the service calls transient: the same records again after a pause, for ever.
- PoisonError: the record goes to the dead letters at once.
- Anything else is a bug or a surprise: a few attempts, then the dead letters.

A batch that fails for another reason than a transient one is taken apart, so that one bad record costs only itself. A
dead letter is stored before its record counts as finished. Where too many records are dead the consumer stops instead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from enum import Enum, auto
from functools import partial
from typing import Final

import structlog
from prometheus_client import Counter

from sluice_messaging.dead_letters import DeadLetterLimit, dead_letter, without_value
from sluice_messaging.errors import DeadLetterLimitError, PoisonError, RecordTooLargeError, TransientError
from sluice_messaging.ports import BatchHandler, EventPublisher, IsTransient
from sluice_messaging.records import Record
from sluice_messaging.retry import Backoff
from sluice_messaging.tenure import Tenure
from sluice_runtime import metrics
from sluice_runtime.clock import Clock
from sluice_runtime.pausing import pause
from sluice_runtime.tracebacks import describe

ATTEMPTS: Final = 3

_log = structlog.get_logger()


class Verdict(Enum):
    """What an exception means for the records that caused it."""

    TRANSIENT = auto()
    POISON = auto()
    BUG = auto()


class Interrupted(Exception):  # noqa: N818 - not an error: the records are simply no longer in this consumer's hands
    """The tenure ended while records were waiting for their next attempt."""


def judge(error: BaseException, is_transient: IsTransient) -> Verdict:
    """Classify `error`. Of a group the mildest counts, because a further attempt will show what remains."""
    if isinstance(error, TransientError) or is_transient(error):
        return Verdict.TRANSIENT
    if isinstance(error, BaseExceptionGroup):
        verdicts = {judge(inner, is_transient) for inner in error.exceptions}
        return next(verdict for verdict in (Verdict.TRANSIENT, Verdict.BUG, Verdict.POISON) if verdict in verdicts)
    return Verdict.POISON if isinstance(error, PoisonError) else Verdict.BUG


class _HandledByTopic(dict[str, Counter]):
    """The counters of records handled, kept at hand: finding one by its labels costs more than counting."""

    def __init__(self, group: str) -> None:
        self._group = group

    def __missing__(self, topic: str) -> Counter:
        counter = self[topic] = metrics.HANDLED_RECORDS.labels(self._group, topic)
        return counter


class ErrorPolicy:
    """Carries records through a handler until nothing more is to be done about them."""

    def __init__(
        self,
        group: str,
        publisher: EventPublisher,
        clock: Clock,
        is_transient: IsTransient,
        *,
        backoff: Backoff | None = None,
        limit: DeadLetterLimit | None = None,
    ) -> None:
        self._group = group
        self._handled = _HandledByTopic(group)
        self._publisher = publisher
        self._clock = clock
        self._is_transient = is_transient
        self._backoff = backoff or Backoff()
        self._limit = limit or DeadLetterLimit()

    async def settle(self, record: Record, handle: Callable[[], Awaitable[None]], tenure: Tenure) -> None:
        """Call `handle` for `record` until it succeeds or the record is stored as a dead letter; then finish it.

        Raises Interrupted when `tenure` is over before that, and DeadLetterLimitError when one more dead letter would
        be too many.
        """
        failures = attempts = 0
        while error := await _outcome(handle()):
            verdict = judge(error, self._is_transient)
            attempts += verdict is not Verdict.TRANSIENT
            if verdict is Verdict.POISON or attempts >= ATTEMPTS:
                await self._bury(record, error, attempts, tenure.over)
                break
            failures += 1
            self._report(error, verdict, [record], failures)
            await self._pause(failures, tenure.over)
        else:
            self._limit.handled()
        self._finish([record], tenure)

    async def settle_batch(self, records: Sequence[Record], handler: BatchHandler, tenure: Tenure) -> None:
        """Hand `records` to `handler` until every one of them has succeeded or is stored as a dead letter.

        Each is finished in `tenure` when it is settled. Raises as `settle` does.
        """
        failures = 0
        while error := await _outcome(handler(records)):
            verdict = judge(error, self._is_transient)
            failures += 1
            self._report(error, verdict, records, failures)
            if verdict is not Verdict.TRANSIENT:
                return await self._settle_singly(records, handler, tenure)
            await self._pause(failures, tenure.over)
        self._limit.handled(len(records))
        self._finish(records, tenure)
        return None

    async def _settle_singly(self, records: Sequence[Record], handler: BatchHandler, tenure: Tenure) -> None:
        for record in records:
            if tenure.over.is_set():
                raise Interrupted
            await self.settle(record, partial(handler, [record]), tenure)

    async def _bury(self, record: Record, error: BaseException, attempts: int, over: asyncio.Event) -> None:
        if excess := self._limit.dead():
            raise DeadLetterLimitError(f"{self._group}: {excess}; the last one: {error!r}") from error
        letter = dead_letter(record, error, attempts=attempts, group=self._group, now=self._clock.now())
        failures = 0
        while True:
            try:
                await self._publisher.publish([letter])
                break
            except RecordTooLargeError:
                letter = without_value(letter)
            except TransientError as refusal:
                failures += 1
                self._report(refusal, Verdict.TRANSIENT, [record], failures)
                await self._pause(failures, over)
        metrics.DEAD_LETTERS.labels(record.topic).inc()
        _log.error("record.dead", **_where(self._group, record), attempts=attempts, exc_info=error)

    def _finish(self, records: Sequence[Record], tenure: Tenure) -> None:
        for record in records:
            tenure.finish(record)
            self._handled[record.topic].inc()

    async def _pause(self, failures: int, over: asyncio.Event) -> None:
        """Wait for the next attempt. Raises Interrupted as soon as `over` is set."""
        if await pause(self._backoff.delay(failures), over):
            raise Interrupted

    def _report(self, error: BaseException, verdict: Verdict, records: Sequence[Record], failures: int) -> None:
        transient = verdict is Verdict.TRANSIENT
        if transient:
            metrics.RETRIED_HANDLING.labels(self._group).inc()
        _log.warning(
            "records.retried" if transient else "records.failed",
            **_where(self._group, records[0]),
            records=len(records),
            failures=failures,
            error=f"{type(error).__name__}: {describe(error)}",
            exc_info=None if transient else error,
        )


async def _outcome(handling: Awaitable[None]) -> BaseException | None:
    """Return what `handling` raised, None if it succeeded.

    A CancelledError that nobody asked of this task comes from a task inside the handler and is its failure.
    """
    try:
        await handling
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        return error
    except Exception as error:  # noqa: BLE001 - deciding about any exception is what this module is for
        return error
    return None


def _where(group: str, record: Record) -> dict[str, object]:
    return {"group": group, "topic": record.topic, "partition": record.partition, "offset": record.offset}
