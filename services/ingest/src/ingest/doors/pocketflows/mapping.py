"""From a tracked event to ours."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from ingest.doors.pocketflows.bodies import Customer, Tracked
from sluice_catalog.businesses import Business
from sluice_contracts.messages.event import EventOccurred
from sluice_contracts.messages.profile import ContactProfile

SOURCE: Final = "pocketflows"


def event_of(body: Tracked, business: Business, event_id: UUID, now: datetime) -> EventOccurred:
    """Return the event. The customer stays in its data, as it was said, beside all else that was."""
    customer = body.data.customer
    profile = _profile(customer) if isinstance(customer, Customer) else ContactProfile(external_id=customer)
    return EventOccurred(
        event_id=event_id,
        workspace_id=business.workspace_id,
        name=body.event,
        external_id=profile.external_id,
        profile=profile,
        data=body.data.model_dump(mode="json", exclude_unset=True) | business.marks(),
        occurred_at=now,
        accepted_at=now,
        source=SOURCE,
    )


def _profile(customer: Customer) -> ContactProfile:
    said: dict[str, Any] = customer.model_dump(exclude={"id"}, exclude_none=True)
    known = {name: said.pop(name) for name in list(said) if name in Customer.model_fields}
    return ContactProfile(external_id=customer.id, **known, attributes=said)
