"""The one aiokafka producer of a process: started when needed, and replaced when it cannot recover."""

from __future__ import annotations

import asyncio
from typing import Any, Final

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
from sluice_messaging.kafka.address import connection_options
from sluice_messaging.kafka.partitioner import partition_of
from sluice_messaging.tasks import finished

MAX_RECORD_BYTES: Final = 2 * 1024 * 1024
MAX_DEAD_LETTER_BYTES: Final = MAX_RECORD_BYTES + 64 * 1024
"""A dead letter is its record and the reason."""

BATCH_BYTES: Final = 128 * 1024
REQUEST_TIMEOUT_MS: Final = 10_000
CLOSE_SECONDS: Final = 1.5
GIVE_UP_SECONDS: Final = 30.0
SUSPICION_SECONDS: Final = 3.0

_BEYOND_REPAIR: Final = (
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    OutOfOrderSequenceNumber,
    ProducerClosed,
    ProducerFenced,
    UnknownProducerId,
)

_log = structlog.get_logger()


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
        self._failed_at = 0.0
        self._closed = False

    @property
    def current(self) -> Any:
        """The producer that is started, None while there is none."""
        return self._current

    async def producer(self) -> Any:
        """Return a started producer; callers at the same time share one start, which none of them can cut short.

        Raises KafkaError when it cannot be started.
        """
        if self._closed:
            raise BrokerUnavailableError("the publisher is closed")
        if self._current is not None:
            return self._current
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
        self._failed_at = asyncio.get_running_loop().time()
        if self._failing_since is None:
            self._failing_since = self._failed_at
        elif self._failed_at - self._failing_since > GIVE_UP_SECONDS:
            self._failing_since = self._failed_at
            self._replace("nothing acknowledged for too long")

    def not_taken(self, producer: Any, error: KafkaError) -> None:
        """Note that `producer` did not take a batch; it is replaced if `error` means that it never will again."""
        if (
            producer is not None
            and producer is self._current
            and (isinstance(error, _BEYOND_REPAIR) or _is_dead(producer))
        ):
            self._replace(repr(error))

    def not_acknowledged(self, producer: Any, error: KafkaError) -> None:
        """Replace `producer`, which gave up a batch: the sequence number of that batch is now missing for good."""
        if producer is self._current:
            self._replace(repr(error))

    async def healthy(self) -> bool:
        """Whether publishes succeed; where they have failed and are no longer tried, whether the broker answers.

        Raises KafkaError.
        """
        producer = await self.producer()
        if self._failing_since is None:
            return True
        if asyncio.get_running_loop().time() - self._failed_at < SUSPICION_SECONDS:
            return False
        return bool(await producer.client.force_metadata_update())

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
        starting, self._starting, self._current = self._starting, None, None
        if starting is not None:
            task = asyncio.create_task(_close(starting), name="producer: close")
            self._discarded.add(task)
            task.add_done_callback(self._discarded.discard)

    async def _start(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            **connection_options(self._bootstrap),
            client_id=self._client_id,
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            max_batch_size=BATCH_BYTES,
            max_request_size=MAX_DEAD_LETTER_BYTES,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
            partitioner=partition_of,
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
