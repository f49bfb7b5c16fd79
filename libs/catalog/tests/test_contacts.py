"""Contacts written by many at once, with their index of tags kept true."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from sluice_catalog.definitions.bulk import Upserted
from sluice_catalog.definitions.contact import ContactChange, NewContact
from sluice_catalog.definitions.contacts import Contacts
from sluice_catalog.definitions.problems import InvalidDefinition, OutdatedRevision

pytestmark = pytest.mark.integration


async def index_of_tags(place: Any) -> tuple[list[Any], list[Any]]:
    async with place.database.connection() as connection:
        kept = await connection.fetch(
            "SELECT tag, contact_id FROM catalog.contact_tags WHERE workspace_id = $1 ORDER BY 1, 2", place.workspace
        )
        true = await connection.fetch(
            "SELECT tag, id FROM catalog.contacts, unnest(tags) AS tag WHERE workspace_id = $1 ORDER BY 1, 2",
            place.workspace,
        )
    return [tuple(row) for row in kept], [tuple(row) for row in true]


async def test_many_writers_of_the_same_contacts_never_wait_crosswise(place: Any) -> None:
    contacts = Contacts(place.database, place.clock, place.secret_box)
    chance = random.Random(7)

    async def write(writer: int) -> None:
        for _ in range(6):
            chosen = chance.sample(range(60), 40)
            given = [
                NewContact(external_id=f"c{n}", tags=chance.sample(["a", "b", "c", "d"], 2), name=f"by {writer}")
                for n in chosen
            ]
            results = await contacts.upsert(place.workspace, given)
            assert all(isinstance(result, Upserted) for result in results)

    async with asyncio.timeout(180):
        await asyncio.gather(*(write(writer) for writer in range(4)))
    kept, true = await index_of_tags(place)
    assert kept == true
    assert kept


async def test_a_contact_is_created_by_one_of_two_who_create_it_at_once(place: Any) -> None:
    contacts = Contacts(place.database, place.clock, place.secret_box)
    given = [NewContact(external_id="same", tags=["a"])]
    results = await asyncio.gather(*(contacts.upsert(place.workspace, given) for _ in range(4)))
    upserted = [result for (result,) in results if isinstance(result, Upserted)]
    assert [one.created for one in upserted].count(True) == 1
    assert len({one.stored.contact.id for one in upserted}) == 1
    kept, true = await index_of_tags(place)
    assert kept == true == [("a", upserted[0].stored.contact.id)]


async def test_of_two_changes_to_one_revision_one_is_outdated(place: Any) -> None:
    contacts = Contacts(place.database, place.clock, place.secret_box)
    await contacts.upsert(place.workspace, [NewContact(external_id="same")])
    results = await asyncio.gather(
        *(contacts.change(place.workspace, "same", 1, ContactChange(name=name)) for name in ("a", "b")),
        return_exceptions=True,
    )
    assert [type(result) for result in results].count(OutdatedRevision) == 1
    assert (await contacts.get(place.workspace, "same")).revision == 2


async def test_attributes_that_grow_too_large_together_are_refused(place: Any) -> None:
    contacts = Contacts(place.database, place.clock, place.secret_box)
    results = []
    for number in range(3):
        attributes = {f"a{number}": "x" * 15_000}
        results += await contacts.upsert(place.workspace, [NewContact(external_id="same", attributes=attributes)])
    assert [isinstance(result, InvalidDefinition) for result in results] == [False, False, True]
    stored = await contacts.get(place.workspace, "same")
    assert sorted(stored.contact.attributes) == ["a0", "a1"]


async def test_opting_out_twice_is_opting_out_once(place: Any) -> None:
    contacts = Contacts(place.database, place.clock, place.secret_box)
    await contacts.upsert(place.workspace, [NewContact(external_id="same", email="a@b.example")])
    for category in ("marketing", "marketing", "*"):
        await place.catalog.record_opt_out(place.workspace, "same", "a@b.example", "email", category)
    stored = await contacts.get(place.workspace, "same")
    assert stored.contact.opt_outs == {"email": ["marketing", "*"]}
    assert stored.revision == 3
    assert await place.catalog.suppressions_among(place.workspace, "email", ["a@b.example"]) == {}
