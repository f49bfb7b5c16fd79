"""Records and the messages in them."""

from __future__ import annotations

from typing import ClassVar

import pytest

from sluice_contracts.base import Message
from sluice_messaging.errors import PoisonError
from sluice_messaging.kafka.translation import headers_from
from sluice_messaging.records import Partition, Record, outbound


class Greeting(Message):
    TYPE: ClassVar[str] = "greeting.v1"
    to: str
    times: int


def received(value: bytes) -> Record:
    return Record("greetings", 2, 7, b"k", value, {}, 0)


def test_a_message_goes_out_with_its_type_in_a_header_and_comes_back_the_same() -> None:
    record = outbound("greetings", Greeting(to="world", times=3), b"somebody")
    assert (record.topic, record.key) == ("greetings", b"somebody")
    assert record.headers == {"ce_type": "greeting.v1", "content-type": "application/json"}
    assert received(record.value).decode(Greeting) == Greeting(to="world", times=3)


def test_what_cannot_be_read_is_poison_and_the_reason_holds_no_values() -> None:
    with pytest.raises(PoisonError) as caught:
        received(b'{"to": 1, "times": "to +4915112345678"}').decode(Greeting)
    assert caught.value.reason.startswith("not a greeting.v1: ")
    assert "to: " in caught.value.reason
    assert "times: " in caught.value.reason
    assert "4915112345678" not in caught.value.reason


def test_what_is_no_json_is_poison() -> None:
    with pytest.raises(PoisonError, match=r"not a greeting\.v1"):
        received(b"\x00").decode(Greeting)


def test_a_record_knows_its_partition() -> None:
    assert received(b"").source == Partition("greetings", 2)


def test_each_send_gets_a_fresh_list_of_headers_in_bytes() -> None:
    headers = {"ce_type": "greeting.v1", "odd": "\udcff"}
    assert headers_from(headers) == [("ce_type", b"greeting.v1"), ("odd", b"\xff")]
    assert headers_from(headers) is not headers_from(headers)
