"""Who is meant by an address: triggers whose profiles are known by one, named after the contacts who have it."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from sluice_contracts.messages.trigger import ContactRecipients, TriggerAccepted

Owners = Mapping[tuple[UUID, str], str]
"""The external ids of contacts, by workspace and the external id that a profile gave."""


def identified(trigger: TriggerAccepted, owners: Owners) -> TriggerAccepted:
    """Return `trigger` with the external ids of `owners` in the place of those that its profiles gave."""
    own = {
        profile.external_id: owner
        for profile in trigger.profiles
        if profile.known_by_address and (owner := owners.get((trigger.workspace_id, profile.external_id)))
    }
    if not own:
        return trigger
    changes: dict[str, object] = {
        "profiles": [
            profile.model_copy(update={"external_id": own.get(profile.external_id, profile.external_id)})
            for profile in trigger.profiles
        ]
    }
    if isinstance(trigger.recipients, ContactRecipients):
        names = dict.fromkeys(own.get(name, name) for name in trigger.recipients.external_ids)
        changes["recipients"] = ContactRecipients(external_ids=list(names))
    return trigger.model_copy(update=changes)
