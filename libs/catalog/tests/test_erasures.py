"""Erasures: who it was is sealed, carried out again and again, and gone in the end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from sluice_catalog.definitions.contact import NewContact
from sluice_catalog.definitions.contacts import Contacts
from sluice_catalog.erasures import KEPT, UNDER_WAY, Eraser, Erasure, Erasures

pytestmark = pytest.mark.integration


class Memory:
    """A service that knows people; notes whom it was asked to forget."""

    def __init__(self) -> None:
        self.forgotten: list[tuple[UUID, list[str]]] = []

    async def __call__(self, workspace_id: UUID, erasures: Sequence[Erasure]) -> int:
        self.forgotten.append((workspace_id, sorted(erasure.external_id for erasure in erasures)))
        return len(erasures)


@pytest.fixture
async def erasures(place: Any) -> Erasures:
    async with place.database.connection() as connection:
        await connection.execute("TRUNCATE catalog.erasures")
    return Erasures(place.database, place.secret_box)


async def erase(place: Any, *names: str) -> list[UUID]:
    contacts = Contacts(place.database, place.clock, place.secret_box)
    for name in names:
        given = NewContact(external_id=name, email=f"{name}@erased.example", phone_number="+14155550123")
        await contacts.upsert(place.workspace, [given])
    return [await contacts.delete(place.workspace, name, erase=True) for name in names]


async def test_an_erasure_names_the_person_to_those_who_can_open_it_and_to_nobody_else(
    place: Any, erasures: Erasures
) -> None:
    (contact_id,) = await erase(place, "ada")
    assert await erasures.named([contact_id]) == {
        place.workspace: [
            Erasure(
                place.workspace,
                contact_id,
                "ada",
                ("ada@erased.example", "+14155550123"),
                place.clock.now() + UNDER_WAY,
            )
        ]
    }
    async with place.database.connection() as connection:
        stored = await connection.fetchval("SELECT erasures::text FROM catalog.erasures")
    assert not any(known in stored for known in ("ada", "erased.example", "14155550123"))


async def test_a_contact_that_is_only_deleted_is_nobody_to_be_forgotten(place: Any, erasures: Erasures) -> None:
    contacts = Contacts(place.database, place.clock, place.secret_box)
    await contacts.upsert(place.workspace, [NewContact(external_id="bob")])
    await contacts.delete(place.workspace, "bob")
    assert await erasures.under_way() == []


async def test_an_erasure_is_carried_out_at_once_and_again_at_growing_distances(place: Any, erasures: Erasures) -> None:
    memory = Memory()
    eraser = Eraser(erasures, memory, place.clock)
    await erase(place, "ada", "bob")
    assert [await eraser.carry_out(), await eraser.carry_out()] == [2, 0]
    for minutes in (1, 10, 100, 1000, 1440, 1440):
        place.clock.advance(timedelta(minutes=minutes, seconds=-1))
        assert await eraser.carry_out() == 0
        place.clock.advance(timedelta(seconds=1))
        assert await eraser.carry_out() == 2
    assert memory.forgotten == [(place.workspace, ["ada", "bob"])] * 7


async def test_what_fails_is_tried_again(place: Any, erasures: Erasures) -> None:
    memory = Memory()
    fails = [ConnectionError("away")]

    async def forget(workspace_id: UUID, found: Sequence[Erasure]) -> int:
        if fails:
            raise fails.pop()
        return await memory(workspace_id, found)

    eraser = Eraser(erasures, forget, place.clock)
    await erase(place, "ada")
    with pytest.raises(ConnectionError):
        await eraser.carry_out()
    await eraser.carry_out()
    assert memory.forgotten == [(place.workspace, ["ada"])]


async def test_in_the_end_nobody_can_say_who_it_was(place: Any, erasures: Erasures) -> None:
    (contact_id,) = await erase(place, "ada")
    await erasures.shred(place.clock.now())
    assert await erasures.under_way() == [contact_id]
    place.clock.advance(KEPT + timedelta(seconds=1))
    await erasures.shred(place.clock.now() - KEPT)
    assert (await erasures.under_way(), await erasures.named([contact_id])) == ([], {})
