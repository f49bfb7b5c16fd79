"""The doors to templates and template groups."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.integration

OTP: dict[str, Any] = {
    "key": "otp_us",
    "name": "OTP",
    "channel": "sms",
    "category": "authentication",
    "variants": [{"country": "US", "locale": None, "text": "Your code is {{code}}"}],
}
WELCOME: dict[str, Any] = {
    "key": "welcome",
    "name": "Welcome",
    "channel": "email",
    "variants": [{"subject": "Hi {{ first_name }}", "html": "<p>Hi {{ contact.first_name }}</p>", "text": "Hi"}],
}
HELLO: dict[str, Any] = {
    "key": "otp_wa",
    "name": "Hello",
    "channel": "whatsapp",
    "variants": [
        {
            "template_name": "hello",
            "language": "en_US",
            "body": "Hi {{name}}",
            "components": [{"type": "body", "parameters": [{"type": "text", "text": "{{ contact_name }}"}]}],
        }
    ],
}


async def test_every_change_is_a_new_version_and_the_old_one_stays(doors: Any) -> None:
    made = await doors.ours("POST", "/templates", OTP)
    assert made.status == 201
    assert (made.body["version"], made.body["variables"]) == (1, ["code"])
    assert made.body["variants"] == [
        {"country": "US", "locale": None, "approval": "approved", "text": "Your code is {{code}}"}
    ]
    changed = await doors.ours(
        "PATCH", "/templates/otp_us", {"variants": [{"country": "us", "text": "{{code}} it is"}]}, If_Match='"1"'
    )
    assert (changed.status, changed.body["version"], changed.headers["ETag"]) == (200, 2, '"2"')
    assert (await doors.ours("GET", f"/templates/{made.body['id']}")).body == changed.body
    texts = [
        (await doors.catalog.template_version(made.body["id"], version)).variants[0].content["text"]
        for version in (1, 2)
    ]
    assert texts == ["Your code is {{code}}", "{{code}} it is"]


async def test_a_template_is_known_to_the_snapshot_at_once(doors: Any) -> None:
    await doors.ours("POST", "/templates", OTP)
    reference = doors.snapshot.template(doors.workspace, "otp_us")
    assert (reference.version, reference.channel, reference.category) == (1, "sms", "authentication")
    assert (await doors.ours("DELETE", "/templates/otp_us")).status == 204
    assert doors.snapshot.template(doors.workspace, "otp_us") is None
    assert await doors.catalog.template_version(reference.template_id, 1) is not None


async def test_a_key_is_free_again_once_its_template_is_deleted(doors: Any) -> None:
    await doors.ours("POST", "/templates", OTP)
    taken = await doors.ours("POST", "/templates", OTP)
    assert (taken.status, taken.fields) == (409, ["key"])
    assert (await doors.theirs("POST", "/templates", OTP)).status == 201
    await doors.ours("DELETE", "/templates/otp_us")
    assert (await doors.ours("POST", "/templates", OTP)).body["version"] == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"variants": [{"text": "{{ code"}]}, "variants.0.text"),
        ({"variants": [{"text": "{% include 'x' %}"}]}, "variants.0.text"),
        ({"variants": [{"text": "{{ code | shout }}"}]}, "variants.0.text"),
        ({"variants": [{"text": "a"}, {"text": "b"}]}, "variants"),
        ({"variants": [{"text": "a", "country": "XX"}]}, "variants.0.country"),
        ({"variants": [{"text": "a", "html": "b"}]}, "variants.0.html"),
        ({"variants": []}, "variants"),
        ({"channel": "fax"}, "channel"),
        ({"key": "a b"}, "key"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_a_wrong_template_is_refused_by_field(doors: Any, change: dict[str, Any], field: str) -> None:
    answer = await doors.ours("POST", "/templates", OTP | change)
    assert (answer.status, answer.fields) == (422, [field])


async def test_a_syntax_error_tells_its_place(doors: Any) -> None:
    answer = await doors.ours("POST", "/templates", OTP | {"variants": [{"text": "Hi\n {{ a b }}"}]})
    assert "line 2, column 7" in answer.body["errors"][0]["message"]


async def test_the_channel_of_a_template_stays(doors: Any) -> None:
    await doors.ours("POST", "/templates", OTP)
    changed = await doors.ours(
        "PATCH", "/templates/otp_us", {"channel": "email", "variants": [{"subject": "a", "text": "b"}]}
    )
    assert (changed.status, changed.fields) == (422, ["channel"])


async def test_whatsapp_needs_approval_which_the_sandbox_gives_at_once(doors: Any) -> None:
    made = await doors.ours("POST", "/templates", HELLO)
    assert made.body["variants"][0]["approval"] == "approved"
    assert made.body["variables"] == ["contact_name", "name"]
    draft = {**HELLO, "key": "later", "variants": [HELLO["variants"][0] | {"approval": "draft"}]}
    assert (await doors.ours("POST", "/templates", draft)).body["variants"][0]["approval"] == "draft"
    submitted = await doors.ours("POST", "/templates/later/submit")
    assert (submitted.body["variants"][0]["approval"], submitted.body["version"]) == ("approved", 2)
    assert (await doors.ours("POST", "/templates/later/submit")).status == 422


async def test_with_a_real_provider_whatsapp_waits_for_a_decision(doors: Any) -> None:
    account = {
        "name": "Meta",
        "provider": "meta",
        "config": {"phone_number_id": "1", "graph_version": "v23.0"},
        "secrets": {"access_token": "t"},
        "is_default": True,
    }
    assert (await doors.ours("POST", "/providers", account)).status == 201
    made = await doors.ours("POST", "/templates", HELLO)
    assert made.body["variants"][0]["approval"] == "submitted"
    rejected = await doors.ours("POST", "/templates/otp_wa/reject")
    assert rejected.body["variants"][0]["approval"] == "rejected"
    await doors.ours("POST", "/templates/otp_wa/submit")
    approved = await doors.ours("POST", "/templates/otp_wa/approve")
    assert approved.body["variants"][0]["approval"] == "approved"
    renamed = await doors.ours("PATCH", "/templates/otp_wa", {"name": "Hello again"})
    assert renamed.body["variants"][0]["approval"] == "approved"
    reworded = await doors.ours("PATCH", "/templates/otp_wa", {"variants": [HELLO["variants"][0] | {"body": "Hey"}]})
    assert reworded.body["variants"][0]["approval"] == "submitted"


async def test_a_preview_shows_what_the_person_would_read(doors: Any) -> None:
    await doors.ours("POST", "/templates", OTP)
    shown = await doors.ours("POST", "/templates/otp_us/preview", {"country": "US", "variables": {"code": "1€"}})
    assert shown.body["text"] == "Your code is 1€"
    assert (shown.body["segments"], shown.body["encoding"]) == (1, "GSM-7")
    long = await doors.ours("POST", "/templates/otp_us/preview", {"country": "US", "variables": {"code": "Ж" * 70}})
    assert (long.body["segments"], long.body["encoding"]) == (2, "UCS-2")
    missing = await doors.ours("POST", "/templates/otp_us/preview", {"country": "US"})
    assert (missing.status, missing.fields) == (422, ["variables.code"])
    abroad = await doors.ours("POST", "/templates/otp_us/preview", {"country": "IN", "variables": {"code": "1"}})
    assert abroad.body["errors"][0]["message"] == "No approved SMS template for country: IN"


async def test_a_preview_for_a_contact_uses_its_fields_and_escapes_them_in_html(doors: Any) -> None:
    await doors.ours("POST", "/templates", WELCOME)
    await doors.ours("POST", "/contacts", {"external_id": "u", "first_name": "<b>Ada</b>"})
    shown = await doors.ours("POST", "/templates/welcome/preview", {"contact_external_id": "u"})
    assert shown.body["subject"] == "Hi <b>Ada</b>"
    assert shown.body["html"] == "<p>Hi &lt;b&gt;Ada&lt;/b&gt;</p>"


async def test_a_group_needs_its_templates_on_their_channels(doors: Any) -> None:
    group = {"key": "otp_all", "name": "OTP", "templates": {"email": "welcome", "sms": "otp_us"}}
    missing = await doors.ours("POST", "/template-groups", group)
    assert (missing.status, missing.fields) == (422, ["templates.email", "templates.sms"])
    await doors.ours("POST", "/templates", WELCOME)
    await doors.ours("POST", "/templates", OTP)
    made = await doors.ours("POST", "/template-groups", group)
    assert (made.status, made.body["templates"]) == (201, {"email": "welcome", "sms": "otp_us"})
    wrong = await doors.ours("PATCH", "/template-groups/otp_all", {"templates": {"sms": "welcome"}})
    assert wrong.fields == ["templates.sms"]
    assert (await doors.ours("GET", "/template-groups")).body["data"] == [made.body]
    assert (await doors.theirs("GET", "/template-groups/otp_all")).status == 404
