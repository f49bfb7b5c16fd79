"""Sends of one call are accepted as each would be by itself, whatever lies before them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ingest.domain.acceptance import Acceptance, Circumstances, accept_send
from ingest.domain.bodies import ITEMS, SendItem
from ingest.domain.refusal import RefusedError
from ingest.domain.series import Series
from sluice_catalog.models import ProviderAccount, TemplateReference, WorkflowReference
from sluice_contracts.messages.trigger import TriggerAccepted
from sluice_contracts.vocabulary import Category, Channel, Lane

WORKSPACE = UUID(int=1)
ACCOUNT = UUID(int=90)
NOW = datetime(2026, 11, 23, 2, 25, 28, 90_000, tzinfo=UTC)
CODE = {"channel": "sms", "recipient_type": "contact", "contact_external_id": "ada", "template_key": "otp_us"}
EMAIL = {"channel": "email", "recipient_type": "direct_email", "direct_email": "ada@example.com", "subject": "Hello"}


class Definitions:
    """A workspace with a template on each channel and an account."""

    def template(self, workspace_id: UUID, key: str) -> TemplateReference | None:
        channel = {"otp_us": Channel.SMS, "welcome": Channel.EMAIL, "otp_wa": Channel.WHATSAPP}.get(key)
        return None if channel is None else TemplateReference(UUID(int=50), 3, key, channel, Category.AUTHENTICATION)

    def provider_account(self, account_id: UUID) -> ProviderAccount | None:
        known = account_id == ACCOUNT
        return ProviderAccount(ACCOUNT, WORKSPACE, Channel.SMS, "twilio", "twilio", {}, {}) if known else None

    def workflow(self, workspace_id: UUID, name: str) -> WorkflowReference | None:
        return None

    def segment(self, workspace_id: UUID, key: str) -> UUID | None:
        return UUID(int=60) if key == "pros" else None

    def list(self, workspace_id: UUID, key: str) -> UUID | None:
        return UUID(int=61) if key == "news" else None


def read(item: dict[str, Any]) -> SendItem:
    return ITEMS[item["channel"]].model_validate_json(json.dumps(item))


def alone(item: SendItem, circumstances: Circumstances) -> Any:
    try:
        accepted = accept_send(item, Channel(item.channel), circumstances, Definitions())
    except RefusedError as refusal:
        return refusal.wrong, refusal.status, refusal.missing
    return said(accepted)


def in_series(series: Series, item: SendItem, circumstances: Circumstances) -> Any:
    try:
        accepted = series.accept(item, circumstances)
    except RefusedError as refusal:
        return refusal.wrong, refusal.status, refusal.missing
    return said(accepted)


def said(accepted: Acceptance) -> Any:
    # As JSON, for in Python 1 and True are equal; and as the message that its readers see.
    document = json.loads(accepted.value)
    message = TriggerAccepted.decode(accepted.value)
    return accepted.trigger_id, accepted.lane, accepted.job_id, json.dumps(document, sort_keys=True), message


def circumstances(number: int) -> Circumstances:
    return Circumstances(WORKSPACE, UUID(int=number), NOW)


values = st.dictionaries(
    st.sampled_from(["a", "b"]),
    st.sampled_from(
        [1, True, 1.0, 0, False, -0.0, None, "", "\u2028é😀", 2**63 - 1, -(2**63), [1], [True], {"c": 1}, {}]
    ),
)
names = st.sampled_from(["ada", "bob", "Zoë", "x" * 255])
moments = st.sampled_from(
    ["2026-12-01T00:00:00Z", "2026-12-01T01:00:00+01:00", "2026-11-01T00:00:00Z", "2029-01-01T00:00:00Z"]
)
fields = {
    "recipient_type": st.sampled_from(
        ["contact", "contact", "contacts", "tag", "segment", "list", "all", "direct_sms"]
    ),
    "contact_external_id": names,
    "contact_external_ids": st.lists(names, min_size=1, max_size=3),
    "tags": st.lists(names, min_size=1, max_size=2),
    "segment_id": st.sampled_from(["pros", "nobody"]),
    "list_id": st.sampled_from(["news", "nobody"]),
    "excluded_contacts": st.lists(names, max_size=2),
    "variables": values,
    "metadata": values,
    "category": st.sampled_from(["marketing", "authentication"]),
    "campaign_name": names,
    "trigger_at": moments,
    "expires_at": moments,
    "dry_run": st.booleans(),
    "template_key": st.sampled_from(["otp_us", "welcome", "otp_wa", "nobody"]),
}
of_channel: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "sms": {
        "direct_sms": st.sampled_from(["+14155550100", "+14155550101"]),
        "text": st.sampled_from(["Hello", "Hello {{ name }}", "{{"]),
        "sms_identity_id": st.sampled_from([str(ACCOUNT), str(UUID(int=91)), "x"]),
    },
    "email": {
        "direct_email": st.sampled_from(["a@example.com", "b@example.com"]),
        "direct_first_name": names,
        "direct_last_name": names,
        "subject": st.sampled_from(["Hello", "{{"]),
        "content": st.sampled_from(["<p>Hello</p>", "{% if %}"]),
        "from_email": st.sampled_from(["a@example.com", "nobody"]),
        "from_name": names,
    },
    "whatsapp": {
        "direct_whatsapp": st.just("+14155550100"),
        "text": st.just("Hello"),
        "template_name": st.just("hello_world"),
        "language": st.just("en_US"),
        "components": st.lists(values, max_size=2),
        "conversation_category": st.sampled_from(["marketing", "utility"]),
        "whatsapp_identity_id": st.just(str(ACCOUNT)),
    },
}
GOOD = {
    "sms": [CODE, {**CODE, "variables": {"a": 1}}, {**CODE, "sms_identity_id": str(ACCOUNT)}],
    "email": [{**EMAIL, "content": "<p>Hello</p>"}, {**EMAIL, "content": "<p>Hello</p>", "direct_first_name": "Ada"}],
    "whatsapp": [{**CODE, "channel": "whatsapp", "template_key": "otp_wa"}],
}


def items(channel: str) -> st.SearchStrategy[dict[str, Any]]:
    some = st.fixed_dictionaries({}, optional=fields | of_channel[channel])
    return st.tuples(st.sampled_from(GOOD[channel]), some, st.booleans()).map(
        lambda drawn: {**drawn[0], **(drawn[1] if drawn[2] else dict(list(drawn[1].items())[:1]))}
    )


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(sorted(of_channel)).flatmap(items), min_size=1, max_size=8))
def test_an_item_becomes_what_it_would_be_alone_whatever_lies_before_it(drawn: list[dict[str, Any]]) -> None:
    series = Series(Definitions())
    # Twice over, so that every kind that is accepted at all is settled.
    for number, item in enumerate([*drawn, *drawn, *drawn]):
        try:
            body = read(item)
        except ValidationError:
            continue
        assert in_series(series, body, circumstances(number)) == alone(body, circumstances(number))


def test_sends_of_a_kind_are_written_from_its_form() -> None:
    series = Series(Definitions())
    accepted = [
        series.accept(read({**CODE, "contact_external_id": name, "variables": {"code": name}}), circumstances(number))
        for number, name in enumerate(["ada", "bob", "eve"])
    ]
    assert [acceptance.lane for acceptance in accepted] == [Lane.PRIORITY] * 3
    assert [acceptance.value[:13] for acceptance in accepted] == [b'{"type":"trig', *[b'{"trigger_id"'] * 2]
    assert [TriggerAccepted.decode(acceptance.value).variables["code"] for acceptance in accepted] == [
        "ada",
        "bob",
        "eve",
    ]


@pytest.mark.parametrize(
    "other",
    [
        {"contact_external_id": None},
        {"direct_sms": "+14155550100"},
        {"recipient_type": "segment", "contact_external_id": None, "segment_id": "nobody"},
        {"template_key": "nobody"},
        {"text": "Hello"},
        {"trigger_at": "2029-01-01T00:00:00Z"},
        {"sms_identity_id": "x"},
    ],
)
def test_an_item_that_is_wrong_is_refused_among_good_ones_as_it_is_alone(other: dict[str, Any]) -> None:
    series, wrong = Series(Definitions()), read(CODE | other)
    for number in range(3):
        series.accept(read(CODE), circumstances(number))
        refused = in_series(series, wrong, circumstances(9))
        assert refused == alone(wrong, circumstances(9))
        assert refused[0], "it is wrong"


def test_an_audience_is_none_of_those_who_are_named() -> None:
    series = Series(Definitions())
    contact, audience = read(CODE), read({**CODE, "recipient_type": "all", "contact_external_id": None})
    lanes = [series.accept(body, circumstances(7)).lane for body in [contact, contact, audience, audience, contact]]
    assert lanes == [Lane.PRIORITY, Lane.PRIORITY, Lane.BULK, Lane.BULK, Lane.PRIORITY]


def test_one_and_true_are_not_the_same_to_an_item() -> None:
    series = Series(Definitions())
    for number, value in enumerate([1, True, 1.0, 1, True]):
        accepted = series.accept(
            read({**CODE, "variables": {"n": value}, "metadata": {"n": value}}), circumstances(number)
        )
        document = json.loads(accepted.value)
        assert json.dumps([document["variables"], document["metadata"]]) == json.dumps([{"n": value}] * 2)
