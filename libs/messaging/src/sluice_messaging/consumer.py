"""A consumer over its whole life: one membership after another, whatever becomes of the broker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import structlog

from sluice_messaging.errors import BrokerUnavailableError, OffsetOrderError
from sluice_messaging.membership import Dispatcher, Membership
from sluice_messaging.retry import Backoff
from sluice_messaging.sources import RecordSource
from sluice_runtime.pausing import pause

_log = structlog.get_logger()

SourceFactory = Callable[[], RecordSource]


class RunningDispatcher(Dispatcher, Protocol):
    """A dispatcher with something to start and stop around it."""

    def running(self) -> AbstractAsyncContextManager[None]:
        """Keep the dispatcher able to work while the context is open."""
        ...


class GroupConsumer:
    """The `EventConsumer` of both shapes and of every broker."""

    def __init__(
        self, group: str, source: SourceFactory, dispatcher: RunningDispatcher, backoff: Backoff | None = None
    ) -> None:
        self._group = group
        self._source = source
        self._dispatcher = dispatcher
        self._backoff = backoff or Backoff()
        self._membership: Membership | None = None

    @property
    def ready(self) -> bool:
        """Whether this consumer is a member of its group at this moment."""
        return self._membership is not None and self._membership.joined

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until `stop` is set; see `ports.EventConsumer`."""
        failures = 0
        async with self._dispatcher.running():
            while not stop.is_set():
                membership = self._membership = Membership(self._group, self._source(), self._dispatcher)
                try:
                    await membership.serve(stop)
                except (BrokerUnavailableError, OffsetOrderError) as error:
                    failures = 1 if membership.useful else failures + 1
                    _log.warning("consumer.disconnected", group=self._group, failures=failures, error=repr(error))
                    await pause(self._backoff.delay(failures), stop)
                finally:
                    self._membership = None
