"""Which triggers are stopped: the latest word of the `control` topic, kept whole in every copy."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from sluice_contracts.messages.control import TriggerControl
from sluice_messaging.records import Record

Stop = Literal["cancelled", "paused"]


class Controls:
    """Triggers that are not simply running. A trigger that nobody spoke of runs."""

    def __init__(self) -> None:
        self._stopped: dict[UUID, Stop] = {}

    def observe(self, record: Record) -> None:
        """Take in one record of the topic; a tombstone takes a word back.

        Raises PoisonError when it cannot be read.
        """
        if not record.value:
            if record.key is not None:
                self._stopped.pop(UUID(record.key.decode()), None)
            return
        control = record.decode(TriggerControl)
        if control.mode == "running":
            self._stopped.pop(control.trigger_id, None)
        else:
            self._stopped[control.trigger_id] = control.mode

    def stop_of(self, trigger_id: UUID) -> Stop | None:
        """Return how a trigger is stopped, None where it runs."""
        return self._stopped.get(trigger_id)
