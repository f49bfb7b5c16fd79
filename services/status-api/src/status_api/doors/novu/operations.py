"""Every operation of Novu's door that reads what became of messages, and the one that stops them."""

from __future__ import annotations

from dataclasses import dataclass

from sluice_catalog.repository import Catalog
from sluice_catalog.snapshot import CatalogSnapshot
from sluice_messaging.ports import EventPublisher
from sluice_runtime.clock import Clock
from sluice_runtime.http.operations import Operation
from status_api.adapters.status_store import StatusStore
from status_api.doors.novu.cancelling import Cancelling
from status_api.doors.novu.messages import Messages
from status_api.doors.novu.notifications import Notifications
from status_api.doors.novu.store import NovuStore
from status_api.doors.novu.walking import Walk
from status_api.handlers.arrivals import Arrivals


@dataclass(frozen=True, slots=True)
class NovuReads:
    """What the door stands on."""

    store: StatusStore
    novu: NovuStore
    catalog: Catalog
    snapshot: CatalogSnapshot
    arrivals: Arrivals
    publisher: EventPublisher
    clock: Clock

    def operations(self) -> list[Operation]:
        """Return the operations for `add_operations`."""
        walk = Walk(self.store, self.novu, self.snapshot)
        return [
            *Messages(walk, self.novu, self.catalog).operations(),
            *Notifications(walk, self.novu, self.catalog, self.arrivals, self.clock).operations(),
            *Cancelling(walk, self.store, self.arrivals, self.publisher, self.clock).operations(),
        ]
