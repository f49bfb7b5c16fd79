"""Steps come at their time for the same people; a template group reaches each person where they can be reached."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sluice_catalog.models import WorkflowStep
from sluice_contracts.messages.content import MissingTemplate, SendWindow, TemplateContent
from sluice_contracts.messages.execution import (
    CohortCounted,
    ExecutionCommanded,
    ExecutionStarted,
    TriggerPlanned,
)
from sluice_contracts.messages.trigger import AllRecipients, ContactRecipients
from sluice_contracts.vocabulary import (
    Channel,
    Engagement,
    FilterCode,
    HoldCode,
    JobState,
    MessageState,
    WorkflowType,
)

pytestmark = pytest.mark.integration


def series(world: Any, **second: Any) -> Any:
    world.catalogue.template("welcome", Channel.EMAIL)
    world.catalogue.template("day1", Channel.SMS)
    return world.catalogue.workflow(
        steps=(
            WorkflowStep("step-1", "Welcome Email", Channel.EMAIL, "welcome"),
            WorkflowStep("step-2", "Day 1 SMS", Channel.SMS, "day1", delay_minutes=1440, **second),
        )
    )


async def test_the_next_step_comes_at_its_time_for_the_same_people(world: Any) -> None:
    world.catalogue.add(450, locale="en-FR")
    await world.deliver(world.start(series(world), recipients=AllRecipients()))
    await world.work()
    start = world.clock.now()
    assert [item.scheduled_for - start for item in world.said(TriggerPlanned)[0].executions] == [
        timedelta(0),
        timedelta(days=1),
    ]
    assert {command.channel for command in world.commands()} == {Channel.EMAIL}
    world.catalogue.add(100)
    world.jump(hours=23, minutes=59)
    await world.work()
    assert len(world.commands()) == 3
    world.jump(minutes=1)
    await world.work()
    mails, texts = world.commands()[:3], world.commands()[3:]
    assert [item.jobs.contact_id for item in mails] == [item.jobs.contact_id for item in texts]
    assert [item.jobs.seq for item in mails] == [item.jobs.seq for item in texts]
    assert {item.step_order for item in texts} == {2}
    assert [item.jobs.country[0] for item in (mails[0], texts[0])] == ["FR", "US"]
    assert world.said(ExecutionStarted)[-1].started_at == start + timedelta(days=1)
    assert [item.total for item in world.said(ExecutionCommanded)] == [450, 450]


async def test_a_step_takes_the_template_that_is_newest_when_it_starts(world: Any) -> None:
    world.catalogue.add(1)
    await world.deliver(world.start(series(world)))
    newer = world.catalogue.template("day1", Channel.SMS, version=2)
    world.jump(days=1)
    await world.work()
    content = world.commands()[-1].content
    assert content == TemplateContent(template_id=newer.template_id, version=2, key="day1")


async def test_a_template_that_is_gone_leaves_the_filtering_to_the_worker(world: Any) -> None:
    world.catalogue.add(1)
    await world.deliver(world.start(series(world)))
    world.catalogue.templates.clear()
    world.jump(days=1)
    await world.work()
    assert world.commands()[-1].content == MissingTemplate(key="day1")


async def test_in_a_step_a_contact_without_an_address_is_accounted_for(world: Any) -> None:
    world.catalogue.add(3, phone_number=lambda number: None if number == 1 else f"+1415555000{number}")
    await world.deliver(world.start(series(world), recipients=ContactRecipients(external_ids=["c0", "c1", "c2"])))
    world.jump(days=1)
    await world.work()
    assert world.commands()[-1].jobs.verdict == [None, FilterCode.NO_ADDRESS_FOR_CHANNEL, None]


async def test_a_later_step_waits_for_the_walk_that_is_still_under_way(world: Any) -> None:
    world.catalogue.add(3000)
    await world.deliver(world.start(series(world), recipients=AllRecipients()))
    await world.feed()
    assert len(world.commands()) == 8
    world.jump(days=1)
    await world.feed()
    texts = [command for command in world.commands() if command.channel is Channel.SMS]
    assert [command.page for command in texts] == list(range(8))
    for _ in range(4):
        await world.work()
        world.jump(seconds=2)
    assert [item.total for item in world.said(ExecutionCommanded)] == [3000, 3000]


async def test_the_window_of_the_step_goes_before_the_workspace(world: Any) -> None:
    world.catalogue.add(1)
    evening = SendWindow(opens="18:00", closes="21:00")
    await world.deliver(world.start(series(world, send_window=evening)))
    world.jump(days=1)
    await world.work()
    assert [command.window for command in world.commands()] == [None, evening]


async def test_a_condition_on_the_contact_filters_with_a_sentence(world: Any) -> None:
    world.catalogue.add(4)
    workflow = series(world, condition="contact.attributes.plan == 'pro'")
    await world.deliver(world.start(workflow, recipients=ContactRecipients(external_ids=["c0", "c1", "c2", "c3"])))
    world.jump(days=1)
    await world.work()
    jobs = world.commands()[-1].jobs
    assert jobs.verdict == [FilterCode.CONDITION_FALSE, None, FilterCode.CONDITION_FALSE, None]
    assert jobs.verdict_detail[0] == "The step's condition is not met for this contact"
    assert not await world.rows("SELECT FROM outcomes")


async def test_a_condition_that_cannot_be_decided_speaks_against_sending(world: Any) -> None:
    world.catalogue.add(1)
    await world.deliver(world.start(series(world, condition="contact.attributes.nonsense > 3")))
    world.jump(days=1)
    await world.work()
    jobs = world.commands()[-1].jobs
    assert jobs.verdict == [FilterCode.CONDITION_FALSE]
    assert jobs.verdict_detail[0].startswith("The step's condition could not be decided")


async def test_a_condition_sees_what_became_of_an_earlier_step(world: Any) -> None:
    world.catalogue.add(4)
    condition = (
        "steps['step-1'].state == 'sent' && steps['step-1'].message != 'bounced'"
        " && !('opened' in steps['step-1'].engagements)"
    )
    names = ["c0", "c1", "c2", "c3"]
    workflow = series(world, condition=condition)
    await world.deliver(world.start(workflow, recipients=ContactRecipients(external_ids=names)))
    (mail,) = world.commands()

    def fate(command: Any, place: int) -> Any:
        return [
            {"state": JobState.SENT, "message": MessageState.DELIVERED},
            {"state": JobState.FAILED},
            {"state": JobState.SENT, "message": MessageState.BOUNCED},
            {"state": JobState.SENT, "message": MessageState.DELIVERED},
        ][place]

    def opens(command: Any, place: int) -> dict[str, Any]:
        return {"engagement": Engagement.OPENED} if place == 3 else {}

    later = world.report(mail, opens, answers_round=None)
    await world.tell(later, world.report(mail, fate))
    await world.tell(later, world.report(mail, fate), later)
    world.jump(days=1)
    await world.work()
    assert world.commands()[-1].jobs.verdict == [None, *[FilterCode.CONDITION_FALSE] * 3]


async def test_the_same_is_seen_by_every_copy(world: Any) -> None:
    world.catalogue.add(1)
    await world.deliver(world.start(series(world, condition="steps['step-1'].state == 'pending'")))
    world.jump(days=1)
    await world.feed(world.copy())
    assert [command.channel for command in world.commands()] == [Channel.EMAIL, Channel.SMS]
    assert world.commands()[-1].jobs.verdict == [None]


def group(world: Any) -> Any:
    world.catalogue.template("otp_email", Channel.EMAIL)
    world.catalogue.template("otp_sms", Channel.SMS)
    world.catalogue.template("otp_wa", Channel.WHATSAPP)
    return world.catalogue.workflow(
        type=WorkflowType.TEMPLATE_GROUP,
        templates=((Channel.EMAIL, "otp_email"), (Channel.SMS, "otp_sms"), (Channel.WHATSAPP, "otp_wa")),
    )


@pytest.mark.parametrize("size", [10, 450])
async def test_in_a_template_group_each_is_reached_where_they_can_be(world: Any, size: int) -> None:
    world.catalogue.add(
        size,
        phone_number=lambda number: None if number % 2 else f"+1415{5550000 + number}",
        email=lambda number: None if number % 5 == 0 else f"c{number}@example.com",
    )
    names = [f"c{number}" for number in range(size)]
    await world.deliver(world.start(group(world), recipients=ContactRecipients(external_ids=names)))
    await world.work()
    expected = {
        Channel.EMAIL: [number for number in range(size) if number % 5 or number % 2],
        Channel.SMS: [number for number in range(size) if number % 2 == 0],
        Channel.WHATSAPP: [number for number in range(size) if number % 2 == 0],
    }
    for channel, seqs in expected.items():
        commands = [command for command in world.commands() if command.channel is channel]
        assert [seq for command in commands for seq in command.jobs.seq] == seqs
        ledger = world.ledger(commands[0].execution_id)
        assert (ledger["total"], ledger["open"]) == (len(seqs), 0)
    mails = [command for command in world.commands() if command.channel is Channel.EMAIL]
    nowhere = {
        seq
        for command in mails
        for seq, verdict in zip(command.jobs.seq, command.jobs.verdict, strict=True)
        if verdict is FilterCode.NO_ADDRESS_FOR_CHANNEL
    }
    assert nowhere == {number for number in range(size) if number % 5 == 0 and number % 2}
    assert {item.total_contacts for item in world.said(CohortCounted)} == {size}


async def test_a_template_group_walks_its_audience_once(world: Any) -> None:
    world.catalogue.add(1000)
    await world.deliver(world.start(group(world), recipients=AllRecipients()))
    await world.work()
    assert [item.total for item in world.said(ExecutionCommanded)][-3:] == [1000, 1000, 1000]
    assert len(await world.rows("SELECT FROM cohort_pages")) == 5
    assert len(world.commands()) == 15


async def test_held_jobs_of_a_step_do_not_hold_up_the_next(world: Any) -> None:
    world.catalogue.add(1)
    await world.deliver(world.start(series(world)))
    until = world.clock.now() + timedelta(days=3)
    await world.answer(world.commands()[0], world.held(HoldCode.OUTSIDE_WINDOW, until))
    world.jump(days=1)
    await world.work()
    assert [command.channel for command in world.commands()] == [Channel.EMAIL, Channel.SMS]
    world.jump(days=2)
    await world.work()
    assert [(command.channel, command.round) for command in world.commands()][-1] == (Channel.EMAIL, 1)
