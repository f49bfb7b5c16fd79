"""Topic `control` (compacted): the latest word on a trigger that is not simply running. Key: trigger_id."""

from __future__ import annotations

from typing import ClassVar, Literal
from uuid import UUID

from sluice_contracts.base import Instant, Message


class TriggerControl(Message):
    """What workers do with the jobs of a trigger from now on: send them, hold them, or report them cancelled."""

    TYPE: ClassVar[str] = "trigger.control.v1"
    KEY: ClassVar[tuple[str, ...]] = ("trigger_id",)
    type: Literal["trigger.control.v1"] = "trigger.control.v1"
    trigger_id: UUID
    workspace_id: UUID
    at: Instant
    mode: Literal["running", "paused", "cancelled"]
