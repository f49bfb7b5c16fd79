"""Businesses, as Pocketflows calls those on whose behalf one sends: tenants of a workspace, or the workspace itself."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sluice_catalog.snapshot import CatalogSnapshot

FIELD = "business"
"""Under this name an event of a tenant carries the tenant's key in its data."""


@dataclass(frozen=True, slots=True)
class Business:
    """One business. `tenant` is the tenant's key, None for the workspace itself."""

    workspace_id: UUID
    tenant: str | None

    @property
    def condition(self) -> str | None:
        """A CEL condition that holds of the events of this business alone; None where every event is one."""
        return None if self.tenant is None else f"event.data.{FIELD} == {_quoted(self.tenant)}"

    def marks(self) -> dict[str, str]:
        """Return what an event of this business carries in its data beside what the caller said."""
        return {} if self.tenant is None else {FIELD: self.tenant}


def business_of(snapshot: CatalogSnapshot, workspace_id: UUID, reference: str) -> Business | None:
    """Return the business that a caller of a workspace names.

    `reference` is the key of one of its tenants, or the workspace's own id or name; None where it is neither.
    """
    if snapshot.tenant(workspace_id, reference) is not None:
        return Business(workspace_id, reference)
    settings = snapshot.workspace(workspace_id)
    if reference == str(workspace_id) or (settings is not None and reference == settings.name):
        return Business(workspace_id, None)
    return None


def _quoted(text: str) -> str:
    """Return a CEL string literal; what is not plain stands there by its number."""
    return '"' + "".join(c if c.isascii() and c.isalnum() else f"\\U{ord(c):08x}" for c in text) + '"'
