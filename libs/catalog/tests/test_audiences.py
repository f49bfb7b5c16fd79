"""Audiences walked in pages, and that each hot query walks an index."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from sluice_catalog.definitions.contact import NewContact
from sluice_catalog.definitions.contacts import Contacts
from sluice_catalog.definitions.lists import ContactList, Lists
from sluice_catalog.definitions.segments import Segment, Segments
from sluice_contracts.messages.trigger import (
    AllRecipients,
    ListRecipients,
    SegmentRecipients,
    TagRecipients,
    UnionRecipients,
)
from sluice_storage import statements

pytestmark = pytest.mark.integration

FILLED = 20_000


async def walked(place: Any, recipients: Any, limit: int) -> list[str]:
    seen: list[str] = []
    after: UUID | None = None
    while page := await place.catalog.audience_page(place.workspace, recipients, after, limit):
        assert len(page) <= limit
        assert [contact.id for contact in page] == sorted(contact.id for contact in page)
        assert after is None or page[0].id > after
        seen += [contact.external_id for contact in page]
        after = page[-1].id
    assert len(seen) == len(set(seen))
    return sorted(seen)


@pytest.fixture
async def people(place: Any) -> AsyncIterator[Any]:
    """Sixty contacts: every second is even, every third a third, every tenth inactive."""
    contacts = Contacts(place.database, place.clock, place.secret_box)
    await contacts.upsert(
        place.workspace,
        [
            NewContact(
                external_id=f"{number:03}",
                status="inactive" if number % 10 == 0 else "active",
                tags=[tag for divisor, tag in ((2, "even"), (3, "third")) if number % divisor == 0],
                attributes={"number": number} if number % 7 else {},
            )
            for number in range(60)
        ],
    )
    await contacts.upsert(place.stranger, [NewContact(external_id="stranger", tags=["even", "third"])])
    return place


@pytest.mark.parametrize("limit", [1, 7, 1000])
async def test_every_active_contact_of_an_audience_comes_once_in_the_order_of_ids(people: Any, limit: int) -> None:
    active = [number for number in range(60) if number % 10]
    segment = await Segments(people.database, people.clock).create(
        people.workspace,
        Segment(name="Above forty", filter="contact.attributes.number > 40 && !('even' in contact.tags)"),
    )
    lists = Lists(people.database, people.clock)
    some = await lists.create(people.workspace, ContactList(name="Some"))
    await lists.add(people.workspace, "Some", [f"{number:03}" for number in range(20)])
    others = await lists.create(people.workspace, ContactList(name="Others"))
    await lists.add(people.workspace, "Others", [f"{number:03}" for number in range(15, 25)])
    foreign = await lists.create(people.stranger, ContactList(name="Theirs"))
    await lists.add(people.stranger, "Theirs", ["stranger"])
    for recipients, expected in (
        (AllRecipients(), active),
        (TagRecipients(tags=["even"]), [n for n in active if n % 2 == 0]),
        (TagRecipients(tags=["even", "third"]), [n for n in active if n % 6 == 0]),
        (TagRecipients(tags=["third", "nobody"]), []),
        (TagRecipients(tags=[]), []),
        (ListRecipients(list_id=some.id), [n for n in active if n < 20]),
        (ListRecipients(list_id=UUID(int=5)), []),
        (
            UnionRecipients(external_ids=["003", "059", "050", "stranger"], list_ids=[some.id, others.id, foreign.id]),
            [n for n in active if n < 25 or n == 59],
        ),
        (UnionRecipients(external_ids=["031", "031"]), [31]),
        (UnionRecipients(), []),
        (SegmentRecipients(segment_id=segment.id), [n for n in active if n % 7 and n > 40 and n % 2]),
        (SegmentRecipients(segment_id=UUID(int=5)), []),
    ):
        names = [f"{number:03}" for number in expected]
        assert await walked(people, recipients, limit) == names
        assert await people.catalog.audience_count(people.workspace, recipients) == len(names)


async def test_an_audience_is_its_own_workspaces(people: Any) -> None:
    segment = await Segments(people.database, people.clock).create(
        people.workspace, Segment(name="Everyone", filter="true")
    )
    for recipients in (AllRecipients(), TagRecipients(tags=["even"])):
        found = await people.catalog.audience_page(people.stranger, recipients, None, 100)
        assert [contact.external_id for contact in found] == ["stranger"]
    theirs = SegmentRecipients(segment_id=segment.id)
    assert await people.catalog.audience_page(people.stranger, theirs, None, 100) == []


async def test_contacts_are_read_by_both_ids_within_their_workspace(people: Any) -> None:
    found = await people.catalog.contacts_by_external_id(people.workspace, ["001", "002", "stranger", "nobody"])
    assert sorted(contact.external_id for contact in found) == ["001", "002"]
    ids = [contact.id for contact in found]
    assert len(await people.catalog.contacts_by_id(people.workspace, ids)) == 2
    assert await people.catalog.contacts_by_id(people.stranger, ids) == []


async def filled(place: Any) -> UUID:
    """Fill the workspace's tables and return a list's id: the audiences are a rare tag, a common one, and a list."""
    async with place.database.transaction() as connection:
        await connection.execute(
            """
            INSERT INTO catalog.contacts
                (workspace_id, id, external_id, email, phone_number, tags, created_at, updated_at)
            SELECT $1, uuidv7(), 'user_' || n, 'u' || n || '@example.com', '+1415' || (5550000 + n),
                   CASE WHEN n % 100 = 0 THEN ARRAY['common', 'rare'] ELSE ARRAY['common'] END, now(), now()
            FROM generate_series(1, $2) AS n
            """,
            place.workspace,
            FILLED,
        )
        await connection.execute(
            """
            INSERT INTO catalog.contact_tags (workspace_id, tag, contact_id)
            SELECT workspace_id, tag, id FROM catalog.contacts, unnest(tags) AS tag WHERE workspace_id = $1
            """,
            place.workspace,
        )
        list_id: UUID = (await Lists(place.database, place.clock).create(place.workspace, ContactList(name="Many"))).id
    async with place.database.transaction() as connection:
        await connection.execute(
            "INSERT INTO catalog.list_members SELECT $2, id FROM catalog.contacts WHERE workspace_id = $1",
            place.workspace,
            list_id,
        )
        await connection.execute(
            """
            INSERT INTO catalog.suppressions (workspace_id, channel, address, reason, id, created_at)
            SELECT $1, 'sms', '+1415' || (5550000 + n), 'manual', uuidv7(), now() FROM generate_series(1, $2) AS n
            """,
            place.workspace,
            FILLED,
        )
    async with place.database.connection() as connection:
        await connection.execute("ANALYZE catalog.contacts, catalog.contact_tags, catalog.list_members")
        await connection.execute("ANALYZE catalog.suppressions")
    return list_id


def touched_rows(plan: dict[str, Any]) -> float:
    """Return the most rows that any node of a plan read or threw away."""
    own = (plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)) * plan["Actual Loops"]
    return max([own, *(touched_rows(child) for child in plan.get("Plans", ()))])


def nodes(plan: dict[str, Any]) -> list[str]:
    return [plan["Node Type"], *(node for child in plan.get("Plans", ()) for node in nodes(child))]


async def test_hot_queries_touch_only_what_they_return(place: Any) -> None:
    list_id = await filled(place)
    reads = statements.load("sluice_catalog", "reads.sql")
    async with place.database.connection() as connection:
        middle = await connection.fetchval(
            "SELECT id FROM catalog.contacts WHERE workspace_id = $1 ORDER BY id OFFSET $2 LIMIT 1",
            place.workspace,
            FILLED // 2,
        )
        some = random.Random(1).sample(range(1, FILLED), 200)
        for name, arguments in {
            "contacts_by_external_id": [place.workspace, [f"user_{n}" for n in some]],
            "suppressions_among": [place.workspace, "sms", [f"+1415{5550000 + n}" for n in some]],
            "page_of_all": [place.workspace, middle, 500],
            "page_of_tags": [place.workspace, middle, 500, "common", ["common"]],
            "page_of_list": [place.workspace, middle, 500, list_id],
            "page_of_union": [place.workspace, middle, 250, [f"user_{n}" for n in some], [list_id]],
        }.items():
            explained = await connection.fetchval(
                f"EXPLAIN (ANALYZE, FORMAT JSON) {getattr(reads, name)}",
                *arguments,
            )
            plan = explained[0]["Plan"]
            assert "Seq Scan" not in nodes(plan), name
            assert touched_rows(plan) <= 600, name
        rare = await connection.fetchval(
            f"EXPLAIN (ANALYZE, FORMAT JSON) {reads.page_of_tags}",
            place.workspace, middle, 500, "rare", ["common", "rare"],
        )  # fmt: skip
        assert touched_rows(rare[0]["Plan"]) <= FILLED / 100
        rarest = await connection.fetchval(reads.rarest_tag, place.workspace, ["common", "rare"])
        assert rarest == "rare"
