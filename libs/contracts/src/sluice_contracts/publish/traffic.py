"""Who appends which messages to which topic, and who reads them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sluice_contracts import topics
from sluice_contracts.base import Message
from sluice_contracts.messages.command import JobsCommanded, ReportsRequested
from sluice_contracts.messages.control import TriggerControl
from sluice_contracts.messages.delivery import JobsReported
from sluice_contracts.messages.event import EventOccurred
from sluice_contracts.messages.execution import (
    CohortCounted,
    EventsEvaluated,
    ExecutionCommanded,
    ExecutionStarted,
    TriggerControlled,
    TriggerFailed,
    TriggerPlanned,
    WaitsReported,
)
from sluice_contracts.messages.receipt import CallbackReceived, TrackingReceived
from sluice_contracts.messages.trigger import (
    RepeatRequested,
    RetryRequested,
    TriggerAccepted,
    TriggerActionRequested,
)
from sluice_contracts.topics import Topic
from sluice_contracts.vocabulary import Channel, Lane

_WORKERS: Final = tuple(f"channel-{channel}" for channel in Channel)


@dataclass(frozen=True, slots=True)
class Traffic:
    """One topic with its messages and the services at both ends."""

    topic: Topic
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    messages: tuple[type[Message], ...]


def traffic() -> list[Traffic]:
    """Return the traffic of every topic, in the order in which messages flow."""
    flows = dict(_flows())
    return [flows[topic.name](topic) for topic in topics.catalogue()]


def message_types() -> list[type[Message]]:
    """Return every message, each once, in the order in which they flow."""
    return list(dict.fromkeys(message for flow in traffic() for message in flow.messages))


@dataclass(frozen=True, slots=True)
class _Ends:
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    messages: tuple[type[Message], ...]

    def __call__(self, topic: Topic) -> Traffic:
        return Traffic(topic, self.producers, self.consumers, self.messages)


def _flows() -> Iterator[tuple[str, _Ends]]:
    readers = ("orchestrator", "status-api")
    yield topics.EVENTS, _Ends(("ingest", "orchestrator"), ("orchestrator",), (EventOccurred,))
    yield topics.triggers(Lane.BULK), _Ends(("ingest", "orchestrator"), readers, (TriggerAccepted,))
    yield (
        topics.triggers(Lane.PRIORITY),
        _Ends(
            ("ingest", "orchestrator", "status-api", "operator"),
            readers,
            (TriggerAccepted, TriggerActionRequested, RetryRequested, RepeatRequested),
        ),
    )
    for channel in Channel:
        worker = (f"channel-{channel}",)
        for lane in Lane:
            yield (
                topics.commands(channel, lane),
                _Ends(("orchestrator", "status-api"), worker, (JobsCommanded, ReportsRequested)),
            )
        yield topics.receipts(channel), _Ends(("ingest",), worker, (CallbackReceived, TrackingReceived))
    executions = (
        TriggerPlanned,
        ExecutionStarted,
        ExecutionCommanded,
        CohortCounted,
        TriggerControlled,
        TriggerFailed,
        WaitsReported,
        EventsEvaluated,
    )
    yield topics.EXECUTIONS, _Ends(("orchestrator",), ("status-api",), executions)
    yield topics.DELIVERIES, _Ends(_WORKERS, ("status-api", "orchestrator"), (JobsReported,))
    yield topics.CONTROL, _Ends(("orchestrator",), _WORKERS, (TriggerControl,))
