"""What the orchestrator asks of the catalog."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol
from uuid import UUID

from sluice_catalog.events import Changes, EventKey
from sluice_catalog.models import (
    Contact,
    TemplateReference,
    TemplateVersion,
    TriggerRule,
    WorkflowVersion,
    WorkspaceSettings,
)
from sluice_catalog.profiles import GivenProfile
from sluice_contracts.messages.trigger import (
    AllRecipients,
    ListRecipients,
    SegmentRecipients,
    TagRecipients,
    UnionRecipients,
)

Audience = TagRecipients | SegmentRecipients | ListRecipients | AllRecipients | UnionRecipients


class Directory(Protocol):
    """Definitions and people, read when they are needed. `sluice_catalog.repository.Catalog` is one."""

    async def template_version(self, template_id: UUID, version: int) -> TemplateVersion | None:
        """Return one version of a template."""
        ...

    async def template_by_key(self, workspace_id: UUID, key: str) -> TemplateReference | None:
        """Return the newest version of the template that a workspace calls `key`."""
        ...

    async def workflow_version(self, workflow_id: UUID, version: int) -> WorkflowVersion | None:
        """Return one version of a workflow."""
        ...

    async def workspace_settings(self, workspace_id: UUID) -> WorkspaceSettings:
        """Return what holds for every message of a workspace."""
        ...

    async def contacts_by_external_id(self, workspace_id: UUID, external_ids: Collection[str]) -> list[Contact]:
        """Return those of the workspace's contacts that have these ids of the caller's, in no order."""
        ...

    async def contacts_by_id(self, workspace_id: UUID, ids: Collection[UUID]) -> list[Contact]:
        """Return those of the workspace's contacts that have these ids of ours, in no order."""
        ...

    async def owners_of_addresses(self, given: Sequence[GivenProfile]) -> Mapping[tuple[UUID, str], str]:
        """Return who has the addresses of profiles whose external id nobody has, by workspace and the id given."""
        ...

    async def keep_profiles(self, given: Sequence[GivenProfile]) -> None:
        """Write what requests said of people into their contacts; the same again changes nothing."""
        ...

    async def rules_for(self, keys: Collection[EventKey]) -> Mapping[EventKey, Sequence[TriggerRule]]:
        """Return the active rules of events, each (workspace, name), as they are at this moment."""
        ...

    async def listened_for(self, keys: Collection[EventKey]) -> Collection[EventKey]:
        """Return those events, each (workspace, name), that a rule answers or a workflow waits for."""
        ...

    async def waited_for(self, keys: Collection[EventKey]) -> Mapping[EventKey, Collection[str]]:
        """Return those events, each (workspace, name), that steps of workflows wait for, with their correlations."""
        ...

    def contact_changes(self) -> AbstractAsyncContextManager[Changes]:
        """Take the oldest changes of contacts that somebody listens for in hand."""
        ...

    async def audience_count(self, workspace_id: UUID, recipients: Audience) -> int:
        """Return how many active contacts an audience has now."""
        ...

    async def audience_page(
        self, workspace_id: UUID, recipients: Audience, after: UUID | None, limit: int
    ) -> list[Contact]:
        """Return the next `limit` contacts behind `after` in the order of ids; fewer only at the end."""
        ...
