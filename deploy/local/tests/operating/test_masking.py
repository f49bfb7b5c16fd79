"""What an operator sees of a message: all of it but whom it is for."""

from __future__ import annotations

import base64
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sluice_local.operating.masking import masked
from sluice_local.operating.pretty import pretty

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_pretty_json_reads_back_as_the_same(value: Any) -> None:
    assert json.loads(pretty(value)) == value


@given(JSON)
def test_masking_keeps_the_shape(value: Any) -> None:
    def shape(of: Any) -> Any:
        match of:
            case dict():
                return {name: shape(item) for name, item in of.items()}
            case list():
                return [shape(item) for item in of]
            case _:
                return None

    # Columns of contacts are lists wherever a producer is sound; here they may be anything.
    if "fields" not in json.dumps(value):
        assert shape(masked(value)) == shape(value)


def test_a_column_of_a_command_takes_one_line() -> None:
    assert pretty({"seq": [1, 2], "jobs": {}, "rows": [{"a": []}]}) == (
        '{\n  "seq": [1, 2],\n  "jobs": {},\n  "rows": [\n    {\n      "a": []\n    }\n  ]\n}'
    )


def test_addresses_are_masked_wherever_they_stand_and_ids_are_not() -> None:
    command = {
        "type": "jobs.commanded.v1",
        "trigger_id": "01a1fe2e-f9a8-7d92-8b8d-5fcb10d220aa",
        "sender": {"from_email": "news@example.com"},
        "jobs": {
            "seq": [0, 1],
            "address": ["+14155550123", "ada@example.com"],
            "external_id": ["customer-4711", None],
            "fields": {"first_name": ["Ada", None], "attributes.plan": ["pro", 7]},
        },
        "metadata": {"note": "call 14155550123 or write to ada@example.com", "at": "2026-03-03T08:01:00.000Z"},
    }
    shown = masked(command)
    text = json.dumps(shown)
    assert "5550123" not in text
    assert "ada@" not in text
    assert "Ada" not in text
    assert shown["trigger_id"] == command["trigger_id"]
    assert shown["jobs"]["seq"] == [0, 1]
    assert shown["jobs"]["external_id"] == ["customer-4711", None]
    assert shown["jobs"]["fields"] == {"first_name": ["A***", None], "attributes.plan": ["p***", "***"]}
    assert shown["metadata"]["at"] == "2026-03-03T08:01:00.000Z"


def callback(body: bytes) -> dict[str, Any]:
    return {"type": "callback.received.v1", "body": base64.b64encode(body).decode()}


def test_the_body_of_a_callback_is_opened_because_in_base64_it_would_hide_nothing() -> None:
    form = masked(callback(b"From=whatsapp%3A%2B14155550123&Body=STOP&MessageSid=SM1"))
    assert form["body"] == {"From": "wha***23", "Body": "STOP", "MessageSid": "SM1"}
    body = masked(callback(b'{"contacts": [{"wa_id": "14155550123"}], "statuses": [{"recipient_id": "14155550123"}]}'))
    assert "5550123" not in json.dumps(body)
    assert masked(callback(b"\xff\xfe"))["body"].startswith("(")
    assert masked({"type": "callback.received.v1", "body": "not base64!"})["body"].startswith("(")
