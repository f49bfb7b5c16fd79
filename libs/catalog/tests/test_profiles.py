"""Profiles that come along with requests: kept once, in any order, without undoing what people did."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any
from uuid import UUID

import pytest

from sluice_catalog.definitions.contact import ContactFields, NewContact
from sluice_catalog.definitions.contacts import Contacts
from sluice_catalog.profiles import GivenProfile, each_contact_once, kept_form
from sluice_contracts.messages.profile import ContactProfile

NINE = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
WORKSPACE = UUID(int=1)


def given(place: Any, minutes: int = 0, **said: Any) -> GivenProfile:
    profile = ContactProfile(**{"external_id": "ada", **said})
    return GivenProfile(place.workspace, place.clock.now() + timedelta(minutes=minutes), profile)


async def contact(place: Any, external_id: str = "ada") -> Any:
    (found,) = await place.catalog.contacts_by_external_id(place.workspace, [external_id])
    return found


@pytest.mark.integration
async def test_a_profile_makes_the_contact_that_is_not_there_and_adds_to_the_one_that_is(place: Any) -> None:
    await place.catalog.keep_profiles(
        [
            given(
                place, email="Ada@Example.com", phone_number="+1 415 555 0123", tags=["vip"], attributes={"plan": "pro"}
            )
        ]
    )
    made = await contact(place)
    assert (made.email, made.phone_number, made.country) == ("ada@example.com", "+14155550123", "US")
    await place.catalog.keep_profiles(
        [given(place, 1, first_name="Ada", tags=["vip", "new"], attributes={"seats": 3}, timezone="Europe/Paris")]
    )
    later = await contact(place)
    assert later.id == made.id
    assert (later.first_name, later.email, later.tags) == ("Ada", "ada@example.com", ("vip", "new"))
    assert later.attributes == {"plan": "pro", "seats": 3}
    contacts = Contacts(place.database, place.clock, place.secret_box)
    tagged = await contacts.page(place.workspace, None, 10, having=("tag", "new"))
    assert [found.contact.external_id for found in tagged] == ["ada"]


@pytest.mark.integration
async def test_the_same_profile_again_changes_nothing(place: Any) -> None:
    profile = given(place, email="ada@example.com", tags=["vip"], attributes={"plan": "pro"})
    await place.catalog.keep_profiles([profile])
    contacts = Contacts(place.database, place.clock, place.secret_box)
    before = await contacts.get(place.workspace, "ada")
    place.clock.advance(timedelta(hours=1))
    await place.catalog.keep_profiles([profile, profile])
    assert await contacts.get(place.workspace, "ada") == before


@pytest.mark.integration
async def test_two_profiles_end_the_same_in_either_order_and_the_older_fills_only_gaps(place: Any) -> None:
    profiles = {
        0: {"email": "first@example.com", "attributes": {"plan": "free", "seats": 1}, "phone_number": "+14155550123"},
        1: {"email": "second@example.com", "first_name": "Ada", "attributes": {"plan": "pro"}},
    }
    for place_in_order, order in enumerate(permutations(profiles)):
        who = f"ada-{place_in_order}"
        for minutes in order:
            await place.catalog.keep_profiles([given(place, minutes, **{**profiles[minutes], "external_id": who})])
        kept = await contact(place, who)
        assert (kept.email, kept.phone_number, kept.country, kept.first_name) == (
            "second@example.com", "+14155550123", "US", "Ada",
        )  # fmt: skip
        assert kept.attributes == {"plan": "pro", "seats": 1}


@pytest.mark.integration
async def test_what_was_changed_by_hand_later_stays(place: Any) -> None:
    early = given(place, email="old@example.com", tags=["old"], attributes={"plan": "free"})
    contacts = Contacts(place.database, place.clock, place.secret_box)
    place.clock.advance(timedelta(minutes=1))
    await contacts.upsert(place.workspace, [NewContact(external_id="ada", email="new@example.com")])
    await place.catalog.keep_profiles([early])
    kept = await contact(place)
    assert (kept.email, kept.tags, kept.attributes) == ("new@example.com", (), {})
    await contacts.change(place.workspace, "ada", None, ContactFields(email=None), external=True)
    await place.catalog.keep_profiles([early])
    assert (await contact(place)).email is None
    await place.catalog.keep_profiles([given(place, 1, email="newest@example.com")])
    assert (await contact(place)).email == "newest@example.com"


@pytest.mark.integration
async def test_what_cannot_be_used_is_left_out_and_the_rest_is_kept(place: Any) -> None:
    await place.catalog.keep_profiles(
        [
            given(place, email="nonsense", phone_number="12", timezone="Mars/North", locale="??", name="A\0da",
                  tags=[" ", "x" * 300, "a\0b"], attributes={"a\0": ["b\0", {"c": None}], "gone": None}),
            given(place, external_id=""),
            given(place, external_id="x" * 300),
            given(place, external_id="a\0"),
            given(place, external_id="heavy", attributes={"text": "x" * 40_000}, email="heavy@example.com"),
        ]
    )  # fmt: skip
    kept = await contact(place)
    assert (kept.email, kept.phone_number, kept.timezone, kept.locale, kept.name) == (None, None, None, None, "Ada")
    assert kept.tags == ("x" * 100, "ab")
    assert kept.attributes == {"a": ["b", {"c": None}]}
    heavy = await contact(place, "heavy")
    assert (heavy.attributes, heavy.email) == ({}, "heavy@example.com")
    place.clock.advance(timedelta(minutes=1))
    for half in ("one", "two"):
        await place.catalog.keep_profiles([given(place, 1, external_id="heavy", attributes={half: "x" * 20_000})])
    assert list((await contact(place, "heavy")).attributes) == ["one"]


@pytest.mark.integration
async def test_crossing_batches_of_the_same_people_do_not_lock_one_another_out(place: Any) -> None:
    def batch(minute: int) -> list[GivenProfile]:
        names = [f"user-{n}" for n in range(50)]
        return [
            given(place, minute, external_id=name, tags=[f"t{minute}"])
            for name in (names if minute % 2 else names[::-1])
        ]

    await asyncio.gather(*(place.catalog.keep_profiles(batch(minute)) for minute in range(8)))
    found = await place.catalog.contacts_by_external_id(place.workspace, [f"user-{n}" for n in range(50)])
    assert {frozenset(one.tags) for one in found} == {frozenset(f"t{minute}" for minute in range(8))}


@pytest.mark.integration
async def test_an_address_belongs_to_the_contact_who_has_had_it_longest(place: Any) -> None:
    await place.catalog.keep_profiles([given(place, 0, external_id="ada", phone_number="+14155550123")])
    place.clock.advance(timedelta(milliseconds=1))
    await place.catalog.keep_profiles(
        [
            given(place, 0, external_id="bob", phone_number="+14155550123", email="bob@example.com"),
            given(place, 0, external_id="+14155550199", phone_number="+14155550199"),
        ]
    )
    owners = await place.catalog.owners_of_addresses(
        [
            given(place, 1, external_id="+14155550123", phone_number="+1 415 555 0123", email="bob@example.com"),
            given(place, 1, external_id="bob@example.com", email="Bob@example.com"),
            given(place, 1, external_id="+14155550199", phone_number="+14155550199"),
            given(place, 1, external_id="+14155550188", phone_number="+14155550188"),
        ]
    )
    assert owners == {(place.workspace, "+14155550123"): "ada", (place.workspace, "bob@example.com"): "bob"}


def test_two_profiles_of_one_contact_become_one_that_says_what_both_say() -> None:
    def kept(minutes: int, **said: Any) -> Any:
        profile = ContactProfile(**{"external_id": "ada", **said})
        return kept_form(GivenProfile(WORKSPACE, NINE + timedelta(minutes=minutes), profile), "US")

    later = kept(1, email="b@example.com", attributes={"x": 2})
    earlier = kept(0, email="a@example.com", name="Ada", phone_number="415 555 0123", attributes={"x": 1, "y": 1})
    for order in ([later, earlier], [earlier, later]):
        (one,) = each_contact_once(order)
        assert (one.email, one.name, one.phone_number) == ("b@example.com", "Ada", "+14155550123")
        assert one.attributes == {"x": 2, "y": 1}
        assert one.accepted_at == NINE + timedelta(minutes=1)
