"""From topics to rows: each handler decodes a batch, folds it, and has the projection join the result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeVar

from pydantic import ValidationError

from sluice_contracts.messages.delivery import JobsReported
from sluice_contracts.messages.execution import decode_execution
from sluice_contracts.messages.trigger import RetryRequested, TriggerAccepted, decode_trigger
from sluice_messaging.errors import PoisonError
from sluice_messaging.records import Record
from sluice_runtime import metrics
from sluice_runtime.portions import portions
from status_api.domain.batch import Batch
from status_api.domain.facts import ExecutionFacts, TriggerFacts, fold_accepted, fold_executions
from status_api.domain.waits import WaitFacts, fold_waits

MOST_REPORTS: Final = 4_000
"""Reports in one transaction: as many as twenty full pages."""

_NUL: Final = b"\\u0000"
_REPLACEMENT: Final = b"\\ufffd"

M = TypeVar("M")


class Folding(Protocol):
    """What joins facts into the tables; returns once they are durable."""

    async def fold_reports(self, batch: Batch) -> None:
        """Join what is said about jobs."""
        ...

    async def fold_facts(
        self, triggers: Sequence[TriggerFacts], executions: Sequence[ExecutionFacts], waits: WaitFacts | None = None
    ) -> None:
        """Join what is said about triggers, executions and waits."""
        ...


class Projector:
    """Handlers for the three kinds of topics. `announce` is called after each batch."""

    def __init__(self, projection: Folding, announce: Callable[[], None]) -> None:
        self._projection = projection
        self._announce = announce

    async def on_triggers(self, records: Sequence[Record]) -> None:
        """Fold accepted triggers and what is tried again of them; other requests are the orchestrator's."""
        messages = [_decoded(record, decode_trigger) for record in records]
        accepted = [message for message in messages if isinstance(message, TriggerAccepted)]
        await self._projection.fold_facts(fold_accepted(accepted), [])
        retries = (message for message in messages if isinstance(message, RetryRequested))
        for requests in portions(retries, lambda request: len(request.seqs), MOST_REPORTS):
            await self._projection.fold_reports(Batch.of_retries(requests))
        self._announce()

    async def on_executions(self, records: Sequence[Record]) -> None:
        """Fold plans, starts, totals, cancellations and waits."""
        messages = [_decoded(record, decode_execution) for record in records]
        triggers, executions = fold_executions(messages)
        await self._projection.fold_facts(triggers, executions, fold_waits(messages))
        self._announce()

    async def on_deliveries(self, records: Sequence[Record]) -> None:
        """Fold reports about jobs. A batch with very many goes in several transactions, each repeatable by itself.

        No more is decoded than one of these takes: a report takes three times as much memory as it takes on the topic.
        """
        reports = (_decoded(record, JobsReported.decode) for record in records)
        for messages in portions(reports, lambda report: len(report.jobs), MOST_REPORTS):
            await self._projection.fold_reports(Batch.of_reports(messages))
            metrics.PROJECTED_REPORTS.inc(sum(len(message.jobs) for message in messages))
            self._announce()


def _decoded(record: Record, decode: Callable[[bytes], M]) -> M:
    """Decode a record without what PostgreSQL cannot store: a provider's odd sentence must not cost an outcome."""
    value = record.value
    if _NUL in value:
        value = value.replace(_NUL, _REPLACEMENT)
    try:
        return decode(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "value"
        raise PoisonError(f"{place}: {first['msg']}") from error
