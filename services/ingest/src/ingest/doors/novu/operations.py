"""Every operation of Novu's door that writes, or reads what is defined."""

from __future__ import annotations

from dataclasses import dataclass

from ingest.doors.novu.book import WorkflowBook
from ingest.doors.novu.inbox import inbox_operations
from ingest.doors.novu.integrations import Integrations
from ingest.doors.novu.legacy_topics import LegacyTopics
from ingest.doors.novu.legacy_workflows import LegacyWorkflows
from ingest.doors.novu.preferences import Preferences
from ingest.doors.novu.subscribers import Subscribers
from ingest.doors.novu.tenants import TenantOperations
from ingest.doors.novu.topics import Topics
from ingest.doors.novu.triggering import Triggering
from ingest.doors.novu.workflows import CurrentWorkflows
from ingest.handlers.intake import Intake
from ingest.handlers.sends import Renew
from sluice_catalog.definitions.contacts import Contacts
from sluice_catalog.definitions.lists import Lists
from sluice_catalog.definitions.novu_workflows import NovuWorkflowGroups, NovuWorkflows
from sluice_catalog.definitions.provider_accounts import ProviderAccounts
from sluice_catalog.definitions.templates import Templates
from sluice_catalog.definitions.tenants import Tenants
from sluice_catalog.definitions.workflows import Workflows
from sluice_catalog.directory import Directory
from sluice_catalog.repository import Catalog
from sluice_catalog.snapshot import CatalogSnapshot
from sluice_runtime.clock import Clock
from sluice_runtime.http.operations import Operation
from sluice_runtime.secrets import SecretBox
from sluice_storage.database import Database


@dataclass(frozen=True, slots=True)
class NovuDoor:
    """What the door stands on. `database` is of the schema `catalog`."""

    database: Database
    snapshot: CatalogSnapshot
    secret_box: SecretBox
    clock: Clock
    renew: Renew

    def operations(self, intake: Intake) -> list[Operation]:
        """Return the operations for `add_operations`."""
        database, clock, snapshot = self.database, self.clock, self.snapshot
        contacts = Contacts(database, clock, self.secret_box)
        tenants, directory = Tenants(database, clock), Directory(database)
        lists, catalog = Lists(database, clock), Catalog(database, self.secret_box, clock)
        book = WorkflowBook(
            NovuWorkflows(database, clock), Workflows(database, clock), Templates(database, clock), snapshot
        )
        return [
            *Triggering(snapshot, snapshot, self.renew, intake, clock, catalog, tenants).operations(),
            *Subscribers(contacts, directory).operations(),
            *Preferences(contacts, book).operations(),
            *Topics(lists, contacts, directory, snapshot).operations(),
            *LegacyTopics(lists, directory, snapshot).operations(),
            *TenantOperations(tenants, directory, snapshot).operations(),
            *Integrations(ProviderAccounts(database, clock, self.secret_box), snapshot).operations(),
            *CurrentWorkflows(book).operations(),
            *LegacyWorkflows(book, NovuWorkflowGroups(database, clock)).operations(),
            *inbox_operations(),
        ]
