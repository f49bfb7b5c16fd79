"""People, lists and tenants in pages; definitions that are put in the place of what there is."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from sluice_catalog.definitions.contact import NewContact
from sluice_catalog.definitions.contacts import Contacts
from sluice_catalog.definitions.lists import ContactList, Lists
from sluice_catalog.definitions.novu_workflows import NovuWorkflowDefinition, NovuWorkflows
from sluice_catalog.definitions.problems import NotThere
from sluice_catalog.definitions.tenants import TenantDefinition, Tenants
from sluice_catalog.directory import Directory, PeopleFilter, Span
from sluice_catalog.snapshot import CatalogSnapshot
from sluice_contracts.novu import object_id

pytestmark = pytest.mark.integration


async def people(place: Any, count: int) -> list[UUID]:
    ids = []
    for number in range(count):
        given = NewContact(external_id=f"p{number}", first_name=f"Ada_{number}", email=f"p{number}@example.com")
        (result,) = await Contacts(place.database, place.clock, place.secret_box).upsert(place.workspace, [given])
        ids.append(result.stored.contact.id)
    return ids


async def test_people_are_paged_up_and_down_and_by_what_is_known_of_them(place: Any) -> None:
    ids = sorted(await people(place, 5))
    directory = Directory(place.database)

    up = await directory.people(place.workspace, PeopleFilter(), Span(ids[1], 2, ascending=True))
    down = await directory.people(place.workspace, PeopleFilter(), Span(ids[3], 10, ascending=False))
    named = await directory.people(place.workspace, PeopleFilter(name="a_3"), Span(None, 10, ascending=True))
    numbered = await directory.people_from(place.workspace, 1, 2)

    assert [stored.contact.id for stored in up] == ids[2:4]
    assert [stored.contact.id for stored in down] == [ids[2], ids[1], ids[0]]
    assert [stored.contact.external_id for stored in named] == ["p3"], "an underscore is no wildcard"
    assert [stored.contact.id for stored in numbered] == [ids[3], ids[2]]
    assert await directory.count_people(place.workspace, PeopleFilter(email="@EXAMPLE")) == 5
    assert await directory.count_people(place.stranger, PeopleFilter()) == 0


async def test_members_and_memberships_say_since_when(place: Any) -> None:
    await people(place, 3)
    lists, directory = Lists(place.database, place.clock), Directory(place.database)
    one = await lists.create(place.workspace, ContactList(key="one", name="One"))
    await lists.create(place.workspace, ContactList(key="two", name="Two"))
    await lists.add(place.workspace, "one", ["p0", "p2"])
    await lists.add(place.workspace, "two", ["p2"])

    members = await directory.members(place.workspace, one.id, None, None, 10)
    only = await directory.members(place.workspace, one.id, ["p2", "p1"], None, 10)
    memberships = await directory.memberships(place.workspace, only[0].contact_id, None, None, 10)

    assert {member.external_id for member in members} == {"p0", "p2"}
    assert all(member.added_at == place.clock.now() for member in members)
    assert [member.external_id for member in only] == ["p2"]
    assert {membership.topic.key for membership in memberships} == {"one", "two"}
    assert await directory.count_members(one.id) == 2
    assert await directory.members(place.stranger, one.id, None, None, 10) == []
    assert [record.key for record in await directory.lists_from(place.workspace, "two", 0, 5)] == ["two"]
    assert await directory.count_lists(place.workspace, "o", None) == 2


async def test_what_is_put_is_created_once_and_changed_afterwards(place: Any) -> None:
    tenants = Tenants(place.database, place.clock)

    first, created = await tenants.put(place.workspace, "acme", TenantDefinition(key="acme", data={"plan": "pro"}))
    second, again = await tenants.put(place.workspace, "acme", TenantDefinition(key="acme", name="Acme"))

    assert (created, again) == (True, False)
    assert (second.id, second.revision) == (first.id, 2)
    assert second.content == TenantDefinition(key="acme", name="Acme")
    assert [record.key for record in await Directory(place.database).tenants_from(place.workspace, 0, 10)] == ["acme"]
    with pytest.raises(NotThere):
        await tenants.get(place.stranger, "acme")


async def test_the_snapshot_knows_tenants_and_workflows_in_novus_words(place: Any) -> None:
    await Tenants(place.database, place.clock).create(place.workspace, TenantDefinition(key="acme", name="Acme"))
    document = {
        "name": "Order shipped",
        "active": True,
        "steps": [{"type": "in_app"}],
        "validatePayload": True,
        "payloadSchema": {"type": "object"},
        "whole_payload": False,
    }
    stored = await NovuWorkflows(place.database, place.clock).create(
        place.workspace, NovuWorkflowDefinition(key="order-shipped", document=document)
    )
    snapshot = CatalogSnapshot(place.database, place.secret_box)
    await snapshot.refresh()

    tenant = snapshot.tenant(place.workspace, "acme")
    workflow = snapshot.novu_workflow(place.workspace, "order-shipped")

    assert tenant is not None
    assert tenant.name == "Acme"
    assert workflow is not None
    assert (workflow.steps, workflow.workflow_id, workflow.payload_schema) == (1, None, {"type": "object"})
    assert snapshot.novu_workflow(place.workspace, object_id(stored.id)) == workflow
    assert snapshot.novu_workflow(place.stranger, "order-shipped") is None
