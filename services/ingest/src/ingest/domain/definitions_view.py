"""What acceptance needs to know of a workspace's definitions: a narrow view of the catalog held in memory."""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from sluice_catalog.models import ProviderAccount, TemplateReference, WorkflowReference


class DefinitionsView(Protocol):
    """Look-ups that touch memory alone. None: it is not there, or another workspace's."""

    def template(self, workspace_id: UUID, key: str, /) -> TemplateReference | None:
        """Return the newest version of a template, by its key or id."""
        ...

    def workflow(self, workspace_id: UUID, name: str, /) -> WorkflowReference | None:
        """Return a workflow by its name, key or id."""
        ...

    def segment(self, workspace_id: UUID, key: str, /) -> UUID | None:
        """Return a segment's id, by its key or id."""
        ...

    def list(self, workspace_id: UUID, key: str, /) -> UUID | None:
        """Return a list's id, by its key or id."""
        ...

    def provider_account(self, account_id: UUID, /) -> ProviderAccount | None:
        """Return a provider account of any workspace."""
        ...
