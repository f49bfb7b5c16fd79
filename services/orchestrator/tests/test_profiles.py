"""People who are described in the request that is for them are in the catalog before anybody looks for them."""

from __future__ import annotations

from typing import Any

import pytest

from sluice_contracts.messages.profile import ContactProfile
from sluice_contracts.messages.trigger import ContactRecipients, UnionRecipients
from sluice_contracts.vocabulary import Category, Lane

pytestmark = pytest.mark.integration


async def test_a_request_reaches_somebody_of_whom_only_it_told(world: Any) -> None:
    profile = ContactProfile(external_id="ada", phone_number="+14155550123")
    await world.deliver(world.direct(recipients=ContactRecipients(external_ids=["ada"]), profiles=[profile]))
    (command,) = await world.work()
    assert command.jobs.address == ["+14155550123"]
    assert command.jobs.verdict == [None]


async def test_a_repeat_of_a_request_writes_no_profile_again(world: Any) -> None:
    trigger = world.direct(profiles=[ContactProfile(external_id="ada", email="ada@example.com")])
    await world.deliver(trigger)
    await world.deliver(trigger, world.direct(profiles=[ContactProfile(external_id="bob")]))
    assert [given.profile.external_id for given in world.catalogue.kept_profiles] == ["ada", "bob"]


async def test_an_address_names_the_contact_who_has_it(world: Any) -> None:
    (known,) = world.catalogue.add(1, external_id="ada", phone_number="+14155550123")
    profile = ContactProfile(external_id="+14155550123", phone_number="+14155550123", known_by_address=True)
    recipients = ContactRecipients(external_ids=["+14155550123"])
    await world.deliver(world.direct(recipients=recipients, profiles=[profile]))
    (command,) = await world.work()
    assert command.jobs.external_id == ["ada"]
    assert [given.profile.external_id for given in world.catalogue.kept_profiles] == ["ada"]
    assert list(world.catalogue.contacts) == [known.id]


async def test_people_and_lists_together_are_walked_as_one_audience(world: Any) -> None:
    world.catalogue.add(450)
    await world.deliver(
        world.direct(lane=Lane.BULK, category=Category.MARKETING, recipients=UnionRecipients(external_ids=["c0"]))
    )
    commands = await world.work()
    assert sorted(len(command.jobs) for command in commands) == [50, 200, 200]
