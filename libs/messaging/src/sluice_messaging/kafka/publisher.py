"""Publishing to Kafka: idempotent, acknowledged by all replicas in step, and never longer than the caller waits."""

from __future__ import annotations

import asyncio
import collections
from collections.abc import Sequence
from functools import cache
from time import perf_counter
from typing import Any, Final

from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError, RecordTooLargeError
from prometheus_client import Counter

from sluice_messaging import errors
from sluice_messaging.kafka.producer import Producer, ProducerSupply
from sluice_messaging.kafka.translation import headers_from
from sluice_messaging.records import OutboundRecord
from sluice_messaging.spans import sending
from sluice_runtime import metrics, tracing

_TOO_LARGE: Final = (MessageSizeTooLargeError, RecordListTooLargeError, RecordTooLargeError)
_PROBE_SECONDS: Final = 2.0


class KafkaPublisher:
    """The `EventPublisher` over aiokafka. Connects at the first publish, and again whenever it must."""

    def __init__(self, bootstrap: str, client_id: str) -> None:
        self._supply = ProducerSupply(bootstrap, client_id)

    async def publish(self, records: Sequence[OutboundRecord], *, timeout: float = 5.0) -> None:  # noqa: ASYNC109
        """Publish; see `ports.EventPublisher`."""
        if not records:
            return
        began = perf_counter()
        try:
            async with asyncio.timeout(timeout):
                await self._send(await self._supply.producer(), records)
        except _TOO_LARGE as error:
            raise errors.RecordTooLargeError(str(error)) from error
        except (KafkaError, OSError, TimeoutError) as error:
            metrics.PUBLISH_FAILURES.inc()
            self._supply.failed()
            raise errors.BrokerUnavailableError(f"nothing acknowledged in {timeout} s: {error!r}") from error
        finally:
            metrics.PUBLISH_SECONDS.observe(perf_counter() - began)
        self._supply.succeeded()
        if len(records) == 1:
            _published(records[0].topic).inc()
            return
        for topic, count in collections.Counter(record.topic for record in records).items():
            _published(topic).inc(count)

    async def healthy(self) -> bool:
        """Ask; see `ports.EventPublisher`."""
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                return await self._supply.healthy()
        except (KafkaError, OSError, TimeoutError, errors.BrokerUnavailableError):
            return False

    async def close(self) -> None:
        """Let go of the connection. Bounded, and never raises; what is being published then fails."""
        await self._supply.close()

    async def _send(self, producer: Producer, records: Sequence[OutboundRecord]) -> None:
        acknowledgements: list[asyncio.Future[Any]] = []
        try:
            with sending(records) as trace:
                for record in records:
                    own_trace = tracing.TRACEPARENT in record.headers
                    headers = headers_from(record.headers if own_trace else {**record.headers, **trace})
                    acknowledgements.append(await self._take(producer, record, headers))
                try:
                    for acknowledgement in acknowledgements:
                        await acknowledgement
                except KafkaError as error:
                    self._supply.not_acknowledged(producer, error)
                    raise
        finally:
            for acknowledgement in acknowledgements:
                if acknowledgement.done():
                    _look_at(acknowledgement)
                else:
                    acknowledgement.add_done_callback(_look_at)

    async def _take(
        self, producer: Producer, record: OutboundRecord, headers: list[tuple[str, bytes]]
    ) -> asyncio.Future[Any]:
        try:
            return await producer.send(record.topic, value=record.value, key=record.key, headers=headers)
        except KafkaError as error:
            self._supply.not_taken(producer, error)
            raise


@cache
def _published(topic: str) -> Counter:
    return metrics.PUBLISHED_RECORDS.labels(topic)


def _look_at(acknowledgement: asyncio.Future[Any]) -> None:
    """Take note of how a record fared whose publisher no longer waits for it."""
    if not acknowledgement.cancelled():
        acknowledgement.exception()
