"""Late work shows in the gauges; what has long been over is forgotten, what is open never is."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY

from orchestrator.handlers import housekeeping
from orchestrator.handlers.wake import TIMERS, Wake
from sluice_catalog.models import WorkflowStep
from sluice_contracts.vocabulary import Channel


def gauge(name: str) -> float:
    value = REGISTRY.get_sample_value(name)
    assert value is not None
    return value


@pytest.mark.integration
async def test_gauges_show_how_late_the_work_is(world: Any) -> None:
    world.catalogue.add(3000)
    await world.deliver(world.broadcast())
    world.jump(seconds=40)
    await world.parts.housekeeping.measure_once()
    assert gauge("sluice_oldest_due_timer_seconds") == 40
    await world.feed()
    world.jump(seconds=50)
    await world.parts.housekeeping.measure_once()
    assert gauge("sluice_oldest_due_timer_seconds") == 0, "a campaign that waits for its credit is not late"
    assert gauge("sluice_oldest_open_seconds") == 50


@pytest.mark.integration
async def test_what_is_long_over_is_forgotten_and_what_is_open_is_kept(world: Any) -> None:
    world.catalogue.add(1)
    world.catalogue.template("a", Channel.SMS)
    step = WorkflowStep("step-1", "Now", Channel.SMS, "a")
    late = WorkflowStep("step-2", "Much later", Channel.SMS, "a", delay_minutes=60 * 24 * 60, condition="steps != null")
    over, unanswered = world.direct(), world.direct()
    waiting = world.start(world.catalogue.workflow(steps=(step, late)))
    await world.deliver(over, unanswered, waiting)
    for command in world.commands():
        if command.trigger_id != unanswered.trigger_id:
            await world.answer(command)
    world.jump(days=31)
    await world.parts.housekeeping.forget_once()
    left = {row["trigger_id"] for row in await world.rows("SELECT trigger_id FROM triggers")}
    assert left == {unanswered.trigger_id, waiting.trigger_id}
    for table in ("cohort_pages", "executions"):
        rows = await world.rows(f"SELECT trigger_id FROM {table}")  # noqa: S608 - names of our own
        assert {row["trigger_id"] for row in rows} == left
    assert len(await world.rows("SELECT FROM outcomes")) == 1


async def test_a_signal_that_comes_while_a_loop_works_ends_its_next_sleep() -> None:
    wake, stop = Wake(), asyncio.Event()
    sleeper = wake.subscribe(TIMERS)
    wake.signal(TIMERS)
    async with asyncio.timeout(5):
        await sleeper.sleep(3600, stop)
    sleeping = asyncio.create_task(sleeper.sleep(3600, stop))
    await asyncio.sleep(0)
    stop.set()
    async with asyncio.timeout(5):
        await sleeping


@pytest.mark.integration
async def test_a_loop_waits_out_a_broker_that_is_away(world: Any) -> None:
    world.catalogue.add(1)
    refusals = 0

    def refuse(_: object) -> None:
        nonlocal refusals
        refusals += 1
        if refusals > 3:
            world.publisher.before = None
            return
        raise TimeoutError

    await world.deliver(world.broadcast(trigger_at=world.clock.now() + timedelta(seconds=1)))
    world.jump(seconds=1)
    world.publisher.before = refuse
    stop = asyncio.Event()
    parts = world.copy(poll_seconds=0.01)
    loops = [asyncio.create_task(loop(stop)) for loop in parts.loops().values()]
    async with asyncio.timeout(60):
        while not world.commands():  # noqa: ASYNC110 - it happens in another task
            await asyncio.sleep(0.01)
    stop.set()
    await asyncio.gather(*loops)
    assert refusals == 4


@pytest.mark.integration
async def test_a_trigger_that_its_caller_named_for_good_is_never_carried_out_again(world: Any) -> None:
    world.catalogue.add(1)
    named, plain = world.direct(once_for_good=True), world.direct()
    await world.deliver(named, plain)
    for command in world.commands():
        await world.answer(command)
    world.jump(days=31)
    await world.parts.housekeeping.forget_once()
    left = {row["trigger_id"] for row in await world.rows("SELECT trigger_id FROM triggers")}
    assert left == {named.trigger_id}, "what is noted as spent in this round is removed in a later one"
    world.jump(minutes=10)
    await world.parts.housekeeping.forget_once()
    assert await world.rows("SELECT FROM triggers") == []

    commands = len(world.commands(distinct=False))
    await world.deliver(named)
    assert len(world.commands(distinct=False)) == commands
    assert await world.rows("SELECT FROM triggers") == []
    await world.deliver(plain)
    assert len(world.commands(distinct=False)) == commands + 1


async def test_what_a_database_that_was_away_put_off_is_tried_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "_TRY_AGAIN_SECONDS", 0.0)
    stop = asyncio.Event()
    tries = 0

    async def work() -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise ConnectionResetError("the database has gone")
        stop.set()

    async with asyncio.timeout(30):
        await housekeeping._every(600.0, work, stop)
    assert tries == 2
