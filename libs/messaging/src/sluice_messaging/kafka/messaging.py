"""One process's connection to a Kafka cluster."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from sluice_messaging.assembly import Assembly
from sluice_messaging.dead_letters import DeadLetterLimit
from sluice_messaging.kafka.publisher import KafkaPublisher
from sluice_messaging.kafka.source import SESSION_SECONDS, KafkaSource
from sluice_messaging.kafka.table import KafkaTableSource
from sluice_messaging.retry import Backoff
from sluice_messaging.sources import RecordSource, TableSource
from sluice_runtime.clock import Clock, SystemClock


class KafkaMessaging(Assembly):
    """The `Messaging` port over aiokafka.

    `bootstrap` is an address as `address` reads it, `client_id` what the brokers call this process. Entering it
    connects nothing, so a service starts while the broker is away; leaving it flushes and closes the publisher.
    Consumers close themselves when their `run` ends, so they end first. A copy that was killed is missed after
    `session` seconds.
    """

    def __init__(
        self,
        bootstrap: str,
        client_id: str,
        clock: Clock | None = None,
        *,
        session: float = SESSION_SECONDS,
        backoff: Backoff | None = None,
        limit: DeadLetterLimit | None = None,
    ) -> None:
        super().__init__(clock or SystemClock(), backoff=backoff, limit=limit)
        self._session = session
        self._bootstrap = bootstrap
        self._client_id = client_id
        self._publisher = KafkaPublisher(bootstrap, client_id)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._publisher.close()

    @property
    def publisher(self) -> KafkaPublisher:
        """The one publisher of this process."""
        return self._publisher

    def _record_source(self, topics: Sequence[str], group: str) -> RecordSource:
        return KafkaSource(self._bootstrap, self._client_id, topics, group, self._session)

    def _table_source(self, topic: str) -> TableSource:
        return KafkaTableSource(self._bootstrap, self._client_id, topic)
