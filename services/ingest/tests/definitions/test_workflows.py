"""The doors to workflows."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

pytestmark = pytest.mark.integration

STEPS: dict[str, Any] = {
    "name": "Welcome Series",
    "type": "steps",
    "status": "active",
    "steps": [
        {
            "step_id": "step-1",
            "step_name": "Welcome Email",
            "channel": "email",
            "template_key": "welcome",
            "delay_minutes": 0,
        },
        {
            "step_id": "step-2",
            "step_name": "Day 1 SMS",
            "channel": "sms",
            "template_key": "day1",
            "delay_minutes": 1440,
            "condition": "contact.attributes.plan == 'pro'",
        },
    ],
}
GROUP: dict[str, Any] = {
    "name": "Multi-Channel OTP",
    "type": "template_group",
    "status": "active",
    "template_group_key": "otp_all",
}


@pytest.fixture
async def doors_with_templates(doors: Any) -> Any:
    sms = {"key": "day1", "name": "Day 1", "channel": "sms", "category": "marketing", "variants": [{"text": "Hi"}]}
    otp = sms | {"key": "otp_us", "category": "authentication"}
    email = {
        "key": "welcome",
        "name": "Welcome",
        "channel": "email",
        "variants": [{"subject": "Hi", "text": "Hi"}],
    }
    for template in (sms, otp, email):
        assert (await doors.ours("POST", "/templates", template)).status == 201
    group = {"key": "otp_all", "name": "OTP", "templates": {"sms": "otp_us"}}
    assert (await doors.ours("POST", "/template-groups", group)).status == 201
    return doors


async def test_an_active_workflow_is_published_with_every_change(doors_with_templates: Any) -> None:
    doors = doors_with_templates
    made = await doors.ours("POST", "/workflows", STEPS)
    assert (made.status, made.body["version"], made.body["category"]) == (201, 1, "marketing")
    steps = [STEPS["steps"][0]]
    changed = await doors.ours("PATCH", "/workflows/Welcome%20Series", {"steps": steps}, If_Match='"1"')
    assert (changed.status, changed.body["version"], changed.body["category"]) == (200, 2, "transactional")
    first = await doors.catalog.workflow_version(made.body["id"], 1)
    second = await doors.catalog.workflow_version(made.body["id"], 2)
    assert [step.step_id for step in first.steps] == ["step-1", "step-2"]
    assert first.steps[1].condition == "contact.attributes.plan == 'pro'"
    assert [step.step_id for step in second.steps] == ["step-1"]
    known = doors.snapshot.workflow(doors.workspace, "Welcome Series")
    assert (str(known.workflow_id), known.version, known.status) == (made.body["id"], 2, "active")
    assert doors.snapshot.workflow(doors.workspace, made.body["id"]) == known


async def test_a_draft_may_name_what_is_not_there_yet_and_is_not_published(doors: Any) -> None:
    made = await doors.ours("POST", "/workflows", STEPS | {"status": "draft"})
    assert (made.status, made.body["version"]) == (201, None)
    published = await doors.ours("PATCH", f"/workflows/{made.body['id']}", {"status": "active"})
    assert (published.status, published.fields) == (422, ["steps.0.template_key", "steps.1.template_key"])


async def test_an_inactive_workflow_keeps_its_version(doors_with_templates: Any) -> None:
    doors = doors_with_templates
    await doors.ours("POST", "/workflows", STEPS)
    stopped = await doors.ours("PATCH", "/workflows/Welcome%20Series", {"status": "inactive"})
    assert (stopped.body["status"], stopped.body["version"], stopped.body["revision"]) == ("inactive", 1, 2)
    assert doors.snapshot.workflow(doors.workspace, "Welcome Series").status == "inactive"


async def test_a_changed_group_publishes_its_active_workflows_anew(doors_with_templates: Any) -> None:
    doors = doors_with_templates
    made = await doors.ours("POST", "/workflows", GROUP)
    assert (made.body["version"], made.body["category"]) == (1, "authentication")
    changed = await doors.ours(
        "PATCH", "/template-groups/otp_all", {"templates": {"sms": "otp_us", "email": "welcome"}}
    )
    assert changed.status == 200
    first = await doors.catalog.workflow_version(made.body["id"], 1)
    second = await doors.catalog.workflow_version(made.body["id"], 2)
    assert dict(first.templates) == {"sms": "otp_us"}
    assert dict(second.templates) == {"sms": "otp_us", "email": "welcome"}
    assert second.template_group_id == first.template_group_id
    assert doors.snapshot.workflow(doors.workspace, "Multi-Channel OTP").version == 2


def _second_step(**change: Any) -> dict[str, Any]:
    return {"steps": [STEPS["steps"][0] | {"delay_minutes": 10}, STEPS["steps"][1] | change]}


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        (_second_step(step_id="step-1"), "steps.1.step_id", "two steps step-1"),
        (_second_step(delay_minutes=5), "steps.1.delay_minutes", "cannot come before"),
        (_second_step(delay_minutes=-1), "steps.1.delay_minutes", "greater than or equal to 0"),
        (_second_step(condition="contact.x =="), "steps.1.condition", "not a usable condition"),
        (_second_step(condition="nobody.x == 1"), "steps.1.condition", "undeclared"),
        (_second_step(condition="1 + 1"), "steps.1.condition", "true or false"),
        (_second_step(template_key="nope"), "steps.1.template_key", "there is no template nope"),
        (_second_step(channel="email"), "steps.1.template_key", "is for sms, not for email"),
        (_second_step(colour="red"), "steps.1.colour", "not permitted"),
        ({"steps": []}, "steps", "at least 1"),
        ({"type": "series"}, "type", ""),
        ({"send_window": {"opens": "8"}}, "send_window.opens", "time of day"),
        ({"template_group_key": "otp_all"}, "template_group_key", "not permitted"),
    ],
)
async def test_a_workflow_that_cannot_work_is_refused(
    doors_with_templates: Any, change: dict[str, Any], field: str, message: str
) -> None:
    answer = await doors_with_templates.ours("POST", "/workflows", STEPS | change)
    assert (answer.status, answer.fields) == (422, [field])
    assert message in answer.body["errors"][0]["message"]


async def test_a_name_is_taken_once(doors_with_templates: Any) -> None:
    doors = doors_with_templates
    assert (await doors.ours("POST", "/workflows", STEPS)).status == 201
    assert (await doors.ours("POST", "/workflows", STEPS)).status == 409
    assert (await doors.ours("POST", "/workflows", STEPS | {"key": "other"})).fields == ["name"]
    assert (await doors.ours("DELETE", "/workflows/Welcome%20Series")).status == 204
    assert (await doors.ours("POST", "/workflows", STEPS)).status == 201


async def test_another_workspaces_workflow_is_not_there(doors_with_templates: Any) -> None:
    doors = doors_with_templates
    made = await doors.ours("POST", "/workflows", STEPS)
    for method, body in (("GET", None), ("PATCH", {"status": "inactive"}), ("DELETE", None)):
        assert (await doors.theirs(method, f"/workflows/{made.body['id']}", body)).status == 404
    assert (await doors.theirs("GET", "/workflows")).body["data"] == []


WAIT: dict[str, Any] = {
    "type": "wait_for_event",
    "step_id": "paid",
    "step_name": "Wait for the payment",
    "event": "order.paid",
    "timeout_minutes": 60,
    "correlation": {"variable": "order_id", "path": "$.order.id"},
}


async def test_a_step_may_wait_for_an_event(doors_with_templates: Any) -> None:
    doors = doors_with_templates
    first, last = STEPS["steps"]
    waiting = [first, WAIT, {**last, "delay_minutes": 0, "condition": "steps.paid.outcome == 'timed_out'"}]
    made = await doors.ours("POST", "/workflows", {**STEPS, "steps": waiting})
    assert (made.status, made.body["steps"][1]["correlation"]["variable"]) == (201, "order_id")
    version = await doors.catalog.workflow_version(UUID(made.body["id"]), 1)
    assert version.steps[1].correlation == "$.order.id"
    key = (doors.workspace, "order.paid")
    assert await doors.catalog.waited_for({key, (doors.workspace, "other")}) == {key: {"$.order.id"}}
    without = {name: value for name, value in WAIT.items() if name != "correlation"}
    changed = await doors.ours("PATCH", f"/workflows/{made.body['id']}", {"steps": [without, last]})
    assert (changed.status, changed.body["version"]) == (200, 2)
    assert await doors.catalog.waited_for({key}) == {key: {"contact", "$.order.id"}}
    assert (await doors.ours("GET", f"/workflows/{made.body['id']}")).body["steps"][0]["type"] == "wait_for_event"


@pytest.mark.parametrize(
    "change",
    [
        {"timeout_minutes": 0},
        {"event": ""},
        {"correlation": {"variable": "order_id", "path": "order"}},
        {"channel": "sms"},
        {"step_id": "step-1"},
    ],
)
async def test_a_wait_that_cannot_be_is_refused(doors_with_templates: Any, change: dict[str, Any]) -> None:
    steps = [STEPS["steps"][0], WAIT | change, STEPS["steps"][1]]
    answer = await doors_with_templates.ours("POST", "/workflows", {**STEPS, "steps": steps})
    assert (answer.status, answer.fields[0][:7]) == (422, "steps.1")


async def test_a_workflow_does_not_end_with_a_wait(doors_with_templates: Any) -> None:
    steps = [STEPS["steps"][0], WAIT]
    answer = await doors_with_templates.ours("POST", "/workflows", {**STEPS, "steps": steps})
    assert answer.status == 422
