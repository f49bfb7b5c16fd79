"""The parts that decide, each by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.domain import naming
from ingest.domain.callbacks import record_key
from ingest.domain.lanes import effective_category, lane_for
from ingest.domain.machines import is_machine
from sluice_contracts.messages.trigger import (
    AddressRecipients,
    AllRecipients,
    ContactRecipients,
    ListRecipients,
    Recipients,
    SegmentRecipients,
    TagRecipients,
)
from sluice_contracts.vocabulary import Category, Channel, Lane

NOW = datetime(2026, 11, 23, tzinfo=UTC)
WORKSPACE = UUID(int=1)

named = st.sampled_from(
    [ContactRecipients(external_ids=["a"]), AddressRecipients(channel=Channel.SMS, addresses=["+1"])]
)
audiences = st.sampled_from(
    [
        TagRecipients(tags=["a"]),
        SegmentRecipients(segment_id=WORKSPACE),
        ListRecipients(list_id=WORKSPACE),
        AllRecipients(),
    ]
)
categories = st.sampled_from(Category)


@given(categories, audiences)
def test_an_audience_never_travels_in_the_priority_lane(category: Category, recipients: Recipients) -> None:
    assert lane_for(category, recipients) is Lane.BULK


@given(categories, named)
def test_named_recipients_travel_by_their_category(category: Category, recipients: Recipients) -> None:
    wanted = Lane.PRIORITY if category in {"authentication", "transactional"} else Lane.BULK
    assert lane_for(category, recipients) is wanted


@given(st.none() | categories, st.none() | categories, named | audiences)
def test_what_the_caller_says_goes_before_what_the_definition_says(
    asked: Category | None, defined: Category | None, recipients: Recipients
) -> None:
    category = effective_category(asked, defined, recipients)
    if asked or defined:
        assert category is (asked or defined)
    else:
        assert category in {Category.TRANSACTIONAL, Category.MARKETING}


def test_a_direct_send_is_named_after_its_channel_and_content() -> None:
    assert naming.campaign_name(Channel.SMS, "otp_us") == "SMS Send - otp_us"
    assert naming.campaign_name(Channel.EMAIL, None) == "Email Send"


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=255), st.integers(0, 999))
def test_a_key_names_one_trigger_and_each_item_of_a_bulk_call_another(key: str, index: int) -> None:
    single = naming.trigger_id(WORKSPACE, key, NOW)
    assert single == naming.trigger_id(WORKSPACE, key, NOW + timedelta(days=1))
    item = naming.trigger_id(WORKSPACE, key, NOW, index)
    assert item not in {single, naming.trigger_id(WORKSPACE, key, NOW, index + 1)}
    assert single != naming.trigger_id(UUID(int=2), key, NOW)


def test_a_trigger_without_a_key_has_a_new_id_in_the_order_of_time() -> None:
    first = naming.trigger_id(WORKSPACE, None, NOW)
    second = naming.trigger_id(WORKSPACE, None, NOW + timedelta(milliseconds=1))
    assert first < second
    assert first.version == 7


@pytest.mark.parametrize(
    ("agent", "machine"),
    [
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15", False),
        ("Mozilla/5.0 (Linux; Android 14; CUBOT NOTE 50) AppleWebKit/537.36", False),
        ("Mozilla/5.0", True),
        ("Mozilla/5.0 (compatible; bingbot/2.0)", True),
        ("", True),
    ],
)
def test_machines_are_told_by_what_they_say_of_themselves(agent: str, machine: bool) -> None:
    assert is_machine({"User-Agent": agent}) is machine


def test_what_one_person_writes_stays_in_order_and_so_does_what_is_said_of_one_message() -> None:
    kind = "application/x-www-form-urlencoded"
    stop, start = (b"MessageSid=SM%d&From=%%2B14155550123&Body=%b" % pair for pair in ((1, b"STOP"), (2, b"START")))
    assert record_key({}, kind, stop) == record_key({}, kind, start)
    sent, delivered = (b"MessageSid=SM1&From=%%2B15005550006&MessageStatus=%b" % state for state in (b"a", b"b"))
    assert record_key({}, kind, sent) == record_key({}, kind, delivered) == b"SM1"
    assert record_key({"ref": "our-reference"}, kind, sent) == b"our-reference"


@given(st.dictionaries(st.text(max_size=10), st.text(max_size=20)), st.text(max_size=40), st.binary(max_size=100))
def test_any_callback_has_a_key_that_depends_on_it_alone(query: dict[str, str], kind: str, body: bytes) -> None:
    key = record_key(query, kind, body)
    assert 0 < len(key) <= 200
    assert key == record_key(dict(query), kind, body)
