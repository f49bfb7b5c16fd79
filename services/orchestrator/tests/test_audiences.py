"""Audiences are walked a few pages a turn, within their credit, and a walk can stop and go on anywhere."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from sluice_contracts.messages.execution import CohortCounted, ExecutionCommanded, ExecutionStarted
from sluice_contracts.messages.trigger import ContactRecipients
from sluice_contracts.vocabulary import FilterCode, Lane

pytestmark = pytest.mark.integration


def everybody(commands: list[Any]) -> list[tuple[int, str]]:
    return sorted(
        (seq, name) for item in commands for seq, name in zip(item.jobs.seq, item.jobs.external_id, strict=True)
    )


async def test_an_audience_is_walked_within_its_credit(world: Any) -> None:
    world.catalogue.add(2150)
    await world.deliver(world.broadcast())
    await world.feed()
    assert [command.page for command in world.commands()] == list(range(8))
    assert not world.said(ExecutionCommanded)
    assert world.said(ExecutionStarted)[0].expected == 2150
    assert [(item.total_contacts, item.final) for item in world.said(CohortCounted)] == [(2150, False)]

    await world.answer(world.commands()[3])
    await world.feed()
    assert [command.page for command in world.commands()] == list(range(8)), "there is no room for a whole turn yet"

    await world.answer(world.commands()[5])
    await world.feed()
    assert [command.page for command in world.commands()] == list(range(10))

    await world.work()
    commands = world.commands()
    assert everybody(commands) == [(number, f"c{number}") for number in range(2150)]
    assert [len(command.jobs) for command in commands] == [200] * 10 + [150]
    assert world.ledger(commands[0].execution_id) == {"total": 2150, "sent": 2150, "open": 0}
    assert [(item.total_contacts, item.final) for item in world.said(CohortCounted)][-1] == (2150, True)
    assert world.catalogue.largest_read <= 400
    assert not await world.rows("SELECT FROM stages")
    assert not await world.rows("SELECT FROM commands")


@pytest.mark.parametrize("size", [0, 1, 200, 400, 401])
async def test_every_size_of_audience_comes_out_whole(world: Any, size: int) -> None:
    world.catalogue.add(size)
    await world.deliver(world.broadcast())
    commands = await world.work()
    assert sum(len(command.jobs) for command in commands) == size
    assert world.said(ExecutionCommanded)[-1].total == size


async def test_a_walk_goes_on_where_a_crash_left_it(world: Any) -> None:
    world.catalogue.add(1400)
    await world.deliver(world.broadcast())
    for batch in (1, 2, 1):
        world.cut_power(batch)
        with pytest.raises(world.power_cut):
            await world.feed()
        before = len(world.commands())
        await world.feed()
        assert len(world.commands()) == before, "the lease of the dead holds"
        world.jump(seconds=31)
    await world.work()
    commands = world.commands()
    assert everybody(commands) == [(number, f"c{number}") for number in range(1400)]
    assert world.ledger(commands[0].execution_id) == {"total": 1400, "sent": 1400, "open": 0}
    assert len({item.started_at for item in world.said(ExecutionStarted)}) == 1


async def test_a_repeat_speaks_of_the_same_people_although_the_audience_has_changed(world: Any) -> None:
    world.catalogue.add(500)
    await world.deliver(world.broadcast())
    world.cut_power()
    with pytest.raises(world.power_cut):
        await world.feed()
    first = UUID(int=1000)
    del world.catalogue.contacts[first]
    world.catalogue.add(3, id=lambda number: UUID(int=number), external_id=lambda number: f"late{number}")
    world.jump(seconds=31)
    await world.work()
    commands = sorted(world.commands(), key=lambda command: command.page)
    assert commands[0].jobs.contact_id[0] == first
    assert commands[0].jobs.verdict[0] is FilterCode.CONTACT_NOT_FOUND
    assert sum(len(command.jobs) for command in commands) == 500


async def test_a_broker_that_is_away_loses_nothing(world: Any) -> None:
    world.catalogue.add(450)
    await world.deliver(world.broadcast())

    def refuse(_: object) -> None:
        raise TimeoutError

    world.publisher.before = refuse
    with pytest.raises(TimeoutError):
        await world.feed()
    world.publisher.before = None
    await world.work()
    assert sum(len(command.jobs) for command in world.commands()) == 450


async def test_more_named_contacts_than_fit_a_page_are_fed_like_an_audience(world: Any) -> None:
    world.catalogue.add(900)
    names = [f"c{number}" for number in range(950)]
    trigger = world.broadcast(recipients=ContactRecipients(external_ids=names))
    await world.deliver(trigger)
    await world.deliver(trigger)
    commands = await world.work()
    assert everybody(commands) == list(enumerate(names))
    assert world.ledger(commands[0].execution_id) == {"total": 950, "sent": 900, "filtered": 50, "open": 0}
    assert world.said(ExecutionStarted)[0].expected == 950


async def test_copies_share_the_stages_and_do_nothing_twice(world: Any) -> None:
    world.catalogue.add(1000)
    for _ in range(4):
        await world.deliver(world.broadcast())
    copies = [world.parts, world.copy(), world.copy()]
    while sum([await copy.stages.turn(Lane.BULK, walks=True) for copy in copies]):
        pass
    commands = world.commands(distinct=False)
    assert Counter(Counter((item.execution_id, item.page) for item in commands).values()) == {1: 20}


async def test_whoever_has_lost_the_lease_writes_nothing(world: Any) -> None:
    world.catalogue.add(1000)
    await world.deliver(world.broadcast())
    slow, quick = world.parts, world.copy()
    page = world.catalogue.audience_page

    async def paused(*arguments: Any) -> Any:
        world.catalogue.audience_page = page
        world.jump(minutes=1)
        await quick.stages.turn(Lane.BULK, walks=True)
        return await page(*arguments)

    world.catalogue.audience_page = paused
    await slow.stages.turn(Lane.BULK, walks=True)
    assert [command.page for command in world.commands(distinct=False)] == [0, 1]
    assert (await world.row("SELECT next_page, open FROM stages")) == (2, 2)


async def test_workspaces_take_turns(world: Any) -> None:
    for workspace in (1, 2):
        world.catalogue.add(2000, workspace_id=UUID(int=workspace))
    crowd = [world.broadcast() for _ in range(5)]
    neighbour = world.broadcast(workspace_id=UUID(int=2))
    await world.deliver(*crowd, neighbour)
    parts = world.copy(credit=1000)
    turns = []
    for _ in range(4):
        seen = len(world.publisher.records)
        await parts.stages.turn(Lane.BULK, walks=True)
        turns.append({world.decoded(item).workspace_id.int for item in world.publisher.records[seen:]})
        world.jump(milliseconds=1)
    assert turns == [{1, 2}] * 4


async def test_within_a_workspace_campaigns_take_turns(world: Any) -> None:
    world.catalogue.add(2000)
    await world.deliver(*[world.broadcast() for _ in range(4)])
    for _ in range(4):
        await world.parts.stages.turn(Lane.BULK, walks=True)
        world.jump(milliseconds=1)
    pages = Counter(command.execution_id for command in world.commands())
    assert sorted(pages.values()) == [4, 4, 4, 4]


async def test_a_stage_that_cannot_be_fed_does_not_stop_the_others(world: Any) -> None:
    world.catalogue.add(700)
    names = [f"c{number}" for number in range(300)]
    bad = world.broadcast(recipients=ContactRecipients(external_ids=[*names, "c666"]))
    good = world.broadcast(recipients=ContactRecipients(external_ids=names))
    await world.deliver(bad, good)
    read = world.catalogue.contacts_by_id

    async def broken(workspace_id: UUID, ids: Any) -> Any:
        if UUID(int=1666) in ids:
            raise ValueError("a row that cannot be read")
        return await read(workspace_id, ids)

    world.catalogue.contacts_by_id = broken
    with capture_logs() as logs:
        await world.feed()
    assert [entry["trigger_id"] for entry in logs if entry["event"] == "stage.stuck"] == [str(bad.trigger_id)]
    assert {command.trigger_id for command in world.commands()} == {good.trigger_id}
    world.catalogue.contacts_by_id = read
    world.jump(seconds=61)
    await world.work()
    totals = {item.trigger_id: item.total for item in world.said(ExecutionCommanded)}
    assert totals == {good.trigger_id: 300, bad.trigger_id: 301}


async def test_an_audience_that_takes_long_to_count_starts_without_an_estimate(world: Any) -> None:
    world.catalogue.add(10)

    async def slow(*_: object) -> int:
        raise TimeoutError

    world.catalogue.audience_count = slow
    await world.deliver(world.broadcast(trigger_at=world.clock.now() + timedelta(seconds=1)))
    world.jump(seconds=1)
    await world.work()
    assert world.said(ExecutionStarted)[0].expected == 0
    assert world.said(ExecutionCommanded)[-1].total == 10
