"""What is on its way through streams and what it came to, from the messages on the topics."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from sluice_contracts.base import Message
from sluice_contracts.identifiers import execution_id_for
from sluice_contracts.messages.content import InlineSms
from sluice_contracts.messages.delivery import JobsReported, ReportedJobs
from sluice_contracts.messages.execution import (
    ExecutionCommanded,
    ExecutionStarted,
    PlannedExecution,
    TriggerControlled,
    TriggerFailed,
    TriggerPlanned,
)
from sluice_contracts.messages.trigger import ContactRecipients, DirectSend, TriggerAccepted
from sluice_contracts.vocabulary import Category, Channel, FlowType, JobState, Lane, MessageState
from sluice_messaging.records import Record
from sluice_runtime.http.problems import Problem
from status_api.adapters.stream_traffic import StreamTraffic
from status_api.doors.streams.operations import StatisticsQuery, days_asked
from status_api.doors.streams.statistics import MessageCounts

START = datetime(2026, 1, 1, tzinfo=UTC)
WORKSPACE, STRANGER, STREAM, SIBLING = (UUID(int=number) for number in range(1, 5))
FOREVER = (START - timedelta(days=1), START + timedelta(days=1))


def record(message: Message) -> Record:
    return Record("topic", 0, 0, None, message.encode(), {}, 0)


def accepted(trigger: UUID, stream: UUID | None = STREAM, **fields: Any) -> Record:
    given: dict[str, Any] = {
        "trigger_id": trigger,
        "workspace_id": WORKSPACE,
        "accepted_at": START,
        "lane": Lane.PRIORITY,
        "category": Category.TRANSACTIONAL,
        "plan": DirectSend(channel=Channel.SMS, content=InlineSms(text="Hi")),
        "recipients": ContactRecipients(external_ids=["ada"]),
        "trigger_source": "stream",
        "stream_id": stream,
    }
    return record(TriggerAccepted(**given | fields))


def planned(trigger: UUID) -> Record:
    execution = PlannedExecution(
        execution_id=execution_id_for(trigger, 1, "sms"),
        step_id="step-1",
        step_order=1,
        step_name="SMS",
        channel=Channel.SMS,
        scheduled_for=START,
    )
    return record(
        TriggerPlanned(
            trigger_id=trigger,
            workspace_id=WORKSPACE,
            planned_at=START,
            starts_at=START,
            flow_type=FlowType.DIRECT_CHANNEL,
            executions=[execution],
        )
    )


def begun(trigger: UUID, total: int) -> list[Record]:
    about: dict[str, Any] = {
        "trigger_id": trigger,
        "workspace_id": WORKSPACE,
        "execution_id": execution_id_for(trigger, 1, "sms"),
    }
    return [
        record(ExecutionStarted(**about, started_at=START, expected=total)),
        record(ExecutionCommanded(**about, at=START, total=total, cancelled=0)),
    ]


def reported(trigger: UUID, *states: JobState, message: MessageState | None = None) -> Record:
    at = int(START.timestamp() * 1000)
    columns: dict[str, list[Any]] = {name: [None] * len(states) for name in ReportedJobs.model_fields}
    columns |= {
        "seq": list(range(len(states))),
        "at": [at] * len(states),
        "epoch": [0] * len(states),
        "attempt": [1] * len(states),
        "state": list(states),
        "message": [message if state is JobState.SENT else None for state in states],
    }
    return record(
        JobsReported(
            trigger_id=trigger,
            workspace_id=WORKSPACE,
            execution_id=execution_id_for(trigger, 1, "sms"),
            channel=Channel.SMS,
            page=0,
            reported_at=START,
            jobs=ReportedJobs(**columns),
        )
    )


@pytest.fixture
def traffic(database: Any) -> StreamTraffic:
    return StreamTraffic(database)


@pytest.mark.integration
async def test_a_stream_is_sending_from_the_acceptance_to_the_last_report(projector: Any, traffic: Any) -> None:
    trigger = UUID(int=10)
    await projector.on_triggers([accepted(trigger), accepted(UUID(int=11), None)])
    assert await traffic.sending(WORKSPACE) == {STREAM}
    assert await traffic.sending(STRANGER) == set()
    await projector.on_executions([planned(trigger)])
    # Planned for later is not on its way.
    assert await traffic.sending(WORKSPACE) == set()
    await projector.on_executions(begun(trigger, 2))
    assert await traffic.sending(WORKSPACE) == {STREAM}
    await projector.on_deliveries([reported(trigger, JobState.SENT)])
    assert await traffic.sending(WORKSPACE) == {STREAM}
    await projector.on_deliveries([reported(trigger, JobState.SENT, JobState.FAILED)])
    assert await traffic.sending(WORKSPACE) == set()


@pytest.mark.integration
@pytest.mark.parametrize("end", ["failed", "cancelled"])
async def test_what_will_never_be_planned_is_not_on_its_way(projector: Any, traffic: Any, end: str) -> None:
    trigger = UUID(int=10)
    about: dict[str, Any] = {"trigger_id": trigger, "workspace_id": WORKSPACE, "at": START}
    ended: Message = (
        TriggerFailed(**about, code="workflow_missing", detail="gone")
        if end == "failed"
        else TriggerControlled(**about, change="cancelled")
    )
    await projector.on_triggers([accepted(trigger)])
    await projector.on_executions([record(ended)])
    assert await traffic.sending(WORKSPACE) == set()


@pytest.mark.integration
async def test_the_counts_of_a_stream_are_those_of_its_triggers_and_of_no_test(projector: Any, traffic: Any) -> None:
    mine, tested, other, late = (UUID(int=number) for number in range(10, 14))
    await projector.on_triggers(
        [
            accepted(mine),
            accepted(tested, trigger_source="stream_test"),
            accepted(other, SIBLING),
            accepted(late, accepted_at=START + timedelta(days=2)),
        ]
    )
    for trigger in (mine, tested, other, late):
        await projector.on_executions([planned(trigger), *begun(trigger, 4)])
        states = (JobState.SENT, JobState.FILTERED, JobState.FAILED)
        await projector.on_deliveries([reported(trigger, *states, message=MessageState.DELIVERED)])
    counts = await traffic.messages(WORKSPACE, STREAM, *FOREVER)
    assert (counts.triggers, counts.total, counts.sent, counts.filtered, counts.failed) == (1, 4, 1, 1, 1)
    assert (counts.delivered, counts.awaiting_receipt, counts.open) == (1, 0, 1)
    assert await traffic.messages(STRANGER, STREAM, *FOREVER) == MessageCounts()


def test_statistics_are_of_the_last_thirty_days_unless_told() -> None:
    today = date(2026, 3, 30)
    assert days_asked(StatisticsQuery(), today) == (date(2026, 3, 1), today)
    assert days_asked(StatisticsQuery.model_validate({"from": "2026-01-01"}), today) == (date(2026, 1, 1), today)
    for wrong in (
        {"from": "2026-03-31"},
        {"from": "2020-01-01"},
        {"from": "0001-01-01", "to": "0001-01-01"},
        {"to": "9999-12-31"},
        {"to": "0001-01-01"},
    ):
        with pytest.raises(Problem):
            days_asked(StatisticsQuery.model_validate(wrong), today)
