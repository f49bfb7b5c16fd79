"""The one aiokafka producer of a process: started when needed, and replaced when it cannot recover."""

from __future__ import annotations

import asyncio
from typing import Any, Final, Protocol

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    KafkaError,
    OutOfOrderSequenceNumber,
    ProducerClosed,
    ProducerFenced,
    UnknownProducerId,
)

from sluice_messaging.errors import BrokerUnavailableError
from sluice_messaging.kafka.translation import bootstrap_list
from sluice_messaging.tasks import finished

MAX_RECORD_BYTES: Final = 2 * 1024 * 1024
BATCH_BYTES: Final = 128 * 1024
REQUEST_TIMEOUT_MS: Final = 10_000
CLOSE_SECONDS: Final = 1.5
GIVE_UP_SECONDS: Final = 30.0

_BEYOND_REPAIR: Final = (
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    OutOfOrderSequenceNumber,
    ProducerClosed,
    ProducerFenced,
    UnknownProducerId,
)

_log = structlog.get_logger()


class Producer(Protocol):
    """What is used of an AIOKafkaProducer."""

    async def send(
        self, topic: str, *, value: bytes, key: bytes | None, headers: list[tuple[str, bytes]]
    ) -> asyncio.Future[Any]:
        """Queue a record; the future is done when it is acknowledged."""
        ...


class ProducerSupply:
    """Gives out the producer, and tells a broker that is away from a producer that has to be replaced.

    An idempotent producer never gives up a record: while the broker is away it keeps what it was given, and delivers it
    when the broker is back, also what its publisher has long called failed. But after some hiccups its sequence numbers
    no longer fit the broker's, and then nothing but a new producer helps.
    """

    def __init__(self, bootstrap: str, client_id: str) -> None:
        self._bootstrap = bootstrap
        self._client_id = client_id
        self._starting: asyncio.Task[AIOKafkaProducer] | None = None
        self._current: AIOKafkaProducer | None = None
        self._discarded: set[asyncio.Task[None]] = set()
        self._failing_since: float | None = None
        self._closed = False

    async def producer(self) -> Any:
        """Return a started producer; callers at the same time share one start, which none of them can cut short.

        Raises KafkaError when it cannot be started.
        """
        if self._closed:
            raise BrokerUnavailableError("the publisher is closed")
        if self._starting is None:
            self._starting = asyncio.create_task(self._start(), name="producer: start")
        starting = self._starting
        try:
            self._current = await asyncio.shield(starting)
        except KafkaError:
            if self._starting is starting:
                self._starting = None
            raise
        return self._current

    def succeeded(self) -> None:
        """Note that a publish was acknowledged."""
        self._failing_since = None

    def failed(self) -> None:
        """Note that a publish was not acknowledged; after half a minute of nothing else the producer is replaced."""
        now = asyncio.get_running_loop().time()
        if self._failing_since is None:
            self._failing_since = now
        elif now - self._failing_since > GIVE_UP_SECONDS:
            self._failing_since = None
            self._replace("nothing acknowledged for too long")

    def judge(self, producer: Any, error: KafkaError) -> None:
        """Replace `producer` if `error` means that it will not recover."""
        if producer is self._current and (isinstance(error, _BEYOND_REPAIR) or _is_dead(producer)):
            self._replace(repr(error))

    async def healthy(self) -> bool:
        """Whether publishes succeed, or at least the broker answers. Raises KafkaError."""
        producer = await self.producer()
        return self._failing_since is None or bool(await producer.client.force_metadata_update())

    async def close(self) -> None:
        """Flush and close, within a few seconds."""
        self._closed = True
        self._discard()
        if self._discarded:
            await asyncio.wait(self._discarded)

    def _replace(self, reason: str) -> None:
        _log.error("producer.replaced", reason=reason)
        self._discard()

    def _discard(self) -> None:
        starting, self._starting = self._starting, None
        if starting is not None:
            task = asyncio.create_task(_close(starting), name="producer: close")
            self._discarded.add(task)
            task.add_done_callback(self._discarded.discard)

    async def _start(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap_list(self._bootstrap),
            client_id=self._client_id,
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            max_batch_size=BATCH_BYTES,
            max_request_size=MAX_RECORD_BYTES,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
        )
        try:
            await producer.start()
        except BaseException:
            await finished("producer.stop", producer.stop(), CLOSE_SECONDS)
            raise
        return producer


def _is_dead(producer: Any) -> bool:
    """Whether the task that sends has ended; nothing public tells."""
    return bool(producer._sender.sender_task.done())


async def _close(starting: asyncio.Task[AIOKafkaProducer]) -> None:
    """Close what `starting` started, or stop it from starting."""
    if not starting.done():
        starting.cancel()
        await asyncio.wait({starting}, timeout=CLOSE_SECONDS)
    if not starting.done() or starting.cancelled() or starting.exception():
        return
    producer = starting.result()
    if not await finished("producer.flush", producer.flush(), CLOSE_SECONDS):
        # Records that nobody will acknowledge would keep stop() waiting for ever.
        producer._message_accumulator.fail_all(KafkaError("the producer is closed"))
    await finished("producer.stop", producer.stop(), CLOSE_SECONDS)
