"""Whom an event is for: ids, subscribers and topics in any mix, told apart and counted once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from pydantic import ValidationError

from ingest.domain.values import MAX_EXTERNAL_ID
from ingest.doors.novu.bodies import SubscriberBody
from ingest.doors.novu.people import profile
from sluice_contracts.messages.profile import ContactProfile
from sluice_contracts.messages.trigger import ContactRecipients, Recipients, UnionRecipients
from sluice_runtime.http.novu import refused

MOST: Final = 100
FindList = Callable[[str], UUID | None]


@dataclass(slots=True)
class Addressed:
    """What `to` comes to.

    `external_ids` keep their order. `topics` are the keys that were named, `unknown` those of them that are no list.
    `left_out` are people whom a topic names as excluded. `given` counts what stands in `to`, good or not.
    """

    external_ids: dict[str, None] = field(default_factory=dict)
    profiles: dict[str, ContactProfile] = field(default_factory=dict)
    lists: dict[UUID, None] = field(default_factory=dict)
    topics: dict[str, None] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    left_out: dict[str, None] = field(default_factory=dict)
    given: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether nobody is named at all."""
        return not self.external_ids and not self.topics

    @property
    def recipients(self) -> Recipients:
        """The recipients: an audience where a topic is among them."""
        if self.topics:
            return UnionRecipients(external_ids=list(self.external_ids), list_ids=list(self.lists))
        return ContactRecipients(external_ids=list(self.external_ids))

    def excluded(self, actor: str | None) -> list[str]:
        """Return who gets nothing through a topic: those left out, and who acted. Named people are never excluded."""
        if not self.topics:
            return []
        candidates = [*self.left_out, *([actor] if actor else [])]
        return [one for one in dict.fromkeys(candidates) if one not in self.external_ids]


def addressed(to: Any, find_list: FindList) -> Addressed:
    """Return what `to` comes to; entries that can be nobody are passed over.

    Raises Problem 422 where there are more than 100 entries.
    """
    entries = to if isinstance(to, list) else [to]
    if len(entries) > MOST:
        raise refused(f"to must contain no more than {MOST} elements")
    found = Addressed(given=len(entries))
    for entry in entries:
        match entry:
            case str() if is_subscriber_id(entry):
                found.external_ids[entry] = None
            case {"topicKey": str(key)} if key and entry.get("type", "Topic") == "Topic":
                _add_topic(found, key, entry, find_list)
            case {"subscriberId": _}:
                _add_person(found, entry)
            case _:
                continue
    return found


def is_subscriber_id(text: Any) -> bool:
    """Whether `text` can be somebody's id."""
    return isinstance(text, str) and 0 < len(text) <= MAX_EXTERNAL_ID and text.isprintable() and bool(text.strip())


def _add_topic(found: Addressed, key: str, entry: dict[str, Any], find_list: FindList) -> None:
    found.topics[key] = None
    list_id = find_list(key)
    if list_id is None:
        found.unknown.append(key)
    else:
        found.lists[list_id] = None
    excluded = entry.get("exclude")
    for external_id in excluded if isinstance(excluded, list) else []:
        if is_subscriber_id(external_id):
            found.left_out[external_id] = None


def _add_person(found: Addressed, entry: dict[str, Any]) -> None:
    try:
        body = SubscriberBody.model_validate(entry)
    except ValidationError:
        return
    if not is_subscriber_id(body.subscriber_id):
        return
    found.external_ids[body.subscriber_id] = None
    found.profiles[body.subscriber_id] = profile(body)
