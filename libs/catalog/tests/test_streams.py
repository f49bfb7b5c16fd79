"""Streams in the database: tokens that overlap, events by key, counts by day, and what the snapshot makes of them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sluice_catalog.api_keys import digest
from sluice_catalog.definitions.problems import InvalidDefinition, NotThere, TakenKey
from sluice_catalog.definitions.stream_events import StreamEventDefinition, StreamEvents
from sluice_catalog.definitions.streams import Limits, StreamDefinition, StreamFilter, Streams
from sluice_catalog.definitions.templates import SmsTemplate, SmsVariant, Templates
from sluice_catalog.definitions.workflows import Step, StepsWorkflow, Workflows
from sluice_catalog.snapshot import CatalogSnapshot
from sluice_catalog.stream_counts import DayCount, RefusalCount, RefusalKey, StreamCounts, StreamDay, Tally
from sluice_catalog.streams import StreamType, is_among
from sluice_contracts.vocabulary import Category, Channel, WorkflowType
from sluice_runtime.http.guard.rates import Rate

integration = pytest.mark.integration
TODAY = date(2026, 3, 1)


def otp(**fields: Any) -> StreamDefinition:
    return StreamDefinition.model_validate({"name": "Codes", "type": "otp", "status": "ready"} | fields)


async def add_template(place: Any, key: str, text: str) -> None:
    variant = SmsVariant(country=None, locale=None, text=text)
    template = SmsTemplate(key=key, name=key, channel=Channel.SMS, category=Category.TRANSACTIONAL, variants=[variant])
    await Templates(place.database, place.clock).create(place.workspace, template)


@integration
async def test_a_stream_is_found_by_its_id_and_by_its_key_and_by_nobody_else(place: Any) -> None:
    streams = Streams(place.database, place.clock)
    stored, secret = await streams.open(place.workspace, otp(tags=["a", "b", "a"], allowed_ips=["203.0.113.7"]))
    assert stored.content.key is not None
    assert stored.content.key.startswith("strm_")
    assert stored.content.tags == ["a", "b"]
    assert stored.content.allowed_ips == ["203.0.113.7/32"]
    assert secret.secret.startswith("st_live_")
    assert stored.facts["tokens"][0].hint == secret.hint
    for reference in (str(stored.id), stored.content.key):
        assert (await streams.get(place.workspace, reference)).id == stored.id
        with pytest.raises(NotThere):
            await streams.get(place.stranger, reference)


@integration
async def test_two_streams_cannot_have_one_key(place: Any) -> None:
    streams = Streams(place.database, place.clock)
    await streams.open(place.workspace, otp(key="strm_1234abcd"))
    with pytest.raises(TakenKey):
        await streams.open(place.workspace, otp(key="strm_1234abcd"))
    await streams.open(place.stranger, otp(key="strm_1234abcd"))


@integration
async def test_a_stream_can_only_name_what_there_is(place: Any) -> None:
    streams = Streams(place.database, place.clock)
    for fields in ({"workflow_id": "nobody"}, {"template_key": "nobody"}, {"provider_account_id": str(UUID(int=7))}):
        with pytest.raises(InvalidDefinition) as refused:
            await streams.open(place.workspace, otp(**fields))
        assert [fault.field for fault in refused.value.faults] == list(fields)


@integration
async def test_a_workflow_is_named_by_name_and_kept_by_id_and_its_variables_are_known(place: Any) -> None:
    await add_template(place, "hello", "Hello {{ first_name }}, {{ code }} for {{ order.id }}")
    step = Step(step_id="one", step_name="One", channel=Channel.SMS, template_key="hello")
    workflow = StepsWorkflow(name="Greeting", type=WorkflowType.STEPS, status="active", steps=[step])
    made = await Workflows(place.database, place.clock).create(place.workspace, workflow)
    streams = Streams(place.database, place.clock)
    stored, _ = await streams.open(place.workspace, otp(workflow_id="Greeting"))
    assert stored.content.workflow_id == str(made.id)
    assert await streams.variables(stored) == ["code", "first_name", "order.id"]


@integration
async def test_after_a_reset_both_tokens_work_until_the_overlap_is_over(place: Any) -> None:
    streams = Streams(place.database, place.clock)
    stored, old = await streams.open(place.workspace, otp())
    _, new = await streams.reset_token(place.workspace, str(stored.id), timedelta(hours=1))
    snapshot = CatalogSnapshot(place.database, place.secret_box)
    await snapshot.refresh()
    before, after = snapshot.stream_token(old.sha256), snapshot.stream_token(new.sha256)
    assert before is not None
    assert after is not None
    assert before.expires_at == place.clock.now() + timedelta(hours=1)
    assert after.expires_at is None
    assert {token.hint for token in (await streams.with_tokens(stored)).facts["tokens"]} == {old.hint, new.hint}
    # A second reset never lets an old token live longer than it was told.
    place.clock.advance(timedelta(minutes=59))
    await streams.reset_token(place.workspace, str(stored.id), timedelta(hours=1))
    await snapshot.refresh()
    again = snapshot.stream_token(old.sha256)
    assert again is not None
    assert again.expires_at == before.expires_at
    place.clock.advance(timedelta(minutes=2))
    assert old.hint not in {token.hint for token in (await streams.with_tokens(stored)).facts["tokens"]}


@integration
async def test_a_deleted_stream_takes_its_tokens_its_events_and_its_counts_along(place: Any) -> None:
    streams, events = Streams(place.database, place.clock), StreamEvents(place.database, place.clock)
    stored, secret = await streams.open(place.workspace, otp())
    await events.create(stored.id, StreamEventDefinition(key="login", text="{{ code }}"))
    counts = StreamCounts(place.database)
    await counts.add({StreamDay(stored.id, TODAY): Tally(1, place.clock.now())}, {})
    await streams.delete(place.workspace, str(stored.id))
    snapshot = CatalogSnapshot(place.database, place.secret_box)
    await snapshot.refresh()
    assert snapshot.stream(place.workspace, str(stored.id)) is None
    assert snapshot.stream_token(secret.sha256) is None
    assert snapshot.stream_event(stored.id, "login") is None
    # What was counted in memory meanwhile is counted for nobody.
    assert await counts.add({StreamDay(stored.id, TODAY): Tally(1, place.clock.now())}, {}) == {}


@integration
async def test_the_snapshot_holds_all_that_the_accepting_path_asks_for(place: Any) -> None:
    await add_template(place, "code", "{{ code }}")
    streams = Streams(place.database, place.clock)
    limits = Limits(per_second=2.5, per_day=1000)
    stored, secret = await streams.open(place.workspace, otp(template_key="code", limits=limits, sender="Sluice"))
    await StreamEvents(place.database, place.clock).create(
        stored.id, StreamEventDefinition(key="login", template_key="code")
    )
    snapshot = CatalogSnapshot(place.database, place.secret_box)
    await snapshot.refresh()
    found = snapshot.stream(place.workspace, stored.content.key or "")
    assert found is not None
    assert found is snapshot.stream(place.workspace, str(stored.id))
    assert snapshot.stream(place.stranger, str(stored.id)) is None
    assert (found.type, found.category, found.status) == (StreamType.OTP, Category.AUTHENTICATION, "ready")
    assert (found.template_key, found.sender, found.rate, found.per_day) == ("code", "Sluice", Rate(2.5, 3), 1000)
    assert found.expires_after == timedelta(minutes=5)
    token = snapshot.stream_token(digest(secret.secret))
    assert token is not None
    assert (token.stream_id, token.workspace_id) == (stored.id, place.workspace)
    event = snapshot.stream_event(stored.id, "login")
    assert event is not None
    assert (event.text, event.template_key) == (None, "code")


@integration
async def test_streams_are_listed_by_name_tag_status_and_whether_they_are_sending(place: Any) -> None:
    streams = Streams(place.database, place.clock)
    spring, _ = await streams.open(place.workspace, otp(name="Spring sale 100%", type="marketing", tags=["sale"]))
    place.clock.advance(timedelta(milliseconds=1))
    codes, _ = await streams.open(place.workspace, otp(name="Codes", tags=["login", "sale"]))
    place.clock.advance(timedelta(milliseconds=1))
    draft, _ = await streams.open(place.workspace, otp(name="Autumn", status="draft"))

    async def listed(**wanted: Any) -> list[UUID]:
        return [one.id for one in await streams.filtered(place.workspace, StreamFilter(**wanted), None, 10)]

    assert await listed() == [spring.id, codes.id, draft.id]
    assert await listed(name="SALE 100%") == [spring.id]
    assert await listed(name="%") == [spring.id]
    assert await listed(tag="sale") == [spring.id, codes.id]
    assert await listed(status="draft") == [draft.id]
    assert await listed(status="ready", sending=[codes.id], among_sending=True) == [codes.id]
    assert await listed(status="ready", sending=[codes.id], among_sending=False) == [spring.id]
    assert [one.id for one in await streams.filtered(place.workspace, StreamFilter(), spring.id, 1)] == [codes.id]
    assert await streams.filtered(place.stranger, StreamFilter(), None, 10) == []


@integration
async def test_counts_add_up_over_batches(place: Any) -> None:
    stored, _ = await Streams(place.database, place.clock).open(place.workspace, otp())
    counts, at = StreamCounts(place.database), datetime(2026, 3, 1, 10, tzinfo=UTC)
    day, key = StreamDay(stored.id, TODAY), RefusalKey(stored.id, TODAY, "address_not_allowed", "203.0.113.9")
    assert await counts.add({day: Tally(3, at)}, {key: Tally(1, at)}) == {day: 3}
    later = at + timedelta(hours=1)
    assert await counts.add({day: Tally(4, later)}, {key: Tally(2, at), key._replace(reason="invalid"): Tally(1, at)})
    assert await counts.accepted_on([stored.id], TODAY) == {day: 7}
    assert await counts.days(stored.id, TODAY, TODAY) == [DayCount(TODAY, 7, later)]
    assert await counts.refusals(stored.id, TODAY, TODAY) == [
        RefusalCount("address_not_allowed", "203.0.113.9", 3, at),
        RefusalCount("invalid", "203.0.113.9", 1, at),
    ]
    tomorrow = TODAY + timedelta(days=1)
    assert await counts.days(stored.id, tomorrow, tomorrow) == []
    (listed,) = await Streams(place.database, place.clock).filtered(place.workspace, StreamFilter(), None, 1)
    assert listed.facts["last_activity"] == later


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"workflow_id": "a", "template_key": "b"}, "template_key"),
        ({"category": "marketing"}, "category"),
        ({"limits": {"burst": 5}}, "limits.burst"),
        ({"limits": {"per_second": 0}}, "limits.per_second"),
        ({"allowed_ips": ["203.0.113.0/33"]}, "allowed_ips.0"),
        ({"allowed_ips": ["203.0.113.5/24"]}, "allowed_ips.0"),
        ({"sender": "Slu\nice"}, "sender"),
        ({"status": "sending"}, "status"),
        ({"key": "no blanks please"}, "key"),
        ({"type": "carrier_pigeon"}, "type"),
    ],
)
def test_a_stream_that_makes_no_sense_is_refused_by_field(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        otp(**fields)
    assert ".".join(map(str, refused.value.errors()[0]["loc"])) == field


def test_two_way_and_whatsapp_streams_may_say_their_category() -> None:
    assert otp(type="two_way", category="transactional").category is Category.TRANSACTIONAL


@pytest.mark.parametrize(
    ("address", "allowed", "admitted"),
    [
        ("203.0.113.9", ["203.0.113.0/24"], True),
        ("203.0.114.9", ["203.0.113.0/24"], False),
        ("::ffff:203.0.113.9", ["203.0.113.0/24"], True),
        ("2001:db8::1", ["2001:db8::/32"], True),
        ("2001:db9::1", ["2001:db8::/32"], False),
        ("203.0.113.9", ["2001:db8::/32"], False),
        ("", ["0.0.0.0/0"], False),
        ("unix:", ["0.0.0.0/0"], False),
        ("203.0.113.9, 10.0.0.1", ["0.0.0.0/0"], False),
    ],
)
def test_an_address_is_among_networks_of_its_own_family(address: str, allowed: list[str], admitted: bool) -> None:
    assert is_among(address, allowed) is admitted


@given(st.text(max_size=60))
def test_no_text_is_an_address_by_accident(text: str) -> None:
    assert is_among(text, []) is False


@pytest.mark.parametrize("fields", [{}, {"text": "a", "template_key": "b"}, {"text": "{{ open"}])
def test_a_stream_event_says_one_thing_that_can_be_read(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        StreamEventDefinition.model_validate({"key": "login", **fields})


def test_a_stream_event_knows_its_variables() -> None:
    event = StreamEventDefinition(key="login", text="{{ code }} for {{ shop.name }}")
    assert event.references() == {"code", "shop.name"}
