"""Messages, notifications and what can be cancelled, in Novu's words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from novu_py import models

from sluice_catalog.definitions.contact import unborn
from sluice_contracts.identifiers import execution_id_for
from sluice_contracts.novu import object_id, place_behind
from sluice_contracts.vocabulary import Category, Channel, FlowType, JobState, MessageState
from status_api.domain.fold import TimelineEntry, message_key
from status_api.domain.overview import overview
from status_api.domain.progress import pack
from status_api.domain.rows import ExecutionRow, JobRow, MessageCounts, TriggerRow
from status_api.doors.novu.cancelling import waits
from status_api.doors.novu.notifications import is_wanted
from status_api.doors.novu.presentation import Reader, activity, details, message
from status_api.doors.novu.queries import NotificationsQuery
from status_api.doors.novu.runs import Run

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MOMENT = int(NOW.timestamp() * 1000)
WORKSPACE, TRIGGER = uuid4(), uuid4()
NOTED = {"transactionId": "tx-1", "identifier": "order-shipped", "to": ["ada"], "topics": ["eng"], "severity": "high"}
ADA = unborn(uuid4(), WORKSPACE, "ada")._replace(first_name="Ada", phone_number="+14155550123")


def execution(order: int, channel: Channel, **more: Any) -> ExecutionRow:
    values: dict[str, Any] = {
        "execution_id": execution_id_for(TRIGGER, order, channel),
        "trigger_id": TRIGGER,
        "channel": channel,
        "step_id": f"step-{order}",
        "step_order": order,
        "step_name": f"Step {order}",
        "started_at": NOW,
        "commanded_total": 1,
    }
    return ExecutionRow(**values | more)


def run(*executions: ExecutionRow, noted: dict[str, Any] | None = None, **more: Any) -> Run:
    values: dict[str, Any] = {
        "trigger_id": TRIGGER,
        "workspace_id": WORKSPACE,
        "version": 1,
        "accepted_at": NOW,
        "flow_type": FlowType.WORKFLOW,
        "category": Category.UTILITY,
        "planned_at": NOW,
        "workflow_name": "Order shipped",
    }
    return Run(overview(TriggerRow(**values | more), executions), NOTED if noted is None else noted, "a" * 24)


def job(execution_id: UUID, state: JobState, message_state: MessageState | None = None, **more: Any) -> JobRow:
    progress = pack(0, state, 1)
    timeline = {str(progress): TimelineEntry(MOMENT, more.pop("code", None), None, "sandbox", "id-1")}
    if message_state is not None:
        timeline[message_key(message_state)] = TimelineEntry(MOMENT + 5, more.pop("receipt", None))
    values: dict[str, Any] = {
        "execution_id": execution_id,
        "seq": 0,
        "progress": progress,
        "message": 0 if message_state is None else message_state.rank,
        "engagements": 0,
        "segments": 1,
        "sent_at": MOMENT,
        "until": None,
        "cost_micros": 0,
        "external_id": "ada",
        "address": "+14155550123",
        "timeline": timeline,
    }
    return JobRow(**values | more)


def reader(*, unmasked: bool = True) -> Reader:
    return Reader({"ada": ADA}, unmasked=unmasked)


@pytest.mark.parametrize("channel", list(Channel))
@pytest.mark.parametrize("state", list(JobState))
def test_the_strictest_sdk_reads_every_activity_that_there_can_be(channel: Channel, state: JobState) -> None:
    step = execution(1, channel)
    found = run(step)
    code = {JobState.FILTERED: "condition_false", JobState.HELD: "retry"}.get(state)
    shown = activity(found, 0, "ada", {step.execution_id: job(step.execution_id, state, code=code)}, reader())

    read = models.ActivityNotificationResponseDto.model_validate(shown)

    assert read.jobs is not None
    assert read.jobs[0].type == {"sms": "sms", "email": "email", "whatsapp": "chat"}[channel]
    assert read.transaction_id == "tx-1"
    assert read.subscriber_id == object_id(ADA.id)


@pytest.mark.parametrize("state", list(MessageState))
def test_the_strictest_sdk_reads_every_message_that_there_can_be(state: MessageState) -> None:
    step = execution(1, Channel.SMS)
    shown = message(run(step), step, job(step.execution_id, JobState.SENT, state), reader())

    read = models.MessageResponseDto.model_validate(shown)

    assert read.status == ("error" if state.is_negative else "sent")
    assert read.read is (state is MessageState.READ)
    assert bool(read.delivered_at) is state.is_positive
    assert read.phone == "+14155550123"


def test_addresses_are_masked_for_a_reader_who_may_not_see_them() -> None:
    step = execution(1, Channel.SMS)
    sent = job(step.execution_id, JobState.SENT)
    shown = [
        message(run(step), step, sent, reader(unmasked=False)),
        activity(run(step), 0, "ada", {step.execution_id: sent}, reader(unmasked=False)),
    ]

    assert "+14155550123" not in str(shown)


def test_a_step_that_is_still_to_come_is_shown_as_delayed_and_a_cancelled_one_as_canceled() -> None:
    steps = execution(1, Channel.SMS), execution(2, Channel.EMAIL, delay_minutes=60, started_at=None)
    waiting = activity(run(*steps), 0, "ada", {}, reader())
    cancelled = activity(run(*steps, cancelled_at=NOW), 0, "ada", {}, reader())

    assert [one["status"] for one in waiting["jobs"]] == ["pending", "delayed"]
    assert [one["status"] for one in cancelled["jobs"]] == ["canceled", "canceled"]
    assert waiting["_id"] == cancelled["_id"]
    place = place_behind(waiting["_id"])
    assert place is not None
    assert place.least <= steps[0].execution_id <= place.greatest


def test_somebody_who_is_gone_keeps_an_id() -> None:
    step = execution(1, Channel.SMS)
    nobody = Reader({}, unmasked=True)
    one, other = (activity(run(step), 0, name, {}, nobody)["_subscriberId"] for name in ("ada", "bob"))

    assert one != other
    assert one == activity(run(step), 0, "ada", {}, nobody)["_subscriberId"]


def test_details_say_what_the_provider_said() -> None:
    step = execution(1, Channel.SMS)
    found = details(step, job(step.execution_id, JobState.SENT, MessageState.UNDELIVERED, receipt="30003"), reader())

    assert [(detail["status"], detail["source"]) for detail in found] == [
        ("Success", "Internal"),
        ("Failed", "Webhook"),
    ]
    assert found[1]["raw"] == "30003"
    assert len({detail["_id"] for detail in found}) == 2


def test_only_what_has_not_begun_or_is_held_can_be_cancelled() -> None:
    sent = execution(1, Channel.SMS, sent=1)
    later = execution(2, Channel.SMS, started_at=None, commanded_total=None)
    held = execution(1, Channel.SMS, held=1)

    assert waits(run(sent, later).overview)
    assert waits(run(held).overview)
    assert waits(run(planned_at=None).overview)
    assert not waits(run(sent).overview)
    assert not waits(run(sent, later, cancelled_at=NOW).overview)
    assert not waits(run(execution(1, Channel.SMS)).overview), "it is being sent at this moment"


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({}, True),
        ({"channels": ["sms", "in_app"]}, True),
        ({"channels": ["in_app"]}, False),
        ({"templates": ["order-shipped"]}, True),
        ({"templates": ["b" * 24]}, False),
        ({"severity": ["high"]}, True),
        ({"severity": ["none"]}, False),
        ({"topicKey": "eng"}, True),
        ({"topicKey": "ops"}, False),
        ({"contextKeys": ["org:1"]}, False),
        ({"search": "tx-"}, True),
        ({"search": "ada"}, True),
        ({"search": "nothing"}, False),
    ],
)
def test_the_feed_is_filtered(query: dict[str, Any], wanted: bool) -> None:
    assert is_wanted(run(execution(1, Channel.SMS)), NotificationsQuery.model_validate(query)) is wanted


def test_a_trigger_of_another_door_is_a_transaction_by_our_own_id() -> None:
    found = run(execution(1, Channel.SMS, messages=MessageCounts()), noted={})

    assert (found.transaction_id, found.identifier) == (str(TRIGGER), "Order shipped")
