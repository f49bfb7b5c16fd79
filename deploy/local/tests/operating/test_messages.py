"""What a topic takes, and what is said about a value that it does not."""

from __future__ import annotations

import json

import pytest

from sluice_contracts.messages.delivery import JobsReported
from sluice_contracts.publish.examples import read_examples
from sluice_contracts.publish.traffic import traffic
from sluice_local.operating.errors import OperatingError
from sluice_local.operating.messages import NotAMessageError, dead_letter_topics, message_of, source_of


def test_every_example_is_a_message_of_its_topic() -> None:
    for flow in traffic():
        for model in flow.messages:
            for example in read_examples(model).values():
                message = message_of(flow.topic.name, json.dumps(example).encode())
                assert type(message) is model


def test_a_value_without_its_type_is_told_by_the_header_or_by_the_only_type_there_is() -> None:
    (example,) = list(read_examples(JobsReported).values())[:1]
    bare = json.dumps({name: value for name, value in example.items() if name != "type"}).encode()
    assert isinstance(message_of("deliveries", bare), JobsReported)
    with pytest.raises(NotAMessageError, match=r"type: is None, and the topic takes trigger\.planned"):
        message_of("executions", bare)
    with pytest.raises(NotAMessageError, match="Field required"):
        message_of("executions", bare, "trigger.counted.v1")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b"", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b'{"type": "jobs.commanded.v1"}', "takes jobs.reported.v1"),
        (b'{"type": "jobs.reported.v1", "channel": "+14155550123"}', "channel: Input should be"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"type": ["jobs.reported.v1"]}', "takes jobs.reported.v1"),
    ],
)
def test_what_is_wrong_is_said_without_the_values(value: bytes, said: str) -> None:
    with pytest.raises(NotAMessageError, match=said) as caught:
        message_of("deliveries", value)
    assert "4155550123" not in str(caught.value)


def test_only_dead_letter_topics_hold_dead_letters() -> None:
    assert [source_of(name).dead_letters for name in dead_letter_topics()] == dead_letter_topics()
    with pytest.raises(OperatingError, match=r"theirs are in control\.dlq"):
        source_of("control")
    with pytest.raises(OperatingError, match="there is no dead-letter topic"):
        source_of("control.dlq.dlq")
