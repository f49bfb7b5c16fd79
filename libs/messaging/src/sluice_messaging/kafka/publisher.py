"""Publishing to Kafka: idempotent, acknowledged by all replicas in step, and never longer than the caller waits."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError, RecordTooLargeError

from sluice_messaging import errors
from sluice_messaging.kafka.accumulator import Accumulator
from sluice_messaging.kafka.producer import ProducerSupply
from sluice_messaging.records import OutboundRecord
from sluice_messaging.spans import sending
from sluice_runtime import metrics, tracing

_TOO_LARGE: Final = (MessageSizeTooLargeError, RecordListTooLargeError, RecordTooLargeError)
_PROBE_SECONDS: Final = 2.0


class KafkaPublisher:
    """The `EventPublisher` over aiokafka. Connects at the first publish, and again whenever it must."""

    def __init__(self, bootstrap: str, client_id: str) -> None:
        self._supply = ProducerSupply(bootstrap, client_id)
        self._accumulator = Accumulator(self._supply)

    async def publish(self, records: Sequence[OutboundRecord], *, timeout: float = 5.0) -> None:  # noqa: ASYNC109
        """Publish; see `ports.EventPublisher`."""
        if not records:
            return
        try:
            passed_on = tracing.passed_on()
            if passed_on is not None:
                await self._accumulator.append(records, passed_on, timeout)
            else:
                with sending(records) as trace:
                    await self._accumulator.append(records, trace, timeout)
        except _TOO_LARGE as error:
            raise errors.RecordTooLargeError(str(error)) from error
        except (KafkaError, OSError, TimeoutError) as error:
            metrics.PUBLISH_FAILURES.inc()
            self._supply.failed()
            raise errors.BrokerUnavailableError(f"nothing acknowledged in {timeout} s: {error!r}") from error
        self._supply.succeeded()

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
