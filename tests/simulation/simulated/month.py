"""Weeks of simulated time in which nothing goes wrong: the whole pipeline, a workflow, and what it sent when."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from simulated import invariants
from simulated.broker import SimulatedBroker
from simulated.copies import REFERENCE_KEY, Patience, Stage, start_channel, start_orchestrator, start_status
from simulated.exchange import Exchange, HandOver
from simulated.loop import SimulationLoop
from simulated.people import People
from simulated.scenario import Scenario
from simulated.surroundings import HOURS, prepared, uncollected
from simulated.watches import WaitWatch
from simulated.world import Weather, World
from sluice_catalog.models import (
    Contact,
    ProviderAccount,
    TemplateVariant,
    TemplateVersion,
    WorkflowStep,
    WorkflowVersion,
)
from sluice_contracts import topics
from sluice_contracts.messages.content import SendWindow
from sluice_contracts.messages.trigger import AllRecipients, TriggerAccepted, WorkflowStart
from sluice_contracts.vocabulary import Category, Channel, Lane, WorkflowType
from sluice_messaging.records import outbound

WORKSPACE: Final = UUID(int=1)
LOOK: Final = timedelta(minutes=10)
"""How often the orchestrator looks for steps that have become due."""

_LONGEST: Final = timedelta(days=40)


def play_month(
    start: datetime, contacts: Sequence[Contact], delays: Sequence[int], window: SendWindow
) -> dict[int, list[HandOver]]:
    """Run a workflow for `contacts`, with a step after each of `delays` (minutes); return what was sent, by step.

    Raises AssertionError where an invariant does not hold.
    """
    loop = SimulationLoop(start)
    world = World(0, loop, Weather(calm_at=0.0, slow_replies=0.0))
    people = _defined(contacts, delays, window)
    broker = SimulatedBroker(partitions=2)
    exchange = Exchange(world, broker, REFERENCE_KEY, len(contacts))
    exchange.stops = 0.0
    stage = Stage(world, people, broker, exchange, Patience(poll=LOOK.total_seconds()))
    waits = WaitWatch(stage.servers["orchestrator"].store)
    trigger = TriggerAccepted(
        trigger_id=UUID(int=7),
        workspace_id=WORKSPACE,
        accepted_at=start,
        lane=Lane.BULK,
        category=Category.MARKETING,
        plan=WorkflowStart(workflow_id=UUID(int=9), version=1, name="Month"),
        recipients=AllRecipients(),
    )
    scenario = Scenario.of(people, trigger)
    with uncollected(0), prepared(world, HOURS) as errors:
        loop.run_until_complete(world.start(None, _wait(stage, outbound(topics.triggers(Lane.BULK), trigger))))
        assert not [*invariants.at_the_end(stage, scenario, waits), *errors, *loop.failures]
        world.end()
    orders = {
        row["execution_id"]: row["step_order"] for row in stage.servers["status"].store.table("executions").values()
    }
    sent: dict[int, list[HandOver]] = {order: [] for order in range(1, len(delays) + 1)}
    for taken in exchange.taken:
        sent[orders[taken.job.execution_id]].append(taken)
    return sent


async def _wait(stage: Stage, record: object) -> None:
    world = stage.world
    start_orchestrator(stage, world.machine("orchestrator-0"))
    start_channel(stage, world.machine("sms-0"), Channel.SMS)
    start_status(stage, world.machine("status-0"))
    await asyncio.sleep(1)
    stage.broker.append(record, 0)  # type: ignore[arg-type]
    orchestrator = stage.servers["orchestrator"].store
    while True:
        await asyncio.sleep(6 * 3600)
        if not orchestrator.table("commands") and not orchestrator.table("stages"):
            await asyncio.sleep(6 * 3600)
            return
        assert world.loop.moment < _LONGEST.total_seconds(), invariants.stuck(stage)


def _defined(contacts: Sequence[Contact], delays: Sequence[int], window: SendWindow) -> People:
    people = People()
    for contact in contacts:
        people.add(contact)
    account_id, template_id, workflow_id = UUID(int=2), UUID(int=3), UUID(int=9)
    people.accounts[account_id] = ProviderAccount(
        account_id, WORKSPACE, Channel.SMS, "simulated", "one", {}, {}, is_default=True
    )
    people.templates[template_id] = TemplateVersion(
        template_id, WORKSPACE, 1, "hello", "Hello", Channel.SMS, Category.MARKETING,
        (TemplateVariant(None, None, "approved", {"text": "Hello"}),),
    )  # fmt: skip
    people.workflows[workflow_id, 1] = WorkflowVersion(
        workflow_id, WORKSPACE, 1, "Month", WorkflowType.STEPS, Category.MARKETING,
        steps=tuple(
            WorkflowStep(f"step-{order}", f"Step {order}", Channel.SMS, "hello", delay)
            for order, delay in enumerate(delays, start=1)
        ),
        send_window=window,
    )  # fmt: skip
    return people
