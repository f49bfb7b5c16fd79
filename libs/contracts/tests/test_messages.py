from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sluice_contracts.base import Message, Part, format_instant, fragment
from sluice_contracts.messages.command import JobsCommanded, ReportsRequested
from sluice_contracts.messages.content import TemplateContent
from sluice_contracts.messages.control import TriggerControl
from sluice_contracts.messages.delivery import JobsReported
from sluice_contracts.messages.event import EventOccurred
from sluice_contracts.messages.execution import ExecutionStarted, decode_execution
from sluice_contracts.messages.receipt import CallbackReceived, decode_receipt
from sluice_contracts.messages.trigger import (
    AddressRecipients,
    ContactRecipients,
    SegmentRecipients,
    TriggerAccepted,
    UnionRecipients,
    decode_trigger,
)
from sluice_contracts.publish.examples import EXAMPLES, losses, read_examples
from sluice_contracts.publish.traffic import message_types
from sluice_contracts.vocabulary import Channel, FlowType

EVERY_EXAMPLE = [
    pytest.param(message, path, id=f"{message.TYPE}/{path.stem}")
    for message in message_types()
    for path in sorted((EXAMPLES / message.TYPE).glob("*.json"))
]
UNIONS = {"trigger": decode_trigger, "execution": decode_execution, "receipt": decode_receipt}


def example(message: type[Message], name: str) -> dict[str, Any]:
    return dict(read_examples(message)[name])


@pytest.mark.parametrize(("message", "path"), EVERY_EXAMPLE)
def test_what_was_ever_written_is_read_and_written_again_without_loss(message: type[Message], path: Path) -> None:
    written = message.decode(path.read_bytes()).encode()
    assert losses(json.loads(path.read_bytes()), json.loads(written)) == []
    assert message.decode(written) == message.decode(path.read_bytes())


@pytest.mark.parametrize(("message", "path"), EVERY_EXAMPLE)
def test_a_reader_of_today_ignores_what_a_writer_of_tomorrow_adds(message: type[Message], path: Path) -> None:
    later = json.loads(path.read_bytes()) | {"something_new": {"a": 1}}
    assert message.decode(json.dumps(later).encode()) == message.decode(path.read_bytes())


@pytest.mark.parametrize(("message", "path"), EVERY_EXAMPLE)
def test_readers_of_a_topic_tell_its_messages_apart(message: type[Message], path: Path) -> None:
    decoders = [decode_trigger, decode_execution, decode_receipt]
    raw = path.read_bytes()
    taken = []
    for decode in decoders:
        try:
            taken.append(type(decode(raw)))
        except ValidationError:
            continue
    alone = message in {EventOccurred, JobsCommanded, ReportsRequested, JobsReported, TriggerControl}
    assert taken == ([] if alone else [message])


def test_every_message_has_examples_and_every_example_has_a_message() -> None:
    types = {message.TYPE for message in message_types()}
    assert {folder.name for folder in EXAMPLES.iterdir()} == types
    assert all(read_examples(message) for message in message_types())


def test_a_message_names_its_type_and_version() -> None:
    for message in message_types():
        assert message.model_fields["type"].default == message.TYPE
        assert message.TYPE.rpartition(".v")[2].isdigit()


def test_a_loss_is_noticed() -> None:
    before = {"a": [1, {"b": None}], "c": True}
    assert losses(before, {"a": [1, {"b": None, "new": 1}], "c": True, "d": 2}) == []
    assert losses(before, {"a": [1, {}], "c": True}) == [".a.1.b"]
    assert losses(before, {"a": [1], "c": True}) == [".a"]
    assert losses(before, {"a": [1, {"b": None}], "c": 1}) == [".c"]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
TEXTS = st.characters(exclude_categories=["Cs"])


@given(st.dictionaries(st.text(TEXTS, max_size=5), JSON, max_size=4))
def test_a_callers_values_arrive_as_they_were(variables: dict[str, Any]) -> None:
    data = example(TriggerAccepted, "one-time-code-by-sms") | {"variables": variables}
    accepted = TriggerAccepted.model_validate(data)
    assert TriggerAccepted.decode(accepted.encode()).variables == variables


@given(st.datetimes(timezones=st.timezones(), min_value=datetime(1971, 1, 1), max_value=datetime(2100, 1, 1)))  # noqa: DTZ001 - bounds for Hypothesis are naive
def test_times_travel_in_utc_to_the_millisecond(moment: datetime) -> None:
    data = example(ExecutionStarted, "first-step") | {"started_at": moment}
    back = ExecutionStarted.decode(ExecutionStarted.model_validate(data).encode()).started_at
    assert back.tzinfo is UTC or back.utcoffset() == timedelta(0)
    assert timedelta(0) <= moment - back < timedelta(milliseconds=1)


def test_a_time_without_a_zone_is_refused() -> None:
    data = example(ExecutionStarted, "first-step") | {"started_at": "2026-01-01T00:00:00"}
    with pytest.raises(ValidationError, match="zone"):
        ExecutionStarted.model_validate(data)


def test_instants_are_written_with_milliseconds_and_z() -> None:
    noon = datetime(2026, 1, 1, 12, 0, 0, 5999, tzinfo=timezone(timedelta(hours=2)))
    assert format_instant(noon) == "2026-01-01T10:00:00.005Z"


@pytest.mark.parametrize("message", [JobsCommanded, JobsReported])
def test_columns_of_different_lengths_are_refused(message: type[Message]) -> None:
    for data in read_examples(message).values():
        for column in data["jobs"]:
            if column != "fields":
                bent = {**data, "jobs": {**data["jobs"], column: [*data["jobs"][column], None]}}
                with pytest.raises(ValidationError):
                    message.model_validate(bent)


def test_a_column_of_fields_must_be_as_long_as_the_others() -> None:
    data = example(JobsCommanded, "a-code-to-one-contact")
    with pytest.raises(ValidationError, match="1 entries"):
        JobsCommanded.model_validate({**data, "jobs": {**data["jobs"], "fields": {"first_name": ["Ada", "Bob"]}}})


def test_messages_cannot_be_changed_after_the_fact() -> None:
    message = TriggerControl.model_validate(example(TriggerControl, "paused"))
    with pytest.raises(ValidationError, match="frozen"):
        message.trigger_id = UUID(int=0)  # type: ignore[misc]


def test_a_trigger_knows_what_its_caller_sees() -> None:
    direct = TriggerAccepted.model_validate(example(TriggerAccepted, "email-to-a-tag"))
    workflow = TriggerAccepted.model_validate(example(TriggerAccepted, "workflow-for-a-segment"))
    assert (direct.flow_type, direct.trigger_type) == (FlowType.DIRECT_CHANNEL, "email")
    assert (workflow.flow_type, workflow.trigger_type) == (FlowType.WORKFLOW, "workflow")


@pytest.mark.parametrize(("message", "path"), EVERY_EXAMPLE)
def test_what_is_written_is_to_the_byte_what_pydantic_writes(message: type[Message], path: Path) -> None:
    read = message.decode(path.read_bytes())
    assert read.encode() == read.model_dump_json().encode()


@given(
    st.dictionaries(
        st.text(),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        ),
    )
)
def test_whatever_a_caller_puts_into_variables_is_written_as_pydantic_writes_it(variables: dict[str, Any]) -> None:
    read = TriggerAccepted.decode(json.dumps(next(iter(read_examples(TriggerAccepted).values()))).encode())
    written = read.model_copy(update={"variables": variables})
    assert json.loads(written.encode()) == json.loads(written.model_dump_json())


def test_all_that_is_said_of_one_page_of_jobs_has_one_key() -> None:
    command = JobsCommanded.decode(next(iter((EXAMPLES / JobsCommanded.TYPE).glob("*.json"))).read_bytes())
    report = JobsReported.decode(next(iter((EXAMPLES / JobsReported.TYPE).glob("*.json"))).read_bytes())
    request = ReportsRequested.decode(next(iter((EXAMPLES / ReportsRequested.TYPE).glob("*.json"))).read_bytes())
    of = {"execution_id": command.execution_id, "page": 7}
    assert command.model_copy(update=of).key == f"{command.execution_id}:7".encode()
    assert report.model_copy(update=of).key == command.model_copy(update=of).key
    assert request.model_copy(update=of | {"first_page": 7}).key == command.model_copy(update=of).key


def test_one_contacts_events_have_one_key_and_an_event_about_nobody_has_its_own() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    event = EventOccurred(event_id=UUID(int=3), workspace_id=UUID(int=1), name="paid", occurred_at=now, accepted_at=now)
    assert event.key == f"{UUID(int=1)}:{UUID(int=3)}".encode()
    assert event.model_copy(update={"external_id": "ada"}).key == f"{UUID(int=1)}:ada".encode()


@pytest.mark.parametrize(("message", "path"), EVERY_EXAMPLE)
def test_every_message_says_its_key_unless_it_lies_in_somebody_elses_body(message: type[Message], path: Path) -> None:
    assert (message.decode(path.read_bytes()).key is None) == (message is CallbackReceived)


@pytest.mark.parametrize(("message", "path"), EVERY_EXAMPLE)
def test_what_is_written_of_valid_fields_is_what_the_message_would_be(message: type[Message], path: Path) -> None:
    made = message.decode(path.read_bytes())
    given = {name: value for name, value in vars(made).items() if name in made.model_fields_set}
    assert message.written(**given) == made.encode()


@pytest.mark.parametrize("number", [1, 2**70])
def test_a_part_may_be_written_beforehand_and_a_number_be_of_any_size(number: int) -> None:
    (given,) = list(read_examples(TriggerAccepted).values())[:1]
    message = TriggerAccepted.model_validate(dict(given) | {"variables": {"n": number}})
    fields = vars(message) | {"plan": fragment(message.plan), "sender": fragment(message.sender)}
    assert TriggerAccepted.written(**fields) == message.encode()


@pytest.mark.parametrize("number", [1, 2**70])
@pytest.mark.parametrize(
    ("part", "fields"),
    [
        (ContactRecipients, {"external_ids": ["ada"]}),
        (AddressRecipients, {"channel": Channel.SMS, "addresses": ["+14155550123"]}),
        (SegmentRecipients, {"segment_id": UUID(int=7)}),
        (UnionRecipients, {}),
    ],
)
def test_a_part_may_be_given_plain(part: type[Part], fields: dict[str, Any], number: int) -> None:
    (given,) = list(read_examples(TriggerAccepted).values())[:1]
    changed = {"recipients": part(**fields), "variables": {"n": number}}
    message = TriggerAccepted.model_validate(dict(given) | changed)
    assert TriggerAccepted.written(**vars(message) | {"recipients": part.plain(**fields)}) == message.encode()


def test_what_is_keyed_by_words_of_ours_is_written_like_any_other() -> None:
    (given,) = list(read_examples(TriggerAccepted).values())[:1]
    message = TriggerAccepted.model_validate(dict(given) | {"channel_variables": {"sms": {"n": 1}}})
    assert set(map(type, message.channel_variables)) == {Channel}
    assert TriggerAccepted.written(**vars(message)) == message.encode()


class DriversUuid(UUID):
    """A database driver's own kind of id."""


def test_an_id_as_a_database_driver_gives_it_is_written_like_any_other() -> None:
    known = UUID(int=7)
    for written in (known, DriversUuid(int=7)):
        content = TemplateContent.model_construct(template_id=written)
        assert orjson.loads(orjson.dumps(fragment(content)))["template_id"] == str(known)


@pytest.mark.parametrize(("message", "path"), EVERY_EXAMPLE)
def test_a_form_that_is_filled_is_the_message_it_would_be(message: type[Message], path: Path) -> None:
    fields = json.loads(message.decode(path.read_bytes()).encode())
    names = sorted(message.model_fields)
    for left_open in (names[:1], names[1::2], names[-1:]):
        own = {name: fields[name] for name in left_open}
        form = message.form(left_open, **{name: value for name, value in fields.items() if name not in own})
        assert [json.loads(form.filled(**own)) for _ in range(2)] == [fields, fields]


def test_a_form_left_open_is_not_filled_with_what_is_usual() -> None:
    (given,) = list(read_examples(TriggerAccepted).values())[:1]
    message = TriggerAccepted.model_validate(dict(given) | {"variables": {"n": 1}})
    form = TriggerAccepted.form(["variables"], **{**vars(message), "variables": {"n": 2}})
    assert form.filled(variables={"n": 3}).count(b'"variables"') == 1
    assert TriggerAccepted.decode(form.filled(variables={"n": 3})).variables == {"n": 3}
    with pytest.raises(TypeError):
        form.filled(variables={"n": 2**70})
