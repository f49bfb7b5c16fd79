"""The doors to contacts."""

from __future__ import annotations

from typing import Any

import pytest

from sluice_contracts.messages.trigger import TagRecipients

pytestmark = pytest.mark.integration

ADA = {
    "external_id": "user_123",
    "email": "Ada@Example.com",
    "phone_number": "+1 (415) 555-0123",
    "name": "Ada L",
    "first_name": None,
    "last_name": None,
    "locale": "en-US",
    "timezone": "America/New_York",
    "tags": ["vip"],
    "attributes": {"plan": "pro"},
}


async def test_a_contact_is_created_once_and_then_changed(doors: Any) -> None:
    created = await doors.ours("POST", "/contacts", ADA)
    assert created.status == 201
    assert created.body["email"] == "ada@example.com"
    assert (created.body["phone_number"], created.body["country"]) == ("+14155550123", "US")
    assert created.headers["ETag"] == '"1"'
    again = await doors.ours(
        "POST", "/contacts", {"external_id": "user_123", "first_name": "Ada", "attributes": {"seats": 3}}
    )
    assert again.status == 200
    assert again.body["id"] == created.body["id"]
    assert again.body["attributes"] == {"plan": "pro", "seats": 3}
    assert (again.body["first_name"], again.body["name"], again.body["tags"]) == ("Ada", "Ada L", ["vip"])


async def test_a_contact_is_found_by_our_id_and_by_the_callers(doors: Any) -> None:
    made = await doors.ours("POST", "/contacts", {**ADA, "external_id": "team/a b%2F?"})
    by_id = await doors.ours("GET", f"/contacts/{made.body['id']}")
    by_external_id = await doors.ours("GET", "/contacts/external/team%2Fa%20b%252F%3F")
    assert by_id.body == by_external_id.body == made.body


async def test_another_workspaces_contact_is_not_there(doors: Any) -> None:
    made = await doors.ours("POST", "/contacts", ADA)
    for method, path, body in (
        ("GET", "", None),
        ("PATCH", "", {"name": "x"}),
        ("DELETE", "", None),
        ("POST", "/tags", {"add": ["x"]}),
        ("POST", "/erase", None),
    ):
        assert (await doors.theirs(method, f"/contacts/{made.body['id']}{path}", body)).status == 404
        assert (await doors.theirs(method, f"/contacts/external/user_123{path}", body)).status == 404
    assert (await doors.ours("GET", "/contacts/external/user_123")).body == made.body


async def test_a_change_needs_the_revision_that_it_names(doors: Any) -> None:
    made = await doors.ours("POST", "/contacts", ADA)
    path = f"/contacts/{made.body['id']}"
    changed = await doors.ours("PATCH", path, {"name": "Ada Lovelace", "email": None}, If_Match='"1"')
    assert (changed.status, changed.body["name"], changed.body["email"]) == (200, "Ada Lovelace", None)
    late = await doors.ours("PATCH", path, {"name": "Countess"}, If_Match='"1"')
    assert (late.status, late.headers["ETag"]) == (412, '"2"')
    assert (await doors.ours("PATCH", path, {"name": "Countess"})).status == 200
    assert (await doors.ours("DELETE", path, If_Match='"2"')).status == 412
    assert (await doors.ours("DELETE", path, If_Match='"3"')).status == 204
    assert (await doors.ours("GET", path)).status == 404


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"colour": "red"}, "colour"),
        ({"phone_number": "12"}, "phone_number"),
        ({"email": "ada@"}, "email"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"locale": "!"}, "locale"),
        ({"tags": ["a", ""]}, "tags.1"),
        ({"attributes": {"x": "y" * 40_000}}, "attributes"),
        ({"status": "gone"}, "status"),
        ({"external_id": ""}, "external_id"),
    ],
)
async def test_a_wrong_field_is_named(doors: Any, change: dict[str, Any], field: str) -> None:
    answer = await doors.ours("POST", "/contacts", ADA | change)
    assert (answer.status, answer.fields) == (422, [field])


async def test_an_external_id_can_change_to_one_that_is_free(doors: Any) -> None:
    await doors.ours("POST", "/contacts", ADA)
    await doors.ours("POST", "/contacts", {"external_id": "other"})
    taken = await doors.ours("PATCH", "/contacts/external/user_123", {"external_id": "other"})
    assert (taken.status, taken.fields) == (409, ["external_id"])
    moved = await doors.ours("PATCH", "/contacts/external/user_123", {"external_id": "user_124"})
    assert (moved.status, moved.body["external_id"], moved.body["tags"]) == (200, "user_124", ["vip"])
    assert (await doors.ours("GET", "/contacts/external/user_123")).status == 404


async def test_in_bulk_a_bad_contact_fails_alone_and_the_order_is_kept(doors: Any) -> None:
    await doors.ours("POST", "/contacts", {"external_id": "there", "tags": ["old"]})
    answer = await doors.ours(
        "POST",
        "/contacts/bulk",
        {
            "contacts": [
                {"external_id": "new", "tags": ["a"]},
                {"external_id": "bad", "email": "nope"},
                {"external_id": "there", "tags": ["new"]},
                {"email": "a@b.example"},
                "text",
                {"external_id": "new", "name": "Later", "shoe": 43},
                {"external_id": "new", "name": "Later"},
            ]
        },
    )
    assert answer.status == 200
    results = answer.body["results"]
    assert [result["index"] for result in results] == list(range(7))
    assert [result["status"] for result in results] == [
        "created", "failed", "updated", "failed", "failed", "failed", "updated",
    ]  # fmt: skip
    assert results[1]["errors"][0]["field"] == "email"
    assert results[3]["errors"][0]["field"] == "external_id"
    assert results[5]["errors"][0]["field"] == "shoe"
    assert results[0]["id"] == results[6]["id"]
    merged = await doors.ours("GET", "/contacts/external/new")
    assert (merged.body["name"], merged.body["tags"]) == ("Later", ["a"])
    assert await doors.catalog.audience_count(doors.workspace, TagRecipients(tags=["old"])) == 0
    assert await doors.catalog.audience_count(doors.workspace, TagRecipients(tags=["new"])) == 1


async def test_a_bulk_of_more_than_a_thousand_is_refused(doors: Any) -> None:
    answer = await doors.ours("POST", "/contacts/bulk", {"contacts": [{"external_id": str(n)} for n in range(1001)]})
    assert (answer.status, answer.fields) == (422, ["contacts"])


async def test_contacts_are_listed_in_pages(doors: Any) -> None:
    names = [f"c{number}" for number in range(7)]
    bulk = [{"external_id": name, "tags": ["even"] if place % 2 == 0 else []} for place, name in enumerate(names)]
    await doors.ours("POST", "/contacts/bulk", {"contacts": bulk})
    for query, expected in (("", names), ("&tag=even", names[::2])):
        seen: list[str] = []
        cursor = ""
        while True:
            page = (await doors.ours("GET", f"/contacts?limit=2{query}{cursor}")).body
            seen += [contact["external_id"] for contact in page["data"]]
            assert len(page["data"]) <= page["pagination"]["limit"] == 2
            assert page["pagination"]["has_more"] == (page["pagination"]["next_cursor"] is not None)
            if not page["pagination"]["has_more"]:
                break
            cursor = f"&cursor={page['pagination']['next_cursor']}"
        assert sorted(seen) == expected
    assert (await doors.theirs("GET", "/contacts")).body["data"] == []
    assert (await doors.ours("GET", "/contacts?limit=201")).fields == ["limit"]
    assert (await doors.ours("GET", "/contacts?order=up")).fields == ["order"]


async def test_contacts_are_found_by_their_addresses(doors: Any) -> None:
    await doors.ours("POST", "/contacts", ADA)
    for query in ("email=ADA@example.com", "phone_number=%2B14155550123"):
        found = (await doors.ours("GET", f"/contacts?{query}")).body["data"]
        assert [contact["external_id"] for contact in found] == ["user_123"]
    assert (await doors.ours("GET", "/contacts?email=b@example.com")).body["data"] == []


async def test_tags_are_put_on_and_taken_off(doors: Any) -> None:
    await doors.ours("POST", "/contacts", ADA)
    answer = await doors.ours("POST", "/contacts/external/user_123/tags", {"add": ["b", "c", "b"], "remove": ["vip"]})
    assert answer.body["tags"] == ["b", "c"]
    for tag, count in (("vip", 0), ("b", 1), ("c", 1)):
        assert await doors.catalog.audience_count(doors.workspace, TagRecipients(tags=[tag])) == count


async def test_preferences_are_replaced_whole_or_one_by_one(doors: Any) -> None:
    await doors.ours("POST", "/contacts", ADA)
    path = "/contacts/external/user_123/preferences"
    assert (await doors.ours("GET", path)).body == {"opt_outs": {}}
    put = await doors.ours("PUT", path, {"opt_outs": {"sms": ["marketing"], "email": ["*"]}})
    assert put.body == {"opt_outs": {"sms": ["marketing"], "email": ["*"]}}
    await doors.ours("PATCH", path, {"channel": "sms", "category": "utility", "subscribed": False})
    await doors.ours("PATCH", path, {"channel": "email", "subscribed": True})
    assert (await doors.ours("GET", path)).body == {"opt_outs": {"sms": ["marketing", "utility"]}}
    assert (await doors.ours("PUT", path, {"opt_outs": {"fax": ["*"]}})).status == 422


async def test_an_erased_contact_leaves_only_the_note_of_its_erasure(doors: Any) -> None:
    made = await doors.ours("POST", "/contacts", ADA)
    erased = await doors.ours("POST", "/contacts/external/user_123/erase")
    assert erased.body == {"id": made.body["id"], "erased": True}
    ours = doors.workspace
    async with doors.database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM catalog.contacts WHERE workspace_id = $1", ours) == 0
        assert await connection.fetchval("SELECT count(*) FROM catalog.contact_tags WHERE workspace_id = $1", ours) == 0
        erased_id = await connection.fetchval("SELECT contact_id FROM catalog.erasures WHERE workspace_id = $1", ours)
    assert str(erased_id) == made.body["id"]
    reborn = await doors.ours("POST", "/contacts", ADA)
    assert reborn.status == 201
    assert reborn.body["id"] != made.body["id"]
