"""Puts consumers together; what differs between brokers is only where records come from and go to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from sluice_messaging.batch import BatchDispatcher
from sluice_messaging.consumer import GroupConsumer
from sluice_messaging.dead_letters import DeadLetterLimit
from sluice_messaging.keyed import KeyedDispatcher
from sluice_messaging.policy import ErrorPolicy
from sluice_messaging.ports import (
    BatchHandler,
    EventConsumer,
    EventPublisher,
    IsTransient,
    RecordHandler,
    RecordObserver,
    TableReader,
    nothing_else,
)
from sluice_messaging.retry import Backoff
from sluice_messaging.sources import RecordSource, TableSource
from sluice_messaging.table import BroadcastReader
from sluice_runtime.clock import Clock


class Assembly(ABC):
    """Everything of the `Messaging` port that does not depend on the broker."""

    def __init__(self, clock: Clock, *, backoff: Backoff | None = None, limit: DeadLetterLimit | None = None) -> None:
        self._clock = clock
        self._backoff = backoff or Backoff()
        self._limit = limit

    @property
    @abstractmethod
    def publisher(self) -> EventPublisher:
        """The one publisher of this process."""

    @abstractmethod
    def _record_source(self, topics: Sequence[str], group: str) -> RecordSource:
        """Make a membership that is not opened yet."""

    @abstractmethod
    def _table_source(self, topic: str) -> TableSource:
        """Make a reader of a whole topic that is not opened yet."""

    def batch_consumer(
        self,
        topics: Sequence[str],
        group: str,
        handler: BatchHandler,
        *,
        max_records: int = 500,
        max_wait: float = 0.05,
        is_transient: IsTransient = nothing_else,
    ) -> EventConsumer:
        """Make a consumer of batches; see `ports.Messaging`."""
        policy = self._policy(group, is_transient)
        dispatcher = BatchDispatcher(group, handler, policy, max_records=max_records, linger=max_wait)
        return GroupConsumer(group, lambda: self._record_source(topics, group), dispatcher, self._backoff)

    def keyed_consumer(
        self,
        topics: Sequence[str],
        group: str,
        handler: RecordHandler,
        *,
        concurrency: int = 64,
        max_in_flight: int | None = None,
        max_distance: int = 1_000,
        is_transient: IsTransient = nothing_else,
    ) -> EventConsumer:
        """Make a consumer that is concurrent over keys; see `ports.Messaging`."""
        dispatcher = KeyedDispatcher(
            group,
            handler,
            self._policy(group, is_transient),
            concurrency=concurrency,
            max_in_flight=max_in_flight or 4 * concurrency,
            max_distance=max_distance,
        )
        return GroupConsumer(group, lambda: self._record_source(topics, group), dispatcher, self._backoff)

    def table_reader(self, topic: str, on_record: RecordObserver) -> TableReader:
        """Make a reader of a compacted topic; see `ports.Messaging`."""
        return BroadcastReader(topic, lambda: self._table_source(topic), on_record, self._backoff)

    def _policy(self, group: str, is_transient: IsTransient) -> ErrorPolicy:
        return ErrorPolicy(group, self.publisher, self._clock, is_transient, backoff=self._backoff, limit=self._limit)
