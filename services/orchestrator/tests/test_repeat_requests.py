"""An operator asks for commands that nobody has answered to be sent again now."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from sluice_contracts.messages.trigger import RepeatRequested, TriggerAccepted
from sluice_contracts.vocabulary import HoldCode

pytestmark = pytest.mark.integration


async def repeat(world: Any, trigger: TriggerAccepted, **values: Any) -> None:
    now = world.clock.now()
    fields = {"trigger_id": trigger.trigger_id, "workspace_id": trigger.workspace_id, "requested_at": now}
    await world.deliver(RepeatRequested(**{**fields, "opened_before": now, **values}))
    await world.ring()


async def sent_twice(world: Any, people: int = 450) -> TriggerAccepted:
    """Start a trigger of three pages, of which the first is answered."""
    world.catalogue.add(people)
    trigger: TriggerAccepted = world.broadcast()
    await world.deliver(trigger)
    await world.feed()
    await world.answer(world.commands()[0])
    world.jump(seconds=5)
    return trigger


async def test_what_nobody_has_answered_comes_again_at_once_and_nothing_else(world: Any) -> None:
    trigger = await sent_twice(world)
    await repeat(world, trigger)
    pages = [command.page for command in world.commands(distinct=False)]
    assert sorted(pages) == [0, 1, 1, 2, 2]
    await repeat(world, trigger, opened_before=world.clock.now() - timedelta(hours=1))
    assert len(world.commands(distinct=False)) == 5


async def test_what_is_known_of_the_trigger_is_said_again(world: Any) -> None:
    world.catalogue.add(3)
    trigger = world.broadcast()
    await world.deliver(trigger)
    await world.work()
    before = world.said()
    world.forget()
    await repeat(world, trigger)
    again = {(type(message), getattr(message, "execution_id", None)) for message in world.said()}
    assert again == {(type(message), getattr(message, "execution_id", None)) for message in before}


async def test_what_waits_on_purpose_goes_on_waiting(world: Any) -> None:
    trigger = await sent_twice(world, 3)
    held = world.broadcast()
    await world.deliver(held)
    await world.feed()
    command = world.commands()[-1]
    await world.answer(command, world.held(HoldCode.OUTSIDE_WINDOW, world.clock.now() + timedelta(hours=9)))
    sent = len(world.commands(distinct=False))
    world.jump(seconds=5)
    await repeat(world, held)
    await repeat(world, trigger)
    assert len(world.commands(distinct=False)) == sent


async def test_another_workspace_or_an_unknown_trigger_changes_nothing(world: Any) -> None:
    trigger = await sent_twice(world)
    await repeat(world, trigger, workspace_id=UUID(int=9))
    await repeat(world, trigger, trigger_id=UUID(int=9))
    assert len(world.commands(distinct=False)) == 3
