"""Changes of contacts and replies become events, where somebody listens, once and in order."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from orchestrator.domain.noticed import events_of_change
from sluice_catalog.events import ContactChange, SegmentFilter
from sluice_catalog.models import TriggerRule
from sluice_contracts.messages.content import InlineSms
from sluice_contracts.messages.event import EventOccurred
from sluice_contracts.messages.trigger import DirectSend, TriggeringEvent
from sluice_contracts.vocabulary import Channel, Engagement

WORKSPACE = UUID(int=1)
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PROS = SegmentFilter(UUID(int=5), WORKSPACE, "pros", "Pros", "contact.attributes.plan == 'pro'")
BROKEN = SegmentFilter(UUID(int=6), WORKSPACE, "broken", "Broken", "nonsense(")


def row(**values: Any) -> dict[str, Any]:
    nothing = dict.fromkeys(
        ("email", "phone_number", "country", "locale", "timezone", "name", "first_name", "last_name")
    )
    return {
        **nothing, "external_id": "ada", "status": "active", "tags": [], "attributes": {}, "opt_outs": {}, **values,
    }  # fmt: skip


def change(former: dict[str, Any] | None, present: dict[str, Any], sequence: int = 1) -> ContactChange:
    return ContactChange(sequence, WORKSPACE, UUID(int=9), former, present, NOON)


def told(*changes: ContactChange) -> list[tuple[str, Any]]:
    events = [event for one in changes for event in events_of_change(one, [PROS, BROKEN], NOON)]
    return [(event.name, event.data.get("tag") or event.data.get("segment")) for event in events]


def test_a_new_contact_is_created_gets_its_tags_and_enters_its_segments() -> None:
    new = row(tags=["vip", "beta"], attributes={"plan": "pro"})
    assert told(change(None, new)) == [
        ("contact.created", None),
        ("contact.tag_added", "vip"),
        ("contact.tag_added", "beta"),
        ("segment.entered", "pros"),
    ]


def test_only_what_is_new_is_told_of_a_change() -> None:
    pro = row(tags=["vip"], attributes={"plan": "pro"})
    assert told(change(pro, pro)) == []
    assert told(change(pro, {**pro, "tags": ["vip", "new"]})) == [("contact.tag_added", "new")]
    assert told(change(row(), pro | {"tags": []})) == [("segment.entered", "pros")]
    assert told(change(pro, row(tags=["vip"]))) == []
    assert told(change(pro | {"status": "inactive"}, pro)) == [("segment.entered", "pros")]
    assert told(change(pro, pro | {"status": "inactive"})) == []


def test_a_change_that_is_told_again_is_the_same_events_and_another_change_is_others() -> None:
    new = change(None, row(tags=["vip"], attributes={"plan": "pro"}))

    def ids(one: ContactChange) -> list[UUID]:
        return [event.event_id for event in events_of_change(one, [PROS], NOON)]

    assert ids(new) == ids(new)
    again = change(row(), row(tags=["vip"], attributes={"plan": "pro"}), sequence=2)
    assert not set(ids(again)) & set(ids(new))


def rule(event: str) -> TriggerRule:
    return TriggerRule(uuid4(), WORKSPACE, event, event, "active", event, None)


def events(world: Any) -> list[EventOccurred]:
    return [EventOccurred.decode(item.value) for item in world.publisher.records if item.topic == "events"]


@pytest.mark.integration
async def test_changes_are_told_where_somebody_listens_and_then_forgotten(world: Any) -> None:
    world.catalogue.rules = [rule("contact.tag_added")]
    world.catalogue.changes = [change(None, row(tags=["vip"]))]
    assert await world.parts.contacts.tell() == 1
    assert [event.name for event in events(world)] == ["contact.tag_added"]
    assert await world.parts.contacts.tell() == 0


@pytest.mark.integration
async def test_changes_that_could_not_be_told_stay(world: Any) -> None:
    world.catalogue.waits = {(WORKSPACE, "contact.created"): {"contact"}}
    world.catalogue.changes = [change(None, row())]

    def cut(_: Any) -> None:
        raise ConnectionError("away")

    world.publisher.before = cut
    with pytest.raises(ConnectionError):
        await world.parts.contacts.tell()
    world.publisher.before = None
    await world.parts.contacts.tell()
    assert [event.external_id for event in events(world)] == ["ada"]


@pytest.mark.integration
async def test_a_reply_to_a_message_is_an_event_of_its_contact(world: Any) -> None:
    world.catalogue.add(2)
    world.catalogue.rules = [rule("message.replied")]
    cause = TriggeringEvent(event_id=uuid4(), name="order.paid", rule_id=uuid4(), chain=2)
    trigger = world.direct(event=cause, plan=DirectSend(channel=Channel.SMS, content=InlineSms(text="Hello")))
    await world.deliver(trigger)
    (command,) = await world.work()

    def replied(*_: Any) -> dict[str, Any]:
        return {"engagement": Engagement.REPLIED}

    await world.answer(command, replied, answers_round=None)
    (event,) = events(world)
    assert (event.name, event.external_id, event.chain) == ("message.replied", "c0", 3)
    assert event.data["trigger_id"] == str(trigger.trigger_id)
    world.catalogue.rules = []
    await world.answer(command, replied, answers_round=None)
    assert len(events(world)) == 1
