"""A trigger is taken up once, and whoever delivers it again gets the same."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from sluice_contracts.messages.content import TemplateContent
from sluice_contracts.messages.execution import (
    CohortCounted,
    ExecutionCommanded,
    ExecutionStarted,
    TriggerFailed,
    TriggerPlanned,
)
from sluice_contracts.messages.trigger import AddressRecipients, ContactRecipients, DirectSend, WorkflowStart
from sluice_contracts.vocabulary import Category, Channel, FilterCode, Lane
from sluice_messaging.errors import PoisonError

pytestmark = pytest.mark.integration


async def test_a_single_send_is_commanded_by_the_handler_itself(world: Any) -> None:
    world.catalogue.add(1)
    trigger = world.direct()
    await world.deliver(trigger)

    (command,) = world.commands()
    assert command.jobs.address == ["+14155550000"]
    assert command.jobs.external_id == ["c0"]
    assert command.jobs.seq == [0]
    assert command.jobs.verdict == [None]
    assert command.lane is Lane.PRIORITY
    assert command.variables == {"code": "1234"}
    assert [type(item) for item in world.said()] == [
        TriggerPlanned,
        ExecutionStarted,
        CohortCounted,
        ExecutionCommanded,
    ]
    assert world.said(ExecutionCommanded)[0].total == 1
    await world.answer(command)
    assert world.ledger(command.execution_id) == {"total": 1, "sent": 1, "open": 0}
    assert not await world.rows("SELECT FROM commands")


async def test_a_batch_of_triggers_is_taken_up_together(world: Any) -> None:
    world.catalogue.add(50)
    triggers = [world.direct(recipients=ContactRecipients(external_ids=[f"c{number}"])) for number in range(50)]
    await world.deliver(*triggers, triggers[0])
    assert [command.jobs.external_id for command in world.commands(distinct=False)] == [
        [f"c{number}"] for number in range(50)
    ]


async def test_a_repeated_trigger_yields_the_same_commands(world: Any) -> None:
    world.catalogue.add(3)
    trigger = world.direct(recipients=ContactRecipients(external_ids=["c2", "c1", "c2", "nobody"]))
    await world.deliver(trigger)
    first = list(world.publisher.records)
    world.forget()
    world.jump(seconds=30)
    await world.deliver(trigger)
    assert sorted(map(repr, world.publisher.records)) == sorted(map(repr, first))
    (command,) = world.commands()
    assert command.jobs.external_id == ["c2", "c1", "nobody"]
    assert command.jobs.verdict == [None, None, FilterCode.CONTACT_NOT_FOUND]


async def test_a_crash_between_commit_and_publish_is_made_good_by_the_repeat(world: Any) -> None:
    world.catalogue.add(1)
    trigger = world.direct()
    world.cut_power()
    with pytest.raises(world.power_cut):
        await world.deliver(trigger)
    assert not world.publisher.records
    await world.deliver(trigger)
    assert len(world.commands()) == 1
    assert world.said(ExecutionCommanded)[0].total == 1


async def test_an_answered_trigger_is_not_commanded_again(world: Any) -> None:
    world.catalogue.add(1)
    trigger = world.direct()
    await world.deliver(trigger)
    await world.answer(world.commands()[0])
    world.forget()
    await world.deliver(trigger)
    assert not world.commands()
    assert world.said(ExecutionCommanded)[0].total == 1


async def test_bare_addresses_are_normalised_and_bad_ones_accounted_for(world: Any) -> None:
    trigger = world.direct(
        recipients=AddressRecipients(
            channel=Channel.SMS, addresses=["+1 (415) 555-0123", "+14155550123", "12", "+91 84894 62530"]
        )
    )
    await world.deliver(trigger)
    (command,) = world.commands()
    assert command.jobs.address == ["+14155550123", "12", "+918489462530"]
    assert command.jobs.country == ["US", None, "IN"]
    assert command.jobs.verdict == [None, FilterCode.INVALID_ADDRESS, None]
    assert command.jobs.external_id == [None, None, None]


async def test_excluded_and_inactive_contacts_are_filtered_with_their_reason(world: Any) -> None:
    world.catalogue.add(2)
    world.catalogue.add(1, status="inactive")
    world.catalogue.add(1, phone_number=None)
    trigger = world.direct(
        recipients=ContactRecipients(external_ids=["c0", "c1", "c2", "c3"]), excluded_contacts=["c1"]
    )
    await world.deliver(trigger)
    assert world.commands()[0].jobs.verdict == [
        None,
        FilterCode.EXCLUDED,
        FilterCode.CONTACT_INACTIVE,
        FilterCode.NO_ADDRESS_FOR_CHANNEL,
    ]


async def test_only_the_fields_that_the_content_refers_to_travel(world: Any) -> None:
    world.catalogue.add(1)
    template = world.catalogue.template(
        "otp_us", Channel.SMS, references=["code", "first_name", "contact.attributes.plan"]
    )
    content = TemplateContent(template_id=template.template_id, version=1, key="otp_us")
    await world.deliver(world.direct(plan=DirectSend(channel=Channel.SMS, content=content)))
    assert world.commands()[0].jobs.fields == {"attributes.plan": ["free"], "first_name": ["First 0"]}


async def test_variables_of_the_channel_win(world: Any) -> None:
    world.catalogue.add(1)
    await world.deliver(world.direct(channel_variables={Channel.SMS: {"code": "sms"}, Channel.EMAIL: {"code": "mail"}}))
    assert world.commands()[0].variables == {"code": "sms"}


async def test_a_workflow_that_is_gone_fails_the_trigger_with_a_sentence(world: Any) -> None:
    world.catalogue.add(1)
    trigger = world.direct(plan=WorkflowStart(workflow_id=UUID(int=5), version=1, name="Welcome"))
    await world.deliver(trigger)
    await world.deliver(trigger)
    failures = world.said(TriggerFailed)
    assert [failure.code for failure in failures] == ["workflow_gone", "workflow_gone"]
    assert failures[0] == failures[1]
    assert "Welcome" in failures[0].detail
    assert not world.said(TriggerPlanned)


async def test_an_empty_recipient_list_completes_with_nothing(world: Any) -> None:
    await world.deliver(world.direct(recipients=ContactRecipients(external_ids=[])))
    assert not world.commands()
    assert world.said(ExecutionCommanded)[0].total == 0


async def test_a_trigger_for_later_is_planned_now_and_started_then(world: Any) -> None:
    world.catalogue.add(1)
    later = world.clock.now() + timedelta(hours=3)
    await world.deliver(world.direct(trigger_at=later))
    assert world.said(TriggerPlanned)[0].starts_at == later
    await world.feed()
    assert not world.commands()
    world.jump(hours=2, minutes=59)
    await world.feed()
    assert not world.commands()
    world.jump(minutes=1)
    await world.feed()
    assert len(world.commands()) == 1
    assert world.said(ExecutionStarted)[0].started_at == later


async def test_an_old_age_limit_travels_with_the_command(world: Any) -> None:
    world.catalogue.add(1)
    parts = world.copy(longest_age_minutes={Category.AUTHENTICATION: 10})
    await world.deliver(world.direct(), parts=parts)
    wish = world.clock.now() + timedelta(minutes=1)
    await world.deliver(world.direct(expires_at=wish), parts=parts)
    first, second = world.commands()
    assert first.expires_at == world.clock.now() + timedelta(minutes=10)
    assert second.expires_at == wish


async def test_values_that_are_too_large_to_travel_are_accounted_for(world: Any) -> None:
    world.catalogue.add(250, attributes={"essay": "x" * 20_000})
    template = world.catalogue.template("essay", Channel.SMS, references=["contact.attributes"])
    content = TemplateContent(template_id=template.template_id, version=1, key="essay")
    await world.deliver(world.broadcast(plan=DirectSend(channel=Channel.SMS, content=content)))
    commands = await world.work()
    assert all(len(item.value) < 2_000_000 for item in world.publisher.records)
    assert {verdict for command in commands for verdict in command.jobs.verdict} == {
        None,
        FilterCode.TEMPLATE_MISSING_VARIABLE,
    }
    assert world.ledger(commands[0].execution_id)["open"] == 0


async def test_a_record_that_is_no_trigger_is_poison(world: Any) -> None:
    class Noise:
        value = b'{"type": "trigger.accepted.v1", "trigger_id": "secret@example.com"}'

    with pytest.raises(PoisonError) as caught:
        await world.parts.triggers([Noise()])
    assert "secret@example.com" not in caught.value.reason
