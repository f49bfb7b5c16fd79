"""The latest word on a trigger, as workers hear it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import permutations
from uuid import UUID

from sluice_channel.control import Controls
from sluice_contracts import topics
from sluice_contracts.messages.control import TriggerControl
from sluice_messaging.records import Record, outbound

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
TRIGGER = UUID(int=1)


def word(mode: str, seconds: int) -> Record:
    control = TriggerControl.model_validate(
        {"trigger_id": TRIGGER, "workspace_id": UUID(int=2), "at": NOW + timedelta(seconds=seconds), "mode": mode}
    )
    sent = outbound(topics.CONTROL, control)
    return Record(sent.topic, 0, 0, sent.key, sent.value, {}, 0)


def test_the_latest_word_holds_in_whatever_order_the_words_come() -> None:
    for last, stop in (("running", None), ("paused", "paused"), ("cancelled", "cancelled")):
        words = [word("paused", 1), word("running", 2), word("paused", 3), word(last, 4)]
        for order in permutations(words):
            controls = Controls()
            for record in order:
                controls.observe(record)
            assert controls.stop_of(TRIGGER) == stop


def test_of_two_words_at_one_moment_the_second_holds() -> None:
    controls = Controls()
    controls.observe(word("paused", 1))
    controls.observe(word("running", 1))
    assert controls.stop_of(TRIGGER) is None


def test_a_word_that_was_taken_back_was_never_said() -> None:
    controls = Controls()
    controls.observe(word("cancelled", 1))
    controls.observe(Record(topics.CONTROL, 0, 1, str(TRIGGER).encode(), b"", {}, 0))
    assert controls.stop_of(TRIGGER) is None
    assert controls.stop_of(UUID(int=9)) is None
