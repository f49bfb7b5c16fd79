"""Asks again where nothing was heard for long: messages that this projection has missed never come by themselves.

Whoever said them still knows: the orchestrator how a trigger stands, a channel worker what became of each job. So even
a topic that lost its log, before all of it was read here, leaves nothing open for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol
from uuid import UUID

import structlog

from sluice_contracts import topics
from sluice_contracts.messages.command import ReportsRequested
from sluice_contracts.messages.trigger import RepeatRequested
from sluice_contracts.vocabulary import Lane
from sluice_messaging.errors import BrokerUnavailableError
from sluice_messaging.ports import EventPublisher
from sluice_messaging.records import OutboundRecord, outbound
from sluice_runtime.clock import Clock
from sluice_runtime.pausing import pause
from sluice_storage.errors import is_transient
from status_api.domain.standstill import Known, Patience, Standstill

MOST: Final = 50
"""Executions that are asked about at once."""

_LONGEST_LOOK_SECONDS: Final = 15.0

_log = structlog.get_logger()


class Standstills(Protocol):
    """What knows which executions stand still."""

    async def find(self, before: datetime, without: Sequence[UUID], limit: int) -> list[Standstill]:
        """Return what nothing was heard of since `before`, but those of `without`."""
        ...

    async def pages(self, standstill: Standstill, now: datetime) -> list[Known] | None:
        """Return what is known of an execution's pages, None where nothing is missing."""
        ...


class Asker:
    """Asks about what nothing was heard of for `silence`, and then later and later."""

    def __init__(self, standstills: Standstills, publisher: EventPublisher, clock: Clock, silence: timedelta) -> None:
        self._standstills = standstills
        self._publisher = publisher
        self._clock = clock
        self._silence = silence
        self._patience = Patience(silence)

    async def run(self, stop: asyncio.Event) -> None:
        """Look now and then until `stop` is set. Fits `Service.loops`."""
        seconds = min(self._silence.total_seconds() / 4, _LONGEST_LOOK_SECONDS)
        while not stop.is_set():
            try:
                await self.look()
            except BrokerUnavailableError:
                _log.warning("standstill.postponed", error="BrokerUnavailableError")
            except Exception as error:
                if not is_transient(error):
                    raise
                _log.warning("standstill.postponed", error=type(error).__name__)
            await pause(seconds, stop)

    async def look(self) -> int:
        """Ask about what stands still now; return how many executions that were."""
        now = self._clock.now()
        found = await self._standstills.find(now - self._silence, self._patience.resting(now), MOST)
        requests: list[OutboundRecord] = []
        for each in found:
            pages = await self._standstills.pages(each, now)
            if pages is not None:
                requests += self._requests(each, pages, now)
        if requests:
            await self._publisher.publish(requests)
            _log.warning("standstill.asked", executions=len(found), requests=len(requests))
        for each in found:
            self._patience.note(each.key, now)
        return len(found)

    def _requests(self, each: Standstill, pages: Sequence[Known], now: datetime) -> list[OutboundRecord]:
        repeat = RepeatRequested(
            trigger_id=each.trigger_id,
            workspace_id=each.workspace_id,
            requested_at=now,
            opened_before=now - self._silence,
        )
        requests = [outbound(topics.triggers(Lane.PRIORITY), repeat)]
        if each.execution_id is not None and each.channel is not None:
            topic = topics.commands(each.channel, each.lane or Lane.BULK)
            requests += [
                outbound(
                    topic,
                    ReportsRequested(
                        workspace_id=each.workspace_id,
                        trigger_id=each.trigger_id,
                        execution_id=each.execution_id,
                        channel=each.channel,
                        requested_at=now,
                        first_page=part.first_page,
                        ended=list(part.ended),
                        and_later=part.is_last,
                    ),
                )
                for part in pages
            ]
        return requests
