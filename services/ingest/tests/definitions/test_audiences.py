"""The doors to segments and lists, and whom they reach."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from sluice_contracts.messages.trigger import ListRecipients, SegmentRecipients

pytestmark = pytest.mark.integration


async def test_a_segment_is_made_changed_and_deleted(doors: Any) -> None:
    made = await doors.ours("POST", "/segments", {"name": "Pro users", "filter": "contact.attributes.plan == 'pro'"})
    assert (made.status, made.body["key"]) == (201, "Pro users")
    assert doors.snapshot.segment(doors.workspace, "Pro users") == UUID(made.body["id"])
    await doors.ours("POST", "/contacts", {"external_id": "a", "attributes": {"plan": "pro"}})
    await doors.ours("POST", "/contacts", {"external_id": "b", "attributes": {"plan": "free"}})
    recipients = SegmentRecipients(segment_id=UUID(made.body["id"]))
    found = await doors.catalog.audience_page(doors.workspace, recipients, None, 10)
    assert [contact.external_id for contact in found] == ["a"]
    changed = await doors.ours("PATCH", "/segments/Pro%20users", {"filter": "contact.attributes.plan != 'pro'"})
    assert changed.body["revision"] == 2
    assert await doors.catalog.audience_count(doors.workspace, recipients) == 1
    assert (await doors.ours("DELETE", "/segments/Pro%20users")).status == 204
    assert (await doors.ours("GET", "/segments/Pro%20users")).status == 404
    assert doors.snapshot.segment(doors.workspace, "Pro users") is None


@pytest.mark.parametrize("source", ["contact.x ==", "variables.x == 1", "'text'", "", "contact." + "x" * 2000])
async def test_a_filter_that_is_no_condition_on_a_contact_is_refused(doors: Any, source: str) -> None:
    answer = await doors.ours("POST", "/segments", {"name": "Broken", "filter": source})
    assert (answer.status, answer.fields) == (422, ["filter"])


async def test_members_are_put_on_a_list_and_taken_off(doors: Any) -> None:
    made = await doors.ours("POST", "/lists", {"name": "Newsletter", "key": "news"})
    for external_id in ("a", "b", "c"):
        await doors.ours("POST", "/contacts", {"external_id": external_id})
    await doors.theirs("POST", "/contacts", {"external_id": "stranger"})
    added = await doors.ours("POST", "/lists/news/members", {"contacts": ["a", "b", "b", "stranger", "nobody"]})
    assert added.body == {"changed": 2, "unknown": ["stranger", "nobody"]}
    assert (await doors.ours("POST", "/lists/news/members", {"contacts": ["b", "c"]})).body["changed"] == 1
    removed = await doors.ours("POST", "/lists/news/members/remove", {"contacts": ["a", "nobody"]})
    assert removed.body == {"changed": 1, "unknown": ["nobody"]}
    page = await doors.ours("GET", "/lists/news/members?limit=1")
    assert page.body["pagination"]["has_more"] is True
    rest = await doors.ours("GET", f"/lists/news/members?cursor={page.body['pagination']['next_cursor']}")
    names = {member["external_id"] for member in page.body["data"] + rest.body["data"]}
    assert names == {"b", "c"}
    recipients = ListRecipients(list_id=UUID(made.body["id"]))
    assert await doors.catalog.audience_count(doors.workspace, recipients) == 2
    await doors.ours("DELETE", "/contacts/external/b")
    assert await doors.catalog.audience_count(doors.workspace, recipients) == 1


async def test_another_workspaces_list_is_not_there(doors: Any) -> None:
    made = await doors.ours("POST", "/lists", {"name": "Newsletter"})
    await doors.theirs("POST", "/contacts", {"external_id": "a"})
    for path in (f"/lists/{made.body['id']}/members", "/lists/Newsletter/members"):
        assert (await doors.theirs("POST", path, {"contacts": ["a"]})).status == 404
        assert (await doors.theirs("GET", path)).status == 404
    assert (await doors.theirs("POST", "/lists", {"name": "Newsletter"})).status == 201
    assert (await doors.ours("POST", "/lists", {"name": "Newsletter"})).status == 409


async def test_definitions_are_listed_in_pages(doors: Any) -> None:
    for number in range(5):
        await doors.ours("POST", "/lists", {"name": f"List {number}"})
    first = (await doors.ours("GET", "/lists?limit=3")).body
    second = (await doors.ours("GET", f"/lists?limit=3&cursor={first['pagination']['next_cursor']}")).body
    assert [len(first["data"]), len(second["data"])] == [3, 2]
    assert second["pagination"] == {"limit": 3, "has_more": False, "next_cursor": None}
    assert (await doors.ours("GET", "/lists?cursor=nonsense")).fields == ["cursor"]
