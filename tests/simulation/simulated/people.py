"""Definitions and people of a run: the orchestrator's `Directory` and the workers' catalog, in memory.

The catalog's own SQL is not simulated. What is asked of it in the middle of a message's way takes its time all the
same, so that a process can die there.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from simulated.world import Machine, World
from sluice_catalog.events import EventKey
from sluice_catalog.models import (
    Contact,
    ProviderAccount,
    Suppression,
    TemplateReference,
    TemplateVersion,
    TriggerRule,
    WaitStep,
    WorkflowVersion,
    WorkspaceSettings,
)
from sluice_catalog.profiles import GivenProfile
from sluice_contracts.vocabulary import Channel, SuppressionReason


class People:
    """What is defined. Shared by all processes."""

    def __init__(self) -> None:
        self._contacts: dict[UUID, list[Contact]] = {}
        self.templates: dict[UUID, TemplateVersion] = {}
        self.workflows: dict[tuple[UUID, int], WorkflowVersion] = {}
        self.accounts: dict[UUID, ProviderAccount] = {}
        self.rules: dict[EventKey, list[TriggerRule]] = {}
        self.suppressions: dict[tuple[UUID, Channel, str], SuppressionReason] = {}

    def __len__(self) -> int:
        return sum(map(len, self._contacts.values()))

    def add(self, contact: Contact) -> None:
        """Add somebody; the contacts of a workspace come in the order of their ids."""
        self._contacts.setdefault(contact.workspace_id, []).append(contact)

    def of(self, workspace_id: UUID) -> Sequence[Contact]:
        """Return the contacts of a workspace in the order of their ids."""
        return self._contacts.get(workspace_id, ())


class SimulatedCatalog:
    """What one process sees of it."""

    def __init__(self, world: World, machine: Machine, people: People) -> None:
        self._world = world
        self._machine = machine
        self._people = people

    async def template_version(self, template_id: UUID, version: int) -> TemplateVersion | None:
        return self._people.templates.get(template_id)

    async def template_by_key(self, workspace_id: UUID, key: str) -> TemplateReference | None:
        for found in self._people.templates.values():
            if found.workspace_id == workspace_id and found.key == key:
                return TemplateReference(found.template_id, found.version, key, found.channel, found.category)
        return None

    async def workflow_version(self, workflow_id: UUID, version: int) -> WorkflowVersion | None:
        return self._people.workflows.get((workflow_id, version))

    async def workspace_settings(self, workspace_id: UUID) -> WorkspaceSettings:
        return WorkspaceSettings(workspace_id)

    async def contacts_by_external_id(self, workspace_id: UUID, external_ids: Collection[str]) -> list[Contact]:
        await self._ask("contacts_by_external_id")
        return [one for one in self._people.of(workspace_id) if one.external_id in external_ids]

    async def contacts_by_id(self, workspace_id: UUID, ids: Collection[UUID]) -> list[Contact]:
        await self._ask("contacts_by_id")
        return [one for one in self._people.of(workspace_id) if one.id in ids]

    async def audience_count(self, workspace_id: UUID, recipients: Any) -> int:
        await self._ask("audience_count")
        return sum(one.status == "active" for one in self._people.of(workspace_id))

    async def audience_page(self, workspace_id: UUID, recipients: Any, after: UUID | None, limit: int) -> list[Contact]:
        await self._ask("audience_page")
        active = [one for one in self._people.of(workspace_id) if one.status == "active"]
        return [one for one in active if after is None or one.id > after][:limit]

    async def default_account(self, workspace_id: UUID, channel: Channel) -> ProviderAccount | None:
        accounts = self._people.accounts.values()
        return next((one for one in accounts if one.workspace_id == workspace_id and one.channel is channel), None)

    async def provider_account(self, account_id: UUID) -> ProviderAccount | None:
        return self._people.accounts.get(account_id)

    async def suppressions_among(
        self, workspace_id: UUID, channel: Channel, addresses: Collection[str]
    ) -> dict[str, SuppressionReason]:
        await self._ask("suppressions_among")
        known = self._people.suppressions
        return {
            address: known[workspace_id, channel, address]
            for address in sorted(addresses)
            if (workspace_id, channel, address) in known
        }

    async def suppress(self, entries: Sequence[Suppression]) -> None:
        if entries:
            await self._ask("suppress")
        for entry in entries:
            self._people.suppressions.setdefault((entry.workspace_id, entry.channel, entry.address), entry.reason)

    async def keep_profiles(self, given: Sequence[GivenProfile]) -> None:
        assert not given, "nobody says anything of people here"

    async def rules_for(self, keys: Collection[EventKey]) -> dict[EventKey, list[TriggerRule]]:
        await self._ask("rules_for")
        return {key: self._people.rules[key] for key in keys if key in self._people.rules}

    async def waited_for(self, keys: Collection[EventKey]) -> dict[EventKey, set[str]]:
        await self._ask("waited_for")
        found: dict[EventKey, set[str]] = {}
        for workflow in self._people.workflows.values():
            for step in workflow.steps:
                if isinstance(step, WaitStep) and (workflow.workspace_id, step.event) in keys:
                    found.setdefault((workflow.workspace_id, step.event), set()).add(step.correlation)
        return found

    async def _ask(self, what: str) -> None:
        await self._world.remote(self._machine, "poll", what, lambda: None)
