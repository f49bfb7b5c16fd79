"""Lets people into waits, and lets those go whose wait is over. What is to be told of it is returned, not told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from orchestrator.adapters import releases, waits
from orchestrator.adapters.waits import NewWait
from orchestrator.domain.cohort import Position
from orchestrator.domain.plan import WaitPlan
from orchestrator.domain.running import Mode, RunningTrigger
from orchestrator.domain.waits import Wait, reports
from orchestrator.ports import Directory
from sluice_contracts.base import Message
from sluice_contracts.identifiers import PAGE_SIZE
from sluice_contracts.messages.trigger import AddressRecipients
from sluice_storage.database import Connection


@dataclass(frozen=True, slots=True)
class Entrance:
    """People of one page, by their place on it, who begin to wait."""

    trigger: RunningTrigger
    wait: WaitPlan
    page: int
    people: Mapping[int, Position]


class Doorkeeper:
    """Works inside the transactions of those who know when a wait begins and when it is over."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    async def let_in(self, connection: Connection, entrances: Sequence[Entrance], now: datetime) -> Sequence[Message]:
        """Let people begin to wait; those whose event has come already go on at once.

        Nobody pauses their triggers meanwhile: their modes are held still, and nothing of a paused one is due.
        """
        names = await self._names(entrances)
        opened = [
            NewWait(
                entrance.trigger,
                entrance.wait,
                entrance.page * PAGE_SIZE + place,
                _name(entrance.trigger, position, names),
            )
            for entrance in entrances
            for place, position in sorted(entrance.people.items())
        ]
        known = await waits.open_waits(connection, opened, now)
        plans = {entrance.trigger.plan.trigger_id: entrance.trigger.plan for entrance in entrances}
        await releases.let_go(connection, plans, [wait for wait in known if wait.outcome is not None], ())
        return reports(plans, known)

    async def let_go(
        self,
        connection: Connection,
        triggers: Mapping[UUID, RunningTrigger],
        modes: Mapping[UUID, Mode],
        ended: Sequence[Wait],
    ) -> Sequence[Message]:
        """Send people whose waits are over on their way; where their trigger is paused, when it is resumed."""
        resting = {trigger_id for trigger_id, mode in modes.items() if mode is Mode.PAUSED}
        plans = {trigger_id: trigger.plan for trigger_id, trigger in triggers.items()}
        leaving = [wait for wait in ended if wait.trigger_id in plans]
        await releases.let_go(connection, plans, leaving, resting)
        return reports(plans, leaving)

    async def _names(self, entrances: Collection[Entrance]) -> Mapping[UUID, str]:
        """Return the external ids of those contacts of whom only our own id is at hand."""
        unnamed: defaultdict[UUID, set[UUID]] = defaultdict(set)
        for entrance in entrances:
            unnamed[entrance.trigger.plan.workspace_id].update(
                position.contact_id
                for position in entrance.people.values()
                if position.label is None and position.contact_id is not None
            )
        return {
            contact.id: contact.external_id
            for workspace_id, ids in unnamed.items()
            if ids
            for contact in await self._directory.contacts_by_id(workspace_id, ids)
        }


def _name(trigger: RunningTrigger, position: Position, names: Mapping[UUID, str]) -> str | None:
    if isinstance(trigger.accepted.recipients, AddressRecipients):
        return None
    return position.label or (names.get(position.contact_id) if position.contact_id else None)
