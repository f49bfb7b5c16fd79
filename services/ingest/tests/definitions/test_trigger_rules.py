"""The doors to trigger rules and the condition library, and what the catalog notes of contacts for those who listen."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.integration

RULE = {
    "name": "Thank the buyer",
    "event": "order.paid",
    "filter": "event.data.total > 10 && 'vip' in contact.tags",
    "mapping": [{"variable": "total", "path": "$.total", "type": "number", "default": 0}],
    "workflow": "Thanks",
}


async def with_workflow(doors: Any, status: str = "active") -> str:
    template = {"key": "thanks", "name": "Thanks", "channel": "sms", "category": "transactional"}
    await doors.ours("POST", "/templates", {**template, "variants": [{"text": "Thank you"}]})
    steps = [{"step_id": "thanks", "step_name": "Thanks", "channel": "sms", "template_key": "thanks"}]
    made = await doors.ours("POST", "/workflows", {"name": "Thanks", "type": "steps", "status": status, "steps": steps})
    assert made.status == 201, made.body
    return str(made.body["id"])


async def test_a_rule_is_made_changed_and_deleted(doors: Any) -> None:
    workflow = await with_workflow(doors)
    made = await doors.ours("POST", "/trigger-rules", {**RULE, "status": "active"})
    assert (made.status, made.body["key"], made.body["workflow_id"]) == (201, "Thank the buyer", workflow)
    (rule,) = (await doors.catalog.rules_for({(doors.workspace, "order.paid")}))[doors.workspace, "order.paid"]
    assert (str(rule.rule_id), rule.workflow.name, rule.workflow.version) == (made.body["id"], "Thanks", 1)
    assert (rule.mapping[0].variable, rule.mapping[0].type, rule.mapping[0].default) == ("total", "number", 0)
    path = f"/trigger-rules/{made.body['id']}"
    assert (await doors.ours("PATCH", path, {"status": "inactive"}, If_Match='"9"')).status == 412
    changed = await doors.ours("PATCH", path, {"status": "inactive"}, If_Match='"1"')
    assert (changed.status, changed.body["revision"], changed.body["status"]) == (200, 2, "inactive")
    assert not (await doors.catalog.rules_for({(doors.workspace, "order.paid")}))
    assert (await doors.theirs("GET", path)).status == 404
    listed = await doors.ours("GET", "/trigger-rules")
    assert [item["id"] for item in listed.body["data"]] == [made.body["id"]]
    assert (await doors.ours("DELETE", path)).status == 204
    assert (await doors.ours("GET", path)).status == 404


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"event": ""}, "event"),
        ({"filter": "steps.a.state == 'sent'"}, "filter"),
        ({"filter": "event.data.total >"}, "filter"),
        ({"mapping": [{"variable": "1x", "path": "$.a"}]}, "mapping.0.variable"),
        ({"mapping": [{"variable": "x", "path": "a.b"}]}, "mapping.0.path"),
        ({"mapping": [{"variable": "x", "path": "$..a..b"}]}, "mapping.0.path"),
        ({"mapping": [{"variable": "x", "path": "$.a", "type": "colour"}]}, "mapping.0.type"),
        ({"mapping": [{"variable": "x", "path": "$.a", "type": "number", "default": "many"}]}, "mapping.0.default"),
        ({"mapping": [{"variable": "x", "path": "$.a"}, {"variable": "x", "path": "$.b"}]}, "mapping.1.variable"),
        ({"reentry_gap_minutes": 0}, "reentry_gap_minutes"),
        ({"status": "paused"}, "status"),
        ({"unknown": 1}, "unknown"),
    ],
)
async def test_what_is_wrong_with_a_rule_is_named(doors: Any, change: dict[str, Any], field: str) -> None:
    answer = await doors.ours("POST", "/trigger-rules", {**RULE, **change})
    assert (answer.status, answer.fields) == (422, [field])


EIGHT_OF_EACH = "[0]" + ".map(a, [a, a, a, a, a, a, a, a])" * 10


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("(" * 40 + "true" + ")" * 40, "Parts of a condition are nested at most 32 deep"),
        ("[1,2,3,4,5,6,7,8,9,10].all(a, " * 9 + "true" + ")" * 9, "it goes through more than 10,000 elements"),
        (f"{EIGHT_OF_EACH} == {EIGHT_OF_EACH}", "it takes more computing than an expression may"),
    ],
)
async def test_a_condition_that_is_too_much_work_is_refused_in_words(doors: Any, source: str, sentence: str) -> None:
    for path, body in (("/trigger-rules", RULE), ("/segments", {"name": "Everybody"})):
        answer = await doors.ours("POST", path, {**body, "filter": source})
        assert (answer.status, answer.fields) == (422, ["filter"])
        assert answer.body["errors"][0]["message"] == f"is not a usable condition: {sentence}"
    steps = [{"step_id": "s", "step_name": "S", "channel": "sms", "template_key": "thanks", "condition": source}]
    answer = await doors.ours("POST", "/workflows", {"name": "Thanks", "type": "steps", "steps": steps})
    assert (answer.status, answer.fields) == (422, ["steps.0.condition"])


async def test_only_a_rule_whose_workflow_is_active_can_be_active(doors: Any) -> None:
    draft = await doors.ours("POST", "/trigger-rules", RULE)
    assert (draft.status, draft.body["workflow_id"]) == (201, None)
    path = "/trigger-rules/Thank%20the%20buyer"
    refused = await doors.ours("PATCH", path, {"status": "active"})
    assert (refused.status, refused.fields) == (422, ["workflow"])
    await with_workflow(doors, "draft")
    assert (await doors.ours("PATCH", path, {"status": "active"})).status == 422
    await doors.ours("PATCH", "/workflows/Thanks", {"status": "active"})
    assert (await doors.ours("PATCH", path, {"status": "active"})).status == 200


async def test_the_library_shows_what_conditions_may_use(doors: Any) -> None:
    shown = await doors.ours("GET", "/expressions")
    assert shown.status == 200
    entry = next(item for item in shown.body["data"] if item["name"] == "contact.tags")
    assert entry["type"] == "list of string"
    assert shown.body["sample"]["contact"]["external_id"] == "user_123"
    rule = await doors.ours("POST", "/trigger-rules", {**RULE, "filter": entry["example"]})
    assert rule.status == 201


async def changes(doors: Any) -> list[tuple[str, list[str] | None, list[str]]]:
    async with doors.catalog.contact_changes() as hand:
        found = [
            (change.present["external_id"], change.former and change.former["tags"], change.present["tags"])
            for change in hand.changes
            if change.workspace_id == doors.workspace
        ]
        await hand.done()
    return found


async def test_changes_of_contacts_are_noted_with_them_where_somebody_listens(doors: Any) -> None:
    await with_workflow(doors)
    await doors.ours("POST", "/contacts", {"external_id": "before", "tags": ["vip"]})
    assert await changes(doors) == []
    rule = await doors.ours("POST", "/trigger-rules", {**RULE, "event": "contact.tag_added", "status": "active"})
    await doors.ours(
        "POST", "/contacts/bulk", {"contacts": [{"external_id": "a", "tags": ["x"]}, {"external_id": "b"}]}
    )
    await doors.ours("POST", "/contacts/external/before/tags", {"add": ["new"]})
    await doors.theirs("POST", "/contacts", {"external_id": "stranger", "tags": ["new"]})
    assert sorted(await changes(doors)) == [
        ("a", None, ["x"]), ("b", None, []), ("before", ["vip"], ["vip", "new"]),
    ]  # fmt: skip
    assert await changes(doors) == []
    await doors.ours("PATCH", f"/trigger-rules/{rule.body['id']}", {"status": "inactive"})
    await doors.ours("POST", "/contacts", {"external_id": "c", "tags": ["x"]})
    assert await changes(doors) == []


async def test_changes_are_in_one_hand_at_a_time(doors: Any) -> None:
    await with_workflow(doors)
    await doors.ours("POST", "/trigger-rules", {**RULE, "event": "contact.created", "status": "active"})
    await doors.ours("POST", "/contacts", {"external_id": "a"})
    async with doors.catalog.contact_changes() as mine, doors.catalog.contact_changes() as other:
        assert mine.changes
        assert not other.changes
    assert [name for name, _, _ in await changes(doors)] == ["a"]
