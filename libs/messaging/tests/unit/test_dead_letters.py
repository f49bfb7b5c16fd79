"""Dead letters: what they carry, and how many there may be."""

from __future__ import annotations

from datetime import UTC, datetime

from sluice_contracts.topics import catalogue
from sluice_messaging.dead_letters import DeadLetterLimit, dead_letter, dead_letter_topic
from sluice_messaging.errors import PoisonError
from sluice_messaging.records import Record

RECORD = Record("orders", 3, 41, b"key", b"\x00raw", {"ce_type": "order.v1", "odd": "\udcff"}, 1_700_000_000_000)
NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def test_a_dead_letter_is_the_record_as_it_came_and_says_where_from_and_why() -> None:
    letter = dead_letter(RECORD, PoisonError("not an order"), attempts=1, group="billing", now=NOW)
    assert (letter.topic, letter.key, letter.value) == ("orders.dlq", b"key", b"\x00raw")
    assert letter.headers == {
        "ce_type": "order.v1",
        "odd": "\udcff",
        "x-original-topic": "orders",
        "x-original-partition": "3",
        "x-original-offset": "41",
        "x-error-class": "PoisonError",
        "x-error": "not an order",
        "x-attempts": "1",
        "x-failed-at": "2026-03-04T05:06:07.000Z",
        "x-consumer-group": "billing",
    }


def test_a_long_reason_is_cut_so_that_the_letter_still_fits() -> None:
    letter = dead_letter(RECORD, ValueError("x" * 10_000_000), attempts=3, group="billing", now=NOW)
    assert len(letter.headers["x-error"]) == 1_000


def test_the_names_of_dead_letter_topics_are_those_of_the_catalogue() -> None:
    assert all(dead_letter_topic(topic.name) == topic.dead_letters for topic in catalogue())


def test_a_few_dead_letters_are_let_pass() -> None:
    limit = DeadLetterLimit()
    for _ in range(1_000):
        limit.handled(9)
        assert limit.dead() is None


def test_too_many_dead_letters_in_a_row_are_too_many() -> None:
    limit = DeadLetterLimit(consecutive=3)
    assert [limit.dead() for _ in range(3)] == [None, None, None]
    limit.handled()
    assert [limit.dead() for _ in range(3)] == [None, None, None]
    assert limit.dead() == "4 records in a row could not be handled"


def test_too_high_a_share_of_dead_letters_is_too_many() -> None:
    limit = DeadLetterLimit(consecutive=100, ratio=0.5, window=10, minimum=6)
    for _ in range(3):
        assert limit.dead() is None
        limit.handled()
    assert limit.dead() == "4 of the last 7 records could not be handled"


def test_old_records_no_longer_count_towards_the_share() -> None:
    limit = DeadLetterLimit(consecutive=100, ratio=0.5, window=10, minimum=6)
    for _ in range(5):
        assert limit.dead() is None
    limit.handled(20)
    assert limit.dead() is None
