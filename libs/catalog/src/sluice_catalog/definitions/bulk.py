"""Many contacts at once, decided without a database: what each becomes, and what became of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from sluice_catalog.definitions.contact import NewContact, merged, normalised, unborn
from sluice_catalog.definitions.problems import Fault, InvalidDefinition
from sluice_catalog.models import Contact
from sluice_contracts.identifiers import new_id


@dataclass(frozen=True, slots=True)
class StoredContact:
    """A contact with its revision."""

    contact: Contact
    revision: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Upserted:
    """One contact that was written. `created` says that it was not there before."""

    stored: StoredContact
    created: bool


class Bulk:
    """Contacts to be created or changed, over as many attempts as it takes.

    `open` are the external ids that are not settled yet. Where one comes several times, the later is merged into the
    earlier; one that is invalid fails alone.
    """

    def __init__(self, workspace_id: UUID, given: Sequence[NewContact]) -> None:
        self.workspace_id = workspace_id
        self.open = {item.external_id for item in given}
        self._given = given
        self._problems: dict[int, InvalidDefinition] = {}
        self._written: dict[str, Upserted] = {}

    def merge(
        self, known: Mapping[str, StoredContact], default_country: str | None, now: datetime
    ) -> list[tuple[Contact, int]]:
        """Return what the open contacts become, each with the revision that it must still have (0: not there)."""
        changed: dict[str, Contact] = {}
        for place, item in enumerate(self._given):
            external_id = item.external_id
            if external_id not in self.open:
                continue
            before = changed.get(external_id)
            if before is None and external_id in known:
                before = known[external_id].contact
            if before is None:
                before = unborn(new_id(now.timestamp()), self.workspace_id, external_id)
            try:
                changed[external_id] = merged(before, normalised(item, default_country))
            except InvalidDefinition as problem:
                self._problems[place] = problem
            else:
                self._problems.pop(place, None)
        self.open &= changed.keys()
        return [
            (contact, known[external_id].revision if external_id in known else 0)
            for external_id, contact in changed.items()
        ]

    def take(self, written: Mapping[str, Upserted]) -> None:
        """Settle the contacts that were written."""
        self._written.update(written)
        self.open -= written.keys()

    def results(self) -> list[Upserted | InvalidDefinition]:
        """Return one result for each contact that was given, in order."""
        busy = InvalidDefinition([Fault("external_id", "is being changed by others all the time; try again")])
        results: list[Upserted | InvalidDefinition] = []
        created: set[str] = set()
        for place, item in enumerate(self._given):
            upserted = self._written.get(item.external_id)
            if place in self._problems:
                results.append(self._problems[place])
            elif upserted is None:
                results.append(busy)
            else:
                results.append(replace(upserted, created=upserted.created and item.external_id not in created))
                created.add(item.external_id)
        return results
