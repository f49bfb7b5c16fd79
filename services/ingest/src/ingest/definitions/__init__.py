"""The doors to what users define: contacts, audiences, templates, workflows, provider accounts, keys and settings.

Reading and writing need the scope `definitions:write`, API keys `admin`. A thing of another workspace is not there.
"""

from __future__ import annotations

from ingest.definitions.audiences import list_operations, segment_operations
from ingest.definitions.contacts import contact_operations
from ingest.definitions.providers import provider_operations
from ingest.definitions.templates import template_group_operations, template_operations
from ingest.definitions.trigger_rules import trigger_rule_operations
from ingest.definitions.workflows import workflow_operations
from ingest.definitions.workspace import suppression_operations, workspace_operations
from sluice_catalog.definitions.contacts import Contacts
from sluice_catalog.definitions.lists import Lists
from sluice_catalog.definitions.provider_accounts import ProviderAccounts
from sluice_catalog.definitions.segments import Segments
from sluice_catalog.definitions.suppressions import Suppressions
from sluice_catalog.definitions.template_groups import TemplateGroups
from sluice_catalog.definitions.templates import Templates
from sluice_catalog.definitions.trigger_rules import TriggerRules
from sluice_catalog.definitions.workflows import Workflows
from sluice_catalog.definitions.workspace import Workspaces
from sluice_catalog.repository import Catalog
from sluice_catalog.snapshot import CatalogSnapshot
from sluice_runtime.clock import Clock
from sluice_runtime.http.operations import Operation
from sluice_runtime.secrets import SecretBox
from sluice_storage.database import Database

__all__ = ["operations"]


def operations(database: Database, snapshot: CatalogSnapshot, secret_box: SecretBox, clock: Clock) -> list[Operation]:
    """Return every operation on definitions. `database` is of the schema `catalog`; writes renew `snapshot`."""
    catalog = Catalog(database, secret_box, clock)
    return [
        *contact_operations(Contacts(database, clock, secret_box)),
        *segment_operations(Segments(database, clock), snapshot),
        *list_operations(Lists(database, clock), snapshot),
        *template_operations(Templates(database, clock), catalog, snapshot),
        *template_group_operations(TemplateGroups(database, clock), snapshot),
        *workflow_operations(Workflows(database, clock), snapshot),
        *trigger_rule_operations(TriggerRules(database, clock), snapshot),
        *provider_operations(ProviderAccounts(database, clock, secret_box), snapshot),
        *suppression_operations(Suppressions(database, clock), snapshot),
        *workspace_operations(Workspaces(database, clock), snapshot),
    ]
