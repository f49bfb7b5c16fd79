"""Which triggers are stopped: the latest word of the `control` topic, kept whole in every copy."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from sluice_contracts.messages.control import TriggerControl
from sluice_messaging.records import Record

Stop = Literal["cancelled", "paused"]


class Controls:
    """The latest word on each trigger. A trigger that nobody spoke of runs."""

    def __init__(self) -> None:
        self._latest: dict[UUID, tuple[datetime, Stop | None]] = {}

    def observe(self, record: Record) -> None:
        """Take in one record of the topic; a tombstone takes a word back, and an earlier word that comes late is none.

        Raises PoisonError when it cannot be read.
        """
        if not record.value:
            if record.key is not None:
                self._latest.pop(UUID(record.key.decode()), None)
            return
        control = record.decode(TriggerControl)
        known = self._latest.get(control.trigger_id)
        if known is None or control.at >= known[0]:
            self._latest[control.trigger_id] = (control.at, None if control.mode == "running" else control.mode)

    def stop_of(self, trigger_id: UUID) -> Stop | None:
        """Return how a trigger is stopped, None where it runs."""
        known = self._latest.get(trigger_id)
        return None if known is None else known[1]
