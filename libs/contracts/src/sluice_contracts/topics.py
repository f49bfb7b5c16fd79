"""The topics: names, keys, sizes and retention. The one place that a topic's name is written."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sluice_contracts.vocabulary import Channel, Lane

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS


class Cleanup(StrEnum):
    """What Kafka does with old records of a topic (its `cleanup.policy`)."""

    DELETE = "delete"
    COMPACT = "compact,delete"


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic as it is created: `partitions` bounds how many copies of a consumer can share it."""

    name: str
    purpose: str
    key: str
    partitions: int
    retention_ms: int
    cleanup: Cleanup = Cleanup.DELETE

    @property
    def dead_letters(self) -> str:
        """Name of the topic that takes what can never be handled."""
        return f"{self.name}.dlq"


def triggers(lane: Lane) -> str:
    """Name of the topic of accepted triggers in `lane`."""
    return f"triggers.{lane}"


def commands(channel: Channel, lane: Lane) -> str:
    """Name of the topic of commands to the workers of `channel` in `lane`."""
    return f"commands.{channel}.{lane}"


def receipts(channel: Channel) -> str:
    """Name of the topic of provider callbacks for `channel`."""
    return f"receipts.{channel}"


EVENTS: Final = "events"
EXECUTIONS: Final = "executions"
DELIVERIES: Final = "deliveries"
CONTROL: Final = "control"


def catalogue() -> tuple[Topic, ...]:
    """Return every topic, without its dead letters, in the order in which messages flow."""
    return (
        Topic(
            EVENTS, "Facts about contacts, before any workflow is chosen.", "workspace_id:external_id", 6, 7 * DAY_MS
        ),
        *(
            Topic(triggers(lane), "Accepted triggers and requests about them.", "trigger_id", 6, 7 * DAY_MS)
            for lane in Lane
        ),
        *(
            Topic(
                commands(channel, lane),
                f"Up to 200 jobs of one execution for the {channel} workers to carry out.",
                "execution_id:page",
                6,
                3 * DAY_MS,
            )
            for channel in Channel
            for lane in Lane
        ),
        Topic(
            EXECUTIONS,
            "What exists: plans, starts, totals, cancellations, answers to events.",
            "trigger_id (answers to events: workspace_id)",
            6,
            7 * DAY_MS,
        ),
        Topic(DELIVERIES, "Outcomes of jobs and later facts about them.", "execution_id:page", 6, 7 * DAY_MS),
        Topic(
            CONTROL,
            "Triggers that are cancelled, paused or running again, read by every copy of every worker.",
            "trigger_id",
            1,
            30 * DAY_MS,
            Cleanup.COMPACT,
        ),
        *(
            Topic(receipts(channel), f"Provider callbacks for {channel}, verified.", "provider message", 6, 7 * DAY_MS)
            for channel in Channel
        ),
    )


def dead_letter_topic(source: Topic) -> Topic:
    """Return the topic that takes what can never be handled from `source`."""
    return Topic(
        source.dead_letters,
        f"What could never be handled on {source.name}, as it came, with the reason in its headers.",
        source.key,
        1,
        30 * DAY_MS,
    )
