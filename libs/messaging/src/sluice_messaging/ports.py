"""What services see of the broker: a publisher, consumers of two shapes, and a reader of tables."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from sluice_messaging.records import OutboundRecord, Record

BatchHandler = Callable[[Sequence[Record]], Awaitable[None]]
RecordHandler = Callable[[Record], Awaitable[None]]
RecordObserver = Callable[[Record], Awaitable[None] | None]

IsTransient = Callable[[BaseException], bool]
"""Whether an exception that is not a TransientError passes by itself all the same (a database that is away, say)."""


def nothing_else(_: BaseException) -> bool:
    """The rule by which a TransientError is the only thing that passes by itself."""
    return False


class EventPublisher(Protocol):
    """Appends records to topics."""

    async def publish(self, records: Sequence[OutboundRecord], *, timeout: float = 5.0) -> None:  # noqa: ASYNC109
        """Return once every record is stored by all replicas that are in step, or raise within `timeout` seconds.

        The current trace travels in the headers unless a record brings its own `traceparent`. Raises
        BrokerUnavailableError when that did not happen in time (some or all of the records may be stored all the
        same), and RecordTooLargeError for a record that no broker would take.
        """
        ...

    async def healthy(self) -> bool:
        """Whether a publish is likely to succeed now. Answers within about two seconds."""
        ...


class EventConsumer(Protocol):
    """One member of a consumer group, with its handler."""

    @property
    def ready(self) -> bool:
        """Whether it is a member of its group at this moment, so that what is published gets handled."""
        ...

    async def run(self, stop: asyncio.Event) -> None:
        """Hand records to the handler until `stop` is set; then finish what is in hand, commit and leave the group.

        While the broker is away it waits. Every record is handled at least once; after a crash or a rebalance some are
        handled again. Raises DeadLetterLimitError when too many records cannot be handled. To cancel it is to crash:
        nothing is finished and nothing committed.
        """
        ...


class TableReader(Protocol):
    """Keeps a copy of a compacted topic, whole, in every process that wants one."""

    async def run(self, stop: asyncio.Event) -> None:
        """Show every record to the observer, from the first on, until `stop` is set."""
        ...

    async def caught_up(self) -> None:
        """Return once everything has been shown that the topic held when the reader began."""
        ...


class Messaging(Protocol):
    """A connection to one broker: a publisher, and the makers of consumers."""

    @property
    def publisher(self) -> EventPublisher:
        """The one publisher of this process."""
        ...

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
        """Make a consumer whose handler gets up to `max_records` records at once, partition by partition in order.

        A batch that is not full waits for more until `max_wait` seconds after the one before it; after a pause the
        first record is handled at once. When the handler returns, the batch is done; how its exceptions are taken is
        told in `policy`.
        """
        ...

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
        """Make a consumer that handles up to `concurrency` records at once, and those of one key one after another.

        At most `max_in_flight` records (four times `concurrency` unless told) are taken and unfinished; a partition
        whose oldest unfinished record is `max_distance` offsets behind its newest waits.
        """
        ...

    def table_reader(self, topic: str, on_record: RecordObserver) -> TableReader:
        """Make a reader that shows every record of `topic` to `on_record`, in order within a key."""
        ...
