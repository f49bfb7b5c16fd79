"""Novu's templates, conditions, email bodies, workflows and preferences in our words."""

from __future__ import annotations

from datetime import UTC, datetime
from time import process_time
from typing import Any
from uuid import uuid4

import pytest

from ingest.doors.novu import payloads
from ingest.doors.novu.bodies import SubscriberBody, SubscriberFields
from ingest.doors.novu.book import Entry
from ingest.doors.novu.conditions import UntranslatableRule, condition_of
from ingest.doors.novu.documents import plan_of, slug, with_step_ids
from ingest.doors.novu.legacy_documents import rule_of, steps_of
from ingest.doors.novu.mail_bodies import UnreadableBody, content_of, legacy_content_of
from ingest.doors.novu.people import contact_change, new_contact, shown
from ingest.doors.novu.preferences import global_channels, with_choices, workflow_channels
from ingest.doors.novu.templates import asks_for_whole_payload, translated
from sluice_catalog.conditions import compile_condition
from sluice_catalog.definitions.bulk import StoredContact
from sluice_catalog.definitions.contact import unborn
from sluice_catalog.templating import TemplateProblem, contact_paths, parse, render_values
from sluice_contracts.vocabulary import Category, Channel
from sluice_runtime.http.problems import Problem

WORKSPACE = uuid4()
ADA = unborn(uuid4(), WORKSPACE, "ada")._replace(
    first_name="Ada",
    email="ada@example.com",
    attributes={"plan": "pro", "avatar": "ada.png"},
)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("Hi {{subscriber.firstName}}", "Hi {{contact_first_name}}"),
        ("{{ payload.order.id }} and {{code}}", "{{ order.id }} and {{code}}"),
        ("{{subscriber.data.plan}}{{subscriber.avatar}}", "{{contact_attributes.plan}}{{contact_attributes.avatar}}"),
        ("{% for item in payload.items %}{{ item.name }}{% endfor %}",
         "{% for item in items %}{{ item.name }}{% endfor %}"),
        ("{{ payload.x | default: 'payload.y' }}", "{{ x | default: 'payload.y' }}"),
        ("payload.x stays", "payload.x stays"),
        ("{% raw %}{{ payload.x }}{% endraw %}", "{% raw %}{{ payload.x }}{% endraw %}"),
        ("{{ tenant.name }} {{ actor.firstName }}", "{{ tenant.name }} {{ actor.firstName }}"),
        ("{{ order.payload.x }}", "{{ order.payload.x }}"),
    ],
)  # fmt: skip
def test_templates_are_put_into_our_words(theirs: str, ours: str) -> None:
    assert translated(theirs) == ours


def test_a_translated_template_renders_with_a_payload_that_has_a_contact_of_its_own() -> None:
    template = parse(translated("{{subscriber.firstName}} / {{payload.contact.name}}"), escape_html=False)
    variables = {"contact": {"name": "Grace"}}
    fields = dict.fromkeys(contact_paths(template.references, variables), "Ada")

    assert template.render(render_values(fields, variables)) == "Ada / Grace"


def test_a_template_that_asks_for_the_payload_as_a_whole_is_found() -> None:
    assert asks_for_whole_payload(translated("{{ payload }}"))
    assert asks_for_whole_payload(translated('{{ payload["order id"] }}'))
    assert not asks_for_whole_payload(translated("{{ payload.x }}"))


@pytest.mark.parametrize(
    ("rule", "holds"),
    [
        ({"==": [{"var": "payload.n"}, 3]}, True),
        ({"!=": [{"var": "payload.missing"}, "x"]}, True),
        ({"and": [{">": [{"var": "payload.n"}, 2]}, {"==": [{"var": "subscriber.data.plan"}, "pro"]}]}, True),
        ({"or": [{"==": [{"var": "payload.n"}, 1]}, {"in": [{"var": "payload.n"}, [1, 2]]}]}, False),
        ({"!": {"var": "payload.missing"}}, True),
        ({"!!": {"var": "subscriber.email"}}, True),
        ({"in": ["example", {"var": "subscriber.email"}]}, None),
        ({"contains": [{"var": "subscriber.email"}, "example"]}, True),
        ({"<=": [1, {"var": "payload.n"}, 3]}, True),
    ],
)
def test_step_conditions_decide_as_json_logic_does(rule: Any, holds: bool | None) -> None:
    condition = compile_condition(condition_of(rule))
    decision = condition.evaluate(contact=ADA.values(), variables={"n": 3})

    assert decision is holds if holds is not None else not isinstance(decision, bool)


@pytest.mark.parametrize(
    "rule",
    [
        {"missing": ["a"]}, {"==": [{"var": "steps.a"}, 1]}, [], {"==": [1]}, {"==": [{"var": "payload.in"}, 1]},
        {"a": [], "b": []}, {"==": [{"var": "subscriber._id"}, 1]},
    ],
)  # fmt: skip
def test_a_rule_that_we_have_no_words_for_is_not_guessed_at(rule: Any) -> None:
    with pytest.raises(UntranslatableRule):
        condition_of(rule)


def test_a_block_document_becomes_html_with_its_variables() -> None:
    body = (
        '{"type":"doc","content":[{"type":"heading","attrs":{"level":2},"content":[{"type":"text","text":"A < B"}]},'
        '{"type":"paragraph","content":[{"type":"text","marks":[{"type":"bold"}],"text":"Hi "},'
        '{"type":"variable","attrs":{"id":"subscriber.firstName","fallback":"you"}}]},'
        '{"type":"button","attrs":{"text":"Go","url":"https://x.example/?a=1&b=2"}}]}'
    )

    assert content_of(body) == {
        "html": '<h2>A &lt; B</h2><p><strong>Hi </strong>{{ subscriber.firstName | default: "you" }}</p>'
        '<p><a href="https://x.example/?a=1&amp;b=2">Go</a></p>'
    }


def test_bodies_are_html_where_they_have_an_element_and_text_where_not() -> None:
    assert content_of("<p>Hi</p>") == {"html": "<p>Hi</p>"}
    assert content_of("1 < 2") == {"text": "1 < 2"}
    assert legacy_content_of([{"type": "text", "content": "Hi {{name}}"}]) == {"html": "<p>Hi {{name}}</p>"}
    with pytest.raises(UnreadableBody):
        content_of('{"type":"doc","content":[{"type":"for"}]}')


def document(steps: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"name": "Order shipped", "active": True, "steps": with_step_ids(steps), **more}


def test_sms_and_email_become_steps_and_delays_move_what_follows() -> None:
    plan = plan_of(
        WORKSPACE,
        "order-shipped",
        document(
            [
                {"name": "Text", "type": "sms", "controlValues": {"body": "Code {{payload.code}}"}},
                {"name": "Wait", "type": "delay", "controlValues": {"type": "regular", "amount": 2, "unit": "hours"}},
                {"name": "Wait", "type": "delay", "controlValues": {"type": "regular", "amount": 9, "unit": "seconds"}},
                {"name": "Mail", "type": "email", "controlValues": {"subject": "Hi", "body": "<p>{{tenant.name}}</p>"}},
            ]
        ),
    )  # fmt: skip

    assert plan.workflow is not None
    text, mail = plan.workflow.steps
    assert (text.step_id, text.channel, text.delay_minutes) == ("text", Channel.SMS, 0)
    assert (mail.channel, mail.delay_minutes) == (Channel.EMAIL, 121)
    assert plan.workflow.category is Category.UTILITY
    assert [template.key for template in plan.templates] == [text.template_key, mail.template_key]
    assert plan.templates[0].variants[0].text == "Code {{code}}"
    assert plan.issues == {}


def test_what_we_have_no_channel_for_is_not_sent_and_says_so() -> None:
    plan = plan_of(
        WORKSPACE,
        "w",
        document(
            [
                {"name": "Bell", "type": "in_app", "controlValues": {"body": "x"}},
                {"name": "Digest", "type": "digest", "controlValues": {"amount": 1, "unit": "days"}},
                {"name": "Cron", "type": "delay", "controlValues": {"type": "timed", "cron": "* * * * *"}},
                {"name": "Broken", "type": "sms", "controlValues": {"body": "{{#if x}}{{/if}}"}},
                {"name": "Empty", "type": "sms", "controlValues": {}},
                {"name": "Rule", "type": "sms", "controlValues": {"body": "x", "skip": {"cat": []}}},
                {"name": "Off", "type": "sms", "controlValues": {"body": "x"}, "active": False},
            ]
        ),
    )

    assert plan.workflow is None
    assert {step_id: (issue.kind, issue.key) for step_id, issue in plan.issues.items()} == {
        "bell": ("integration", "in_app"),
        "digest": ("controls", "type"),
        "cron": ("controls", "type"),
        "broken": ("controls", "body"),
        "empty": ("controls", "body"),
        "rule": ("controls", "skip"),
        "off": ("controls", "active"),
    }


def test_a_critical_workflow_is_transactional_and_asks_no_preferences() -> None:
    steps = [{"name": "Text", "type": "sms", "controlValues": {"body": "x"}}]
    critical = plan_of(WORKSPACE, "w", document(steps, critical=True)).workflow
    tagged = plan_of(WORKSPACE, "w", document(steps, tags=["billing", "marketing"])).workflow

    assert critical is not None
    assert (critical.category, critical.steps[0].condition) == (Category.TRANSACTIONAL, None)
    assert tagged is not None
    assert tagged.category is Category.MARKETING


def test_a_subscriber_who_muted_a_workflow_fails_its_steps_condition_and_no_other() -> None:
    steps = [{"name": "Text", "type": "sms", "controlValues": {"body": "x"}}]
    one, other = (plan_of(WORKSPACE, name, document(steps)).workflow for name in ("one", "other"))
    assert one is not None
    assert other is not None
    muted = with_choices(ADA, {"sms": False}, "one")

    def decides(condition: str | None, contact: Any) -> Any:
        assert condition is not None
        return compile_condition(condition).evaluate(contact=contact.values(), variables={})

    assert decides(one.steps[0].condition, ADA) is True
    assert decides(one.steps[0].condition, muted) is False
    assert decides(other.steps[0].condition, muted) is True
    assert decides(one.steps[0].condition, with_choices(muted, {"sms": True}, "one")) is True


def test_steps_of_one_name_get_ids_of_their_own() -> None:
    steps = with_step_ids([{"name": "A b", "type": "sms"}, {"name": "A b", "type": "sms"}, {"type": "sms"}])

    assert [step["stepId"] for step in steps] == ["a-b", "a-b-2", "sms"]
    assert slug("Order shipped!") == "order-shipped"


def test_steps_of_the_first_version_become_steps_of_the_current_one() -> None:
    sms, delay, email = steps_of(
        [
            {"template": {"type": "sms", "content": "Hi {{name}}"}, "name": "Text",
             "filters": [{"type": "GROUP", "value": "AND", "children": [
                 {"field": "n", "operator": "LARGER", "value": 2, "on": "payload"}]}]},
            {"template": {"type": "delay"}, "metadata": {"type": "regular", "amount": 5, "unit": "minutes"}},
            {"template": {"type": "email", "subject": "S", "content": [{"type": "text", "content": "Hi"}]}},
        ]
    )  # fmt: skip

    assert sms["controlValues"] == {"body": "Hi {{name}}", "skip": {"and": [{">": [{"var": "payload.n"}, 2]}]}}
    assert delay["controlValues"] == {"type": "regular", "amount": 5, "unit": "minutes"}
    assert email["controlValues"] == {"subject": "S", "body": "<p>Hi</p>"}
    unknown = rule_of([{"value": "AND", "children": [{"field": "x", "on": "webhook", "operator": "EQUAL"}]}])
    with pytest.raises(UntranslatableRule):
        condition_of(unknown)


def test_preferences_are_opt_outs_where_we_have_the_channel_and_remembered_where_not() -> None:
    entry = Entry(uuid4(), "one", document([{"name": "T", "type": "sms"}]), datetime.now(UTC), datetime.now(UTC))
    chosen = with_choices(ADA, {"email": False, "in_app": False, "chat": True})

    assert chosen.opt_outs == {"email": ["*"]}
    assert global_channels(chosen) == {"in_app": False, "email": False, "sms": True, "chat": True, "push": True}
    assert with_choices(chosen, {"email": True, "in_app": True}) == ADA
    assert workflow_channels(with_choices(ADA, {"sms": False}), entry) == {"sms": False}
    assert workflow_channels(ADA, entry) == {"sms": True}


def test_a_subscriber_is_a_contact_and_back() -> None:
    said = {
        "subscriberId": "u1", "firstName": "Ada", "email": "A@example.com", "phone": "+14155550123", "avatar": "a.png",
        "locale": "en-US", "timezone": "Europe/Berlin", "data": {"plan": "pro"}, "lastName": None,
    }  # fmt: skip
    contact = new_contact(SubscriberBody.model_validate(said))

    assert contact.external_id == "u1"
    assert "last_name" not in contact.model_fields_set, "null leaves a field as it is when a subscriber is made"
    assert contact.attributes == {"plan": "pro", "avatar": "a.png"}
    now = datetime(2026, 3, 1, tzinfo=UTC)
    seen = shown(StoredContact(ADA._replace(phone_number="+14155550123"), 1, now, now))
    assert (seen["subscriberId"], seen["phone"], seen["data"]) == ("ada", "+14155550123", {"plan": "pro"})
    assert seen["avatar"] == "ada.png"
    assert len(seen["_id"]) == 24
    assert "lastName" not in seen


def test_null_takes_a_field_away_where_a_subscriber_is_changed() -> None:
    change = contact_change(SubscriberFields.model_validate({"lastName": None, "email": "", "avatar": None}))

    assert change.model_fields_set == {"last_name", "email", "attributes"}
    assert (change.last_name, change.email, change.attributes) == (None, None, {"avatar": None})


def test_wrong_fields_are_named_in_novus_words() -> None:
    with pytest.raises(Problem) as raised:
        new_contact(SubscriberBody.model_validate({"subscriberId": "u1", "timezone": "Nowhere/Land"}))

    assert raised.value.errors[0]["field"] == "timezone"


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"type": "nothing"},
        {"type": "nothing", "title": "x" * 10_000},
        {"patternProperties": {"^(a+)+$": {}}},
        {"title": "x" * 70_000},
        {"required": [{"a": number} for number in range(5000)]},
    ],
)
def test_a_schema_that_could_hurt_is_refused(schema: dict[str, Any]) -> None:
    began = process_time()
    with pytest.raises(payloads.UnusableSchema):
        payloads.check_schema(schema)
    assert process_time() - began < 0.5


def test_a_payload_that_would_take_for_ever_to_check_is_refused_in_words() -> None:
    schema = {"properties": {"l": {"uniqueItems": True}}}
    with pytest.raises(Problem) as raised:
        payloads.validated({"l": [{"a": number} for number in range(40_000)]}, schema)
    assert (raised.value.status, raised.value.members["errors"][0]["field"]) == (400, "payload")
    assert "more computing" in str(raised.value.detail)
    assert payloads.validated({"l": [{"a": 1}, {"a": 2}]}, schema)


def test_a_large_payload_is_checked_as_a_small_one_is() -> None:
    schema = {"properties": {"l": {"items": {"type": "integer"}}, "n": {"default": 7}}}
    for count in (3, 9000):
        assert payloads.validated({"l": [1] * count}, schema)["n"] == 7
        with pytest.raises(Problem) as raised:
            payloads.validated({"l": [1] * count + ["x"]}, schema)
        (error,) = raised.value.members["errors"]
        assert (error["field"], error["message"], error["value"]) == (f"l.{count}", "must be integer", "x")


def test_payloads_are_measured_without_their_attachments() -> None:
    assert payloads.oversize({"attachments": ["x" * 600_000]}) is None
    size = payloads.oversize({"text": "x" * 600_000})
    assert size is not None
    assert payloads.too_large("Payload", size).startswith(
        f"Payload size ({size} bytes) exceeds maximum allowed size of"
    )


def test_a_source_that_is_no_template_is_refused() -> None:
    with pytest.raises(TemplateProblem):
        translated("{{ unclosed")
