from __future__ import annotations

import re

from sluice_contracts import topics
from sluice_contracts.topics import Cleanup, catalogue, dead_letter_topic
from sluice_contracts.vocabulary import Channel, Lane


def test_every_name_that_code_can_ask_for_is_in_the_catalogue() -> None:
    asked = {
        topics.EVENTS,
        topics.EXECUTIONS,
        topics.DELIVERIES,
        topics.CONTROL,
        *(topics.triggers(lane) for lane in Lane),
        *(topics.commands(channel, lane) for channel in Channel for lane in Lane),
        *(topics.receipts(channel) for channel in Channel),
    }
    assert asked == {topic.name for topic in catalogue()}


def test_names_are_unique_and_kafka_takes_them() -> None:
    every = [*catalogue(), *(dead_letter_topic(topic) for topic in catalogue())]
    names = [topic.name for topic in every]
    assert len(names) == len(set(names))
    for name in names:
        assert re.fullmatch(r"[a-z][a-z0-9.-]{0,248}", name)


def test_names_that_differ_only_by_a_dot_do_not_meet_in_metrics() -> None:
    names = [topic.name.replace(".", "_") for topic in catalogue()]
    assert len(names) == len(set(names))


def test_topics_whose_reports_must_meet_have_the_same_number_of_partitions() -> None:
    partitions = {topic.name: topic.partitions for topic in catalogue()}
    assert len({partitions[topics.triggers(lane)] for lane in Lane} | {partitions[topics.EXECUTIONS]}) == 1
    commanded = {partitions[topics.commands(channel, lane)] for channel in Channel for lane in Lane}
    assert commanded == {partitions[topics.DELIVERIES]}


def test_only_the_topic_that_is_read_whole_is_compacted_and_it_has_one_partition() -> None:
    (compacted,) = [topic for topic in catalogue() if topic.cleanup is Cleanup.COMPACT]
    assert (compacted.name, compacted.partitions) == (topics.CONTROL, 1)


def test_dead_letters_are_kept_longer_than_what_they_came_from() -> None:
    for topic in catalogue():
        letters = dead_letter_topic(topic)
        assert letters.name == topic.dead_letters == f"{topic.name}.dlq"
        assert letters.retention_ms >= topic.retention_ms
