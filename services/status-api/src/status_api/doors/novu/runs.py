"""Triggers as this door sees them: a transaction, with what was noted of it when it came in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sluice_contracts.novu import named_object_id, object_id, place_id
from status_api.domain.overview import Overview
from status_api.domain.rows import ExecutionRow


@dataclass(frozen=True, slots=True)
class Run:
    """One trigger. `noted` is empty for one that came in through another door."""

    overview: Overview
    noted: Mapping[str, Any]
    template_id: str

    @property
    def transaction_id(self) -> str:
        """What its caller calls it; our own id where it came in through another door."""
        noted = self.noted.get("transactionId")
        return noted if isinstance(noted, str) else str(self.overview.trigger.trigger_id)

    @property
    def identifier(self) -> str:
        """What its workflow is called."""
        noted = self.noted.get("identifier")
        trigger = self.overview.trigger
        return noted if isinstance(noted, str) else trigger.workflow_name or trigger.campaign_name or "direct"

    @property
    def name(self) -> str:
        """The workflow's name for people."""
        trigger = self.overview.trigger
        return trigger.workflow_name or trigger.campaign_name or self.identifier

    @property
    def workspace(self) -> str:
        """Novu's id for the workspace, which is its organization and its environment in one."""
        return object_id(self.overview.trigger.workspace_id)

    @property
    def executions(self) -> Sequence[ExecutionRow]:
        """Its executions, in order."""
        return self.overview.executions

    @property
    def named(self) -> Sequence[str]:
        """Who was named, in the order of positions; empty where an audience was."""
        return [one for one in self.noted.get("to") or [] if isinstance(one, str)]

    def texts(self, name: str) -> list[str]:
        """Return a list of texts that was noted."""
        return [one for one in self.noted.get(name) or [] if isinstance(one, str)]

    def notification_id(self, seq: int) -> str:
        """Return Novu's id for what one contact gets of it."""
        return place_id(self.executions[0].execution_id, seq)

    def step_id(self, execution: ExecutionRow) -> str:
        """Return Novu's id for the step that an execution carries out."""
        return named_object_id(self.overview.trigger.trigger_id, f"step:{execution.step_id or execution.channel}")


def template_id_of(workflow_id: UUID | None, defined: UUID | None, trigger_id: UUID) -> str:
    """Return Novu's id for a trigger's workflow: as it was defined in its words, or ours; a direct send has its own."""
    return object_id(defined or workflow_id or trigger_id)
