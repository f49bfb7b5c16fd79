"""Cancel, pause, resume and retry, early, late and repeated; the ledger balances whatever was asked."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from sluice_catalog.models import WorkflowStep
from sluice_contracts.messages.execution import CohortCounted, ExecutionCommanded, TriggerControlled
from sluice_contracts.messages.trigger import AllRecipients
from sluice_contracts.vocabulary import Channel, FilterCode, HoldCode, JobState

pytestmark = pytest.mark.integration


async def campaign(world: Any, people: int = 3000) -> Any:
    world.catalogue.add(people)
    trigger = world.broadcast()
    await world.deliver(trigger)
    await world.feed()
    return trigger


async def test_cancel_in_the_middle_of_an_audience_balances(world: Any) -> None:
    trigger = await campaign(world)
    commands = world.commands()
    for command in commands[:3]:
        await world.answer(command)
    await world.ask(trigger, "cancel")
    assert [item.mode for item in world.control()] == ["cancelled"]
    assert [item.change for item in world.said(TriggerControlled)] == ["cancelled"]
    (end,) = world.said(ExecutionCommanded)
    assert (end.total, end.cancelled) == (3000, 1400)
    assert world.said(CohortCounted)[-1].total_contacts == 3000
    await world.feed()
    for command in commands[3:]:
        await world.answer(command, lambda *_: {"state": JobState.CANCELLED})
    assert world.ledger(end.execution_id) == {"total": 3000, "sent": 600, "cancelled": 2400, "open": 0}
    assert len(world.commands(distinct=False)) == 8
    assert not await world.rows("SELECT FROM stages")
    assert not await world.rows("SELECT FROM commands")


async def test_workers_hear_of_a_cancellation_before_anybody_else(world: Any) -> None:
    trigger = await campaign(world, 300)
    seen = len(world.publisher.records)
    await world.ask(trigger, "cancel")
    assert world.publisher.records[seen].topic == "control"


async def test_held_jobs_of_a_cancelled_trigger_end_cancelled(world: Any) -> None:
    trigger = await campaign(world, 10)
    (command,) = world.commands()
    await world.answer(command, world.held(HoldCode.OUTSIDE_WINDOW, world.clock.now() + timedelta(hours=9)))
    await world.ask(trigger, "cancel")
    await world.ring()
    last = world.commands()[-1]
    assert last.round == 1
    assert last.jobs.verdict == [FilterCode.CANCELLED] * 10
    await world.answer(last)
    assert world.ledger(command.execution_id) == {"total": 10, "cancelled": 10, "open": 0}


async def test_what_is_held_just_after_a_cancellation_comes_at_once(world: Any) -> None:
    trigger = await campaign(world, 10)
    (command,) = world.commands()
    await world.ask(trigger, "cancel")
    await world.answer(command, world.held(HoldCode.RETRY, world.clock.now() + timedelta(hours=9)))
    await world.ring()
    assert world.commands()[-1].jobs.verdict == [FilterCode.CANCELLED] * 10


async def test_a_step_that_has_not_started_never_starts(world: Any) -> None:
    world.catalogue.add(2)
    world.catalogue.template("a", Channel.SMS)
    workflow = world.catalogue.workflow(
        steps=(
            WorkflowStep("step-1", "Now", Channel.SMS, "a"),
            WorkflowStep("step-2", "Later", Channel.SMS, "a", delay_minutes=10),
        )
    )
    trigger = world.start(workflow, recipients=AllRecipients())
    await world.deliver(trigger)
    await world.work()
    await world.ask(trigger, "cancel")
    world.jump(days=2)
    await world.work()
    assert len(world.commands()) == 1
    assert {item.execution_id for item in world.said(ExecutionCommanded)} == {world.commands()[0].execution_id}
    assert {(item.total, item.cancelled) for item in world.said(ExecutionCommanded)} == {(2, 0)}


async def test_cancel_stops_a_stage_that_is_just_being_fed(world: Any) -> None:
    world.catalogue.add(1000)
    trigger = world.broadcast()
    await world.deliver(trigger)
    page = world.catalogue.audience_page

    async def interrupted(*arguments: Any) -> Any:
        world.catalogue.audience_page = page
        await world.ask(trigger, "cancel", parts=world.copy())
        return await page(*arguments)

    world.catalogue.audience_page = interrupted
    await world.feed()
    assert not world.commands()
    assert not world.said(ExecutionCommanded), "an execution that never started has no total"
    assert not await world.rows("SELECT FROM executions")


async def test_a_crash_after_cancelling_is_made_good_by_the_repeat(world: Any) -> None:
    trigger = await campaign(world)
    world.cut_power()
    with pytest.raises(world.power_cut):
        await world.ask(trigger, "cancel")
    assert not world.control()
    await world.ask(trigger, "cancel")
    assert [item.mode for item in world.control()] == ["cancelled"]
    (end,) = world.said(ExecutionCommanded)
    assert (end.total, end.cancelled) == (3000, 1400)


async def test_pause_lets_everything_rest_and_resume_goes_on(world: Any) -> None:
    trigger = await campaign(world, 2500)
    await world.ask(trigger, "pause")
    first, *others = world.commands()
    await world.answer(first, world.held(HoldCode.PAUSED, None))
    for command in others:
        await world.answer(command)
    world.jump(days=3)
    await world.feed()
    await world.ring()
    assert len(world.commands(distinct=False)) == 8
    await world.ask(trigger, "resume")
    await world.work()
    assert [item.mode for item in world.control()] == ["paused", "running"]
    assert [item.change for item in world.said(TriggerControlled)] == ["paused", "resumed"]
    assert (first.page, 1) in {(item.page, item.round) for item in world.commands()}
    assert world.ledger(first.execution_id) == {"total": 2500, "sent": 2500, "open": 0}


async def test_what_waits_for_a_time_rests_too_while_paused(world: Any) -> None:
    trigger = await campaign(world, 10)
    await world.answer(world.commands()[0], world.held(HoldCode.RETRY, world.clock.now() + timedelta(minutes=1)))
    await world.ask(trigger, "pause")
    world.jump(minutes=5)
    await world.ring()
    assert len(world.commands()) == 1
    await world.ask(trigger, "resume")
    await world.ring()
    assert len(world.commands()) == 2


async def test_a_job_that_a_worker_held_for_a_pause_that_is_over_comes_back(world: Any) -> None:
    trigger = await campaign(world, 10)
    await world.ask(trigger, "pause")
    await world.ask(trigger, "resume")
    await world.answer(world.commands()[0], world.held(HoldCode.PAUSED, None))
    world.jump(seconds=1)
    await world.ring()
    assert len(world.commands()) == 2


async def test_a_paused_trigger_can_be_cancelled(world: Any) -> None:
    trigger = await campaign(world, 2500)
    await world.ask(trigger, "pause")
    for command in world.commands():
        await world.answer(command, world.held(HoldCode.PAUSED, None))
    await world.ask(trigger, "cancel")
    await world.work()
    ledger = world.ledger(world.commands()[0].execution_id)
    assert ledger == {"total": 2500, "cancelled": 2500, "open": 0}


@pytest.mark.parametrize(("action", "commanded"), [("cancel", 0), ("pause", 0), ("resume", 1)])
async def test_a_request_that_comes_before_its_trigger_is_obeyed(world: Any, action: str, commanded: int) -> None:
    world.catalogue.add(1)
    trigger = world.direct()
    await world.ask(trigger, action)
    await world.deliver(trigger)
    await world.feed()
    await world.ring()
    assert len(world.commands()) == commanded
    assert len(world.control()) == 1
    if action == "pause":
        await world.ask(trigger, "resume")
        await world.work()
        assert len(world.commands()) == 1


async def test_another_workspace_can_do_nothing(world: Any) -> None:
    world.catalogue.add(1)
    early = world.direct()
    await world.ask(early, "cancel", workspace_id=UUID(int=99))
    await world.deliver(early)
    assert len(world.commands()) == 1
    await world.ask(early, "cancel", workspace_id=UUID(int=99))
    assert not world.control()
    assert not world.said(TriggerControlled)


async def test_a_request_for_a_trigger_that_is_over_changes_nothing(world: Any) -> None:
    world.catalogue.add(1)
    trigger = world.direct()
    await world.deliver(trigger)
    await world.answer(world.commands()[0])
    await world.ask(trigger, "cancel")
    await world.ask(trigger, "pause")
    assert not world.control()
    assert not world.said(TriggerControlled)


async def test_a_paused_trigger_of_which_nothing_is_open_can_be_resumed_so_that_its_retries_do_not_rest(
    world: Any,
) -> None:
    trigger = await campaign(world, 2)
    (command,) = world.commands()
    await world.ask(trigger, "pause")
    await world.answer(command, lambda *_: {"state": JobState.FAILED})
    await world.feed()
    assert not await world.rows("SELECT FROM stages")
    await world.ask(trigger, "resume")
    assert [item.mode for item in world.control()] == ["paused", "running"]
    await world.retry(command, epoch=1, seqs=[0])
    await world.ring()
    assert world.commands()[-1].epoch == 1


async def test_the_last_word_to_the_workers_is_how_a_trigger_stands_even_if_it_changes_while_one_speaks(
    world: Any,
) -> None:
    world.catalogue.add(1)
    trigger = world.direct()
    await world.ask(trigger, "pause")
    publish = world.publisher.publish
    resumed: list[Any] = []

    async def publish_late(records: Any, **options: Any) -> None:
        if any(record.topic == "control" for record in records) and not resumed:
            resumed.append(trigger)
            await world.ask(trigger, "resume")
        await publish(records, **options)

    world.publisher.publish = publish_late
    await world.deliver(trigger)
    assert [item.mode for item in world.control()] == ["running", "paused", "running"]


async def test_an_earlier_request_that_comes_late_is_not_obeyed(world: Any) -> None:
    trigger = await campaign(world)
    before = world.clock.now()
    world.jump(seconds=5)
    await world.ask(trigger, "resume")
    await world.ask(trigger, "pause", requested_at=before)
    assert {item.mode for item in world.control()} == {"running"}
    await world.ask(trigger, "cancel")
    world.jump(seconds=5)
    await world.ask(trigger, "resume")
    assert world.control()[-1].mode == "cancelled"


async def test_a_retry_comes_as_the_next_round_in_its_epoch_once(world: Any) -> None:
    await campaign(world, 5)
    (command,) = world.commands()
    await world.answer(command, lambda *_: {"state": JobState.FAILED})
    for _ in range(3):
        await world.retry(command, epoch=1, seqs=[3, 1, 3, 777])
        await world.ring()
    again = world.commands()[-1]
    assert (again.round, again.epoch, again.jobs.seq, again.jobs.attempts) == (1, 1, [1, 3], [0, 0])
    assert len(world.commands(distinct=False)) == 2
    await world.answer(again, world.held(HoldCode.RETRY, world.clock.now()))
    await world.ring()
    last = world.commands()[-1]
    assert (last.round, last.epoch) == (2, 1)
    await world.answer(last)
    await world.retry(command, epoch=1, seqs=[3])
    await world.ring()
    assert len(world.commands(distinct=False)) == 3
    await world.retry(command, epoch=2, seqs=[0])
    await world.ring()
    assert (world.commands()[-1].round, world.commands()[-1].epoch) == (3, 2)
    assert world.ledger(command.execution_id) == {"total": 5, "sent": 2, "failed": 3, "open": 0}


async def test_jobs_that_are_asked_for_later_in_the_same_epoch_come_as_well_and_the_others_not_again(
    world: Any,
) -> None:
    await campaign(world, 5)
    (command,) = world.commands()
    await world.answer(command, lambda *_: {"state": JobState.FAILED})
    await world.retry(command, epoch=2, seqs=[0])
    await world.retry(command, epoch=1, seqs=[0, 1, 2])
    await world.retry(command, epoch=1, seqs=[1, 2, 3])
    await world.ring()
    again = [(item.round, item.epoch, item.jobs.seq) for item in world.commands()[1:]]
    assert sorted(again) == [(1, 2, [0]), (2, 1, [1, 2]), (3, 1, [3])]


async def test_what_is_to_be_tried_again_of_a_cancelled_trigger_comes_to_be_reported_as_cancelled(world: Any) -> None:
    trigger = await campaign(world, 300)
    first, _ = world.commands()
    await world.answer(first, lambda *_: {"state": JobState.FAILED})
    await world.ask(trigger, "cancel")
    await world.retry(first, epoch=1, seqs=[0, 1])
    await world.ring()
    again = world.commands()[-1]
    assert (again.epoch, again.jobs.seq, again.jobs.verdict) == (1, [0, 1], [FilterCode.CANCELLED] * 2)


async def test_a_retry_may_only_name_ones_own_jobs(world: Any) -> None:
    trigger = await campaign(world, 5)
    (command,) = world.commands()
    await world.answer(command, lambda *_: {"state": JobState.FAILED})
    await world.retry(command, 1, [1], workspace_id=UUID(int=99))
    await world.retry(command, 1, [1], execution_id=UUID(int=98))
    await world.retry(command, 1, [1], trigger_id=UUID(int=97))
    await world.retry(command, 1, [199])
    await world.retry(command, 1, [1], page=9)
    await world.ring()
    assert len(world.commands()) == 1
    assert trigger.trigger_id == command.trigger_id
