"""What a worker could not do yet comes back when it is due; what nobody answers is sent again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sluice_contracts.vocabulary import HoldCode, JobState
from sluice_messaging.errors import PoisonError

pytestmark = pytest.mark.integration


async def one_command(world: Any, people: int = 1, **values: Any) -> Any:
    world.catalogue.add(people)
    await world.deliver(world.broadcast(**values))
    await world.feed()
    return world.commands()[0]


async def test_a_held_job_comes_back_as_the_next_round_with_its_attempts(world: Any) -> None:
    command = await one_command(world, 3)

    def second_waits(of: Any, place: int) -> Any:
        return (world.held(HoldCode.RETRY, world.clock.now() + timedelta(seconds=20)) if place == 1 else world.sent)(
            of, place
        )

    await world.answer(command, second_waits)
    world.jump(seconds=19)
    await world.ring()
    assert len(world.commands(distinct=False)) == 1
    world.jump(seconds=1)
    await world.ring()
    again = world.commands()[1]
    assert (again.round, again.epoch, again.page, again.execution_id) == (1, 0, 0, command.execution_id)
    assert (again.jobs.seq, again.jobs.attempts) == ([1], [1])
    await world.answer(again, world.held(HoldCode.RETRY, world.clock.now()))
    await world.ring()
    third = world.commands()[2]
    assert (third.round, third.jobs.attempts) == (2, [2])
    await world.answer(third)
    assert world.ledger(command.execution_id) == {"total": 3, "sent": 3, "open": 0}
    assert not await world.rows("SELECT FROM commands")


async def test_the_same_report_twice_changes_nothing(world: Any) -> None:
    command = await one_command(world)
    report = world.report(command, world.held(HoldCode.RETRY, world.clock.now()))
    await world.tell(report, report)
    await world.tell(report)
    await world.ring()
    await world.answer(world.commands()[1])
    await world.tell(report)
    await world.ring()
    assert [item.round for item in world.commands(distinct=False)] == [0, 1]
    assert not await world.rows("SELECT FROM commands")


async def test_a_command_that_nobody_answers_is_sent_again_and_again_later(world: Any) -> None:
    command = await one_command(world, 2)
    waits = []
    for _ in range(6):
        seen = len(world.commands(distinct=False))
        before = world.clock.now()
        while len(world.commands(distinct=False)) == seen:
            world.jump(seconds=30)
            await world.ring()
        waits.append((world.clock.now() - before).total_seconds())
    assert waits == [60, 120, 240, 480, 900, 900]
    assert all(item == command for item in world.commands(distinct=False))
    await world.answer(command)
    world.jump(hours=1)
    await world.ring()
    assert len(world.commands(distinct=False)) == 7


async def test_a_crash_while_a_timer_rings_leaves_it_as_due_as_it_was(world: Any) -> None:
    command = await one_command(world)
    await world.answer(command, world.held(HoldCode.RETRY, world.clock.now()))
    world.cut_power()
    with pytest.raises(world.power_cut):
        await world.ring()
    await world.ring(world.copy())
    assert [item.round for item in world.commands(distinct=False)] == [0, 1]


async def test_different_waits_of_one_page_come_back_apart(world: Any) -> None:
    command = await one_command(world, 3)
    soon, late = world.clock.now() + timedelta(seconds=10), world.clock.now() + timedelta(hours=10)

    def waits(of: Any, place: int) -> Any:
        return world.held(HoldCode.OUTSIDE_WINDOW, late if place == 1 else soon)(of, place)

    await world.answer(command, waits)
    world.jump(seconds=10)
    await world.ring()
    world.jump(hours=10)
    await world.ring()
    rounds = {item.round: item.jobs.seq for item in world.commands()[1:]}
    assert rounds == {1: [0, 2], 2: [1]}


async def test_a_job_that_waits_for_itself_gives_its_credit_back(world: Any) -> None:
    await one_command(world, 3000)
    for command in world.commands()[:2]:
        await world.answer(command, world.held(HoldCode.OUTSIDE_WINDOW, world.clock.now() + timedelta(hours=9)))
    await world.feed()
    assert [item.page for item in world.commands()] == list(range(10))


async def test_a_page_that_waits_for_the_channel_keeps_its_credit(world: Any) -> None:
    await one_command(world, 3000)
    for command in world.commands():
        await world.answer(command, world.held(HoldCode.RATE, world.clock.now() + timedelta(seconds=30)))
    await world.feed()
    assert len(world.commands()) == 8, "the audience piles up behind a slow provider"
    world.jump(seconds=31)
    await world.ring()
    for command in world.commands()[8:]:
        await world.answer(command)
    await world.feed()
    assert len(world.commands()) == 15 + 8


async def test_credit_is_never_lost_or_made(world: Any) -> None:
    await one_command(world, 3000)
    turns = 0

    def moody(command: Any, place: int) -> Any:
        codes = list(HoldCode)
        if command.round < 3 and (command.page + place + command.round) % 3 == 0:
            code = codes[(command.page + command.round) % len(codes)]
            return world.held(code, world.clock.now() + timedelta(seconds=place % 7))(command, place)
        return world.sent(command, place)

    while turns < 60:
        turns += 1
        await world.feed()
        await world.ring()
        for command in world.open_commands():
            await world.answer(command, moody)
        for row in await world.rows("SELECT open FROM stages"):
            open_commands = await world.row("SELECT count(*) AS n FROM commands WHERE credit")
            assert row["open"] == open_commands["n"] <= 8
        world.jump(seconds=5)
    assert world.ledger(world.commands()[0].execution_id) == {"total": 3000, "sent": 3000, "open": 0}


async def test_later_facts_answer_nothing(world: Any) -> None:
    command = await one_command(world)
    await world.answer(command, lambda *_: {"state": JobState.SENT}, answers_round=None)
    assert len(await world.rows("SELECT FROM commands")) == 1


async def test_a_report_that_cannot_be_read_is_poison(world: Any) -> None:
    class Noise:
        value = b'{"type": "jobs.reported.v1"}'
        message_type = "jobs.reported.v1"

    with pytest.raises(PoisonError):
        await world.parts.deliveries([Noise()])


async def test_a_command_whose_trigger_is_lost_is_dropped_and_stops_nobody(world: Any) -> None:
    command = await one_command(world, 300)
    other = await one_command(world, 1)
    await world.rows("DELETE FROM triggers WHERE trigger_id = $1", command.trigger_id)
    world.jump(seconds=60)
    await world.ring()
    left = await world.rows("SELECT execution_id FROM commands")
    assert command.execution_id not in {row["execution_id"] for row in left}
    assert other is not None
