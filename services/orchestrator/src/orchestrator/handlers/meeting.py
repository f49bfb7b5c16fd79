"""What events do to waits: they end those that are open for them, and are kept for those that begin later."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from orchestrator.adapters import waits
from orchestrator.adapters.commands import modes_held_still
from orchestrator.adapters.records import Records
from orchestrator.adapters.waits import KeyedEvent
from orchestrator.domain.running import RunningTrigger
from orchestrator.domain.waits import keys_of
from orchestrator.handlers.doorkeeping import Doorkeeper
from orchestrator.ports import Directory
from sluice_contracts.base import Message
from sluice_contracts.messages.event import EventOccurred
from sluice_runtime.clock import Clock
from sluice_storage.database import Connection


@dataclass(frozen=True, slots=True)
class Met:
    """How many waits each event ended, where it ended any, and what is to be told of that."""

    counts: Mapping[UUID, int] = field(default_factory=dict)
    told: Sequence[Message] = ()


class Meeting:
    """The same event again finds the waits that it ended as ended, and itself as kept."""

    def __init__(self, records: Records, directory: Directory, doorkeeper: Doorkeeper, clock: Clock) -> None:
        self._records = records
        self._directory = directory
        self._doorkeeper = doorkeeper
        self._clock = clock

    async def awaited(self, events: Collection[EventOccurred]) -> list[KeyedEvent]:
        """Return those events that a step of some workflow waits for, under each key by which it may."""
        correlations = await self._directory.waited_for({(event.workspace_id, event.name) for event in events})
        return [
            (event, key)
            for event in events
            for key in sorted(keys_of(event, correlations.get((event.workspace_id, event.name), ())))
        ]

    async def meet(self, connection: Connection, events: Sequence[KeyedEvent]) -> Met:
        """End the waits that awaited events are for, and keep the events, inside the caller's transaction."""
        if not events:
            return Met()
        await waits.hold_names(connection, {(event.workspace_id, event.name) for event, _ in events})
        await waits.keep_events(connection, events)
        ids = await waits.waiting_for(connection, events)
        if not ids:
            return Met()
        found = await self._records.triggers(connection, ids)
        triggers = {key: trigger for key, trigger in found.items() if isinstance(trigger, RunningTrigger)}
        modes = await modes_held_still(connection, ids)
        ended = await waits.end_waits(connection, events, ids, self._clock.now())
        told = await self._doorkeeper.let_go(connection, triggers, modes, ended)
        return Met(Counter(wait.event_id for wait in ended if wait.event_id is not None), told)
