"""Steps that wait for an event: each contact goes on when it comes, or when the time is over, once, and is counted."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest

from orchestrator.adapters.statements import wait_queries
from sluice_catalog.models import WaitStep, WorkflowStep, WorkflowVersion
from sluice_contracts.messages.event import EventOccurred
from sluice_contracts.messages.execution import (
    CohortCounted,
    EventsEvaluated,
    ExecutionCommanded,
    ExecutionStarted,
    TriggerPlanned,
    WaitsReported,
)
from sluice_contracts.messages.trigger import (
    AllRecipients,
    ContactRecipients,
    RepeatRequested,
    TriggerAccepted,
    TriggeringEvent,
)
from sluice_contracts.vocabulary import Channel
from sluice_messaging.records import Record

pytestmark = pytest.mark.integration

WORKSPACE = UUID(int=1)


def wait(**values: Any) -> WaitStep:
    return WaitStep(**{"step_id": "wait", "step_name": "Wait", "event": "order.paid", "timeout_minutes": 60, **values})


def sms(step_id: str, delay: int = 0, condition: str | None = None) -> WorkflowStep:
    return WorkflowStep(step_id, step_id, Channel.SMS, "hello", delay, condition)


def series(world: Any, *steps: WorkflowStep | WaitStep) -> WorkflowVersion:
    world.catalogue.template("hello", Channel.SMS, references=["steps.wait.data.order"])
    for step in steps:
        if isinstance(step, WaitStep):
            world.catalogue.waits.setdefault((WORKSPACE, step.event), set()).add(step.correlation)
    workflow: WorkflowVersion = world.catalogue.workflow(steps=steps)
    return workflow


def event(world: Any, external_id: str | None = "c0", **values: Any) -> EventOccurred:
    now = world.clock.now()
    return EventOccurred(
        **{
            "event_id": uuid4(),
            "workspace_id": WORKSPACE,
            "name": "order.paid",
            "external_id": external_id,
            "data": {"order": "o-1"},
            "occurred_at": now,
            "accepted_at": now,
            **values,
        }
    )


async def happen(world: Any, *events: EventOccurred) -> list[int]:
    """Handle events; return how many waits each ended."""
    await world.parts.events([Record("events", 0, 0, b"k", one.encode(), {"ce_type": one.TYPE}, 0) for one in events])
    told = world.said(EventsEvaluated)[-1]
    return [one.waits for one in told.events]


async def work(world: Any, *copies: Any) -> list[Any]:
    """Go on until nothing is due."""
    done: list[Any] = []
    while True:
        looked = sum([await parts.waiting.look() for parts in copies or (world.parts,)])
        commands = await world.work()
        done += commands
        if not looked and not commands:
            return done


def people(commands: list[Any]) -> list[str]:
    return sorted(name for command in commands for name in command.jobs.external_id)


async def started(world: Any, *steps: WorkflowStep | WaitStep, **values: Any) -> TriggerAccepted:
    """Start a workflow for three contacts, and let it come to its wait."""
    if not world.catalogue.contacts:
        world.catalogue.add(3)
    names = ContactRecipients(external_ids=["c0", "c1", "c2"])
    trigger: TriggerAccepted = world.start(series(world, *steps), **{"recipients": names, **values})
    await world.deliver(trigger)
    return trigger


def books(world: Any) -> None:
    """Assert that every execution that was commanded to the end adds up."""
    for commanded in world.said(ExecutionCommanded):
        ledger = world.ledger(commanded.execution_id)
        assert ledger["open"] == 0, ledger


async def test_each_contact_goes_on_when_its_event_comes_and_the_others_at_the_timeout(world: Any) -> None:
    await started(world, sms("first"), wait(), sms("after"))
    assert people(await work(world)) == ["c0", "c1", "c2"]
    world.clock.advance(timedelta(minutes=10))
    assert await happen(world, event(world, "c1")) == [1]
    (command,) = await work(world)
    assert people([command]) == ["c1"]
    assert command.jobs.fields["steps"] == [{"wait": {"outcome": "received", "data": {"order": "o-1"}}}]
    assert len(world.said(ExecutionCommanded)) == 1
    world.clock.advance(timedelta(minutes=49))
    assert await work(world) == []
    world.clock.advance(timedelta(minutes=1))
    (late,) = await work(world)
    assert people([late]) == ["c0", "c2"]
    assert {step["wait"]["outcome"] for step in late.jobs.fields["steps"]} == {"timed_out"}
    assert [item.total for item in world.said(ExecutionCommanded)] == [3, 3]
    assert [item.expected for item in world.said(ExecutionStarted)] == [3, 3]
    books(world)
    assert await happen(world, event(world, "c1")) == [0]
    assert await work(world) == []


async def test_a_workflow_may_begin_with_a_wait(world: Any) -> None:
    await started(world, wait(), sms("reminder", condition="steps.wait.outcome == 'timed_out'"))
    assert await work(world) == []
    await happen(world, event(world, "c0"))
    (paid,) = await work(world)
    assert paid.jobs.verdict == ["condition_false"]
    world.clock.advance(timedelta(hours=1))
    (reminded,) = await work(world)
    assert (people([reminded]), reminded.jobs.verdict) == (["c1", "c2"], [None, None])
    books(world)


async def test_an_event_that_came_before_the_wait_counts_back_to_the_acceptance(world: Any) -> None:
    world.catalogue.add(3)
    workflow = series(world, sms("first"), wait(delay_minutes=30), sms("after"))
    await happen(world, event(world, "c0"))
    world.clock.advance(timedelta(minutes=1))
    await world.deliver(world.start(workflow, recipients=ContactRecipients(external_ids=["c0", "c1"])))
    await work(world)
    world.clock.advance(timedelta(minutes=5))
    await happen(world, event(world, "c1"))
    assert await work(world) == []
    world.clock.advance(timedelta(minutes=25))
    assert people(await work(world)) == ["c1"]
    world.clock.advance(timedelta(minutes=60))
    assert people(await work(world)) == ["c0"]
    books(world)


async def test_the_event_that_made_the_trigger_is_not_the_one_that_it_waits_for(world: Any) -> None:
    first = event(world, "c0")
    cause = TriggeringEvent(event_id=first.event_id, name=first.name, rule_id=uuid4())
    world.catalogue.add(1)
    workflow = series(world, wait(), sms("after"))
    await happen(world, first)
    await world.deliver(world.start(workflow, recipients=ContactRecipients(external_ids=["c0"]), event=cause))
    assert await work(world) == []
    assert await happen(world, first) == [0]
    assert await happen(world, event(world, "c0")) == [1]
    assert people(await work(world)) == ["c0"]


async def test_a_wait_may_be_for_what_an_event_says(world: Any) -> None:
    step = wait(variable="order_id", path="$.order.id")
    await started(world, step, sms("after"), variables={"order_id": 77})
    await work(world)
    assert await happen(world, event(world, "c0", data={"order": {"id": 78}})) == [0]
    assert await happen(world, event(world, None, data={"order": {"id": "77"}})) == [3]
    assert people(await work(world)) == ["c0", "c1", "c2"]
    keyed = await started(world, wait(variable="order_id"), sms("after"), variables={"order_id": "o-5"})
    await work(world)
    assert await happen(world, event(world, "c0", correlation_key="o-5")) == [3]
    assert {command.trigger_id for command in await work(world)} == {keyed.trigger_id}


async def test_delays_behind_a_wait_count_from_its_end_and_waits_may_follow_one_another(world: Any) -> None:
    await started(
        world, wait(), sms("soon", 5), wait(step_id="again", delay_minutes=10, event="order.sent"), sms("last")
    )
    await work(world)
    await happen(world, event(world, "c0"))
    assert await work(world) == []
    world.clock.advance(timedelta(minutes=5))
    assert people(await work(world)) == ["c0"]
    await happen(world, event(world, "c0", name="order.sent", data={"sent": True}))
    assert await work(world) == []
    world.clock.advance(timedelta(minutes=5))
    (last,) = await work(world)
    assert last.jobs.fields["steps"][0]["again"] == {"outcome": "received", "data": {"sent": True}}
    world.clock.advance(timedelta(hours=3))
    await work(world)
    world.clock.advance(timedelta(hours=3))
    await work(world)
    assert [item.total for item in world.said(ExecutionCommanded)] == [3, 3]
    books(world)


async def test_an_audience_waits_page_by_page_whoever_walks_it(world: Any) -> None:
    world.catalogue.add(450)
    for steps in ((sms("first"), wait(), sms("after")), (wait(), sms("after"))):
        trigger = world.start(series(world, *steps), recipients=AllRecipients())
        await world.deliver(trigger)
        await work(world)
        world.clock.advance(timedelta(seconds=2))
        await work(world)
        counted = [item for item in world.said(CohortCounted) if item.trigger_id == trigger.trigger_id and item.final]
        assert {item.total_contacts for item in counted} == {450}
        await happen(world, event(world, "c449"), event(world, "c3"))
        assert people(await work(world)) == ["c3", "c449"]
        world.clock.advance(timedelta(hours=1))
        assert len(people(await work(world))) == 448
        ends = [item for item in world.said(ExecutionCommanded) if item.trigger_id == trigger.trigger_id]
        assert {item.total for item in ends} == {450}
        assert len(ends) == len(steps) - 1
    books(world)


async def test_nobody_waits_where_there_is_nobody(world: Any) -> None:
    await started(world, wait(), sms("after"), recipients=AllRecipients())
    world.catalogue.contacts.clear()
    await work(world)
    assert [item.total for item in world.said(ExecutionCommanded)] == [0]


async def test_a_cancelled_trigger_lets_nobody_go_on_and_adds_up(world: Any) -> None:
    trigger = await started(world, sms("first"), wait(), sms("after"))
    await work(world)
    await happen(world, event(world, "c0"))
    await work(world)
    await world.ask(trigger, "cancel")
    (_, end) = world.said(ExecutionCommanded)[-2:]
    assert (end.total, end.cancelled) == (3, 2)
    await happen(world, event(world, "c1"))
    world.clock.advance(timedelta(hours=2))
    assert await work(world) == []
    for table in ("wait_stages", "releases"):
        assert not await world.rows(f"SELECT FROM {table}")


async def test_a_trigger_can_be_cancelled_while_everybody_waits(world: Any) -> None:
    trigger = await started(world, wait(), sms("after"))
    await work(world)
    await world.ask(trigger, "cancel")
    world.clock.advance(timedelta(hours=2))
    assert await work(world) == []
    assert world.control()[-1].mode == "cancelled"


async def test_a_paused_wait_neither_runs_out_nor_lets_go_until_it_is_resumed(world: Any) -> None:
    trigger = await started(world, wait(), sms("after"))
    await work(world)
    await world.ask(trigger, "pause")
    assert await happen(world, event(world, "c0")) == [1]
    world.clock.advance(timedelta(hours=2))
    assert await work(world) == []
    await world.ask(trigger, "resume")
    commands = await work(world)
    outcomes = {
        name: step["wait"]["outcome"]
        for command in commands
        for name, step in zip(command.jobs.external_id, command.jobs.fields["steps"], strict=True)
    }
    assert outcomes == {"c0": "received", "c1": "timed_out", "c2": "timed_out"}
    books(world)


async def test_a_trigger_that_is_paused_before_it_begins_waits_only_when_resumed(world: Any) -> None:
    world.catalogue.add(3)
    trigger = world.start(series(world, wait(), sms("after")), recipients=ContactRecipients(external_ids=["c0"]))
    await world.ask(trigger, "pause")
    await world.deliver(trigger)
    world.clock.advance(timedelta(hours=2))
    assert await work(world) == []
    await world.ask(trigger, "resume")
    await work(world)
    assert await happen(world, event(world, "c0")) == [1]
    assert people(await work(world)) == ["c0"]


async def test_a_repeat_of_the_trigger_or_of_the_event_lets_nobody_go_twice(world: Any) -> None:
    trigger = await started(world, wait(), sms("after"))
    await work(world)
    paid = event(world, "c0")
    await happen(world, paid, paid)
    await world.deliver(trigger)
    await happen(world, paid)
    assert people(await work(world)) == ["c0"]
    await world.deliver(trigger)
    world.clock.advance(timedelta(hours=1))
    assert people(await work(world)) == ["c1", "c2"]
    books(world)


async def test_of_two_events_in_one_batch_the_first_ends_the_wait(world: Any) -> None:
    await started(world, wait(), sms("after"))
    await work(world)
    first, second = event(world, "c0", data={"order": "a"}), event(world, "c0", data={"order": "b"})
    assert await happen(world, first, second, event(world, "c1")) == [1, 0, 1]
    commands = await work(world)
    data = {
        name: step["wait"]["data"]
        for command in commands
        for name, step in zip(command.jobs.external_id, command.jobs.fields["steps"], strict=True)
    }
    assert data == {"c0": {"order": "a"}, "c1": {"order": "o-1"}}


async def test_an_event_of_another_workspace_ends_nothing(world: Any) -> None:
    await started(world, wait(), sms("after"))
    await work(world)
    world.catalogue.waits[UUID(int=2), "order.paid"] = {"contact"}
    assert await happen(world, event(world, "c0", workspace_id=UUID(int=2))) == [0]
    assert await work(world) == []


async def test_what_an_event_ended_is_told_even_if_it_could_not_be_the_first_time(world: Any) -> None:
    await started(world, wait(), sms("after"))
    await work(world)
    paid = event(world, "c0")
    world.cut_power()
    with pytest.raises(world.power_cut):
        await happen(world, paid)
    assert await happen(world, paid) == [1]
    assert people(await work(world)) == ["c0"]


def told(world: Any) -> dict[tuple[int, int], tuple[str | None, str | None]]:
    """Return what was said last of each wait: whose it is, and how it ended."""
    return {
        (report.step_order, seq): (name, outcome and str(outcome))
        for report in world.said(WaitsReported)
        for seq, name, outcome in zip(report.waits.seq, report.waits.external_id, report.waits.outcome, strict=True)
    }


async def test_who_waits_and_how_it_ended_is_told_and_told_again_when_somebody_asks(world: Any) -> None:
    trigger = await started(
        world, wait(variable="order_id", path="$.order"), sms("after"), variables={"order_id": "o-1"}
    )
    (planned,) = world.said(TriggerPlanned)
    assert [(step.step_id, step.event, step.timeout_minutes) for step in planned.waits] == [("wait", "order.paid", 60)]
    await work(world)
    assert told(world) == {(1, seq): (f"c{seq}", None) for seq in range(3)}
    (report,) = world.said(WaitsReported)
    assert {until - since for since, until in zip(report.waits.since, report.waits.until, strict=True)} == {3_600_000}
    paid = event(world, None)
    await happen(world, paid)
    expected = {(1, seq): (f"c{seq}", "received") for seq in range(3)}
    assert told(world) == expected
    assert set(world.said(WaitsReported)[-1].waits.event_id) == {paid.event_id}
    world.forget()
    now = world.clock.now()
    of = {"trigger_id": trigger.trigger_id, "workspace_id": WORKSPACE, "requested_at": now, "opened_before": now}
    await world.deliver(RepeatRequested(**of))
    assert told(world) == expected


async def test_who_waited_in_vain_is_told(world: Any) -> None:
    await started(world, wait(), sms("after"))
    await work(world)
    world.clock.advance(timedelta(hours=2))
    await work(world)
    assert told(world) == {(1, seq): (f"c{seq}", "timed_out") for seq in range(3)}


async def test_what_could_not_be_said_is_done_and_said_again(world: Any) -> None:
    await started(world, wait(), sms("after"))
    await work(world)
    await happen(world, event(world, "c0"))

    def cut(_: Any) -> None:
        raise ConnectionError("away")

    world.publisher.before = cut
    with pytest.raises(ConnectionError):
        await world.parts.waiting.look()
    world.publisher.before = None
    assert people(await work(world)) == ["c0"]
    assert len(world.said(ExecutionStarted)) == 1


async def test_several_copies_let_everybody_go_once(world: Any) -> None:
    world.catalogue.add(450)
    copies = [world.copy() for _ in range(3)]
    await world.deliver(world.start(series(world, wait(), sms("after")), recipients=AllRecipients()))
    await work(world, *copies)
    await happen(world, *(event(world, f"c{n}") for n in range(0, 450, 2)))
    world.clock.advance(timedelta(hours=1))
    names = people(await work(world, *copies))
    assert (len(names), len(set(names))) == (450, 450)
    books(world)


async def test_an_operators_retry_keeps_what_each_waited_for(world: Any) -> None:
    await started(world, wait(), sms("after"))
    await work(world)
    await happen(world, event(world, "c0", data={"order": "a"}))
    (first,) = await work(world)
    world.clock.advance(timedelta(hours=1))
    await work(world)
    await world.retry(first, 1, [0, 1])
    (again,) = await work(world)
    assert [step["wait"]["data"] for step in again.jobs.fields["steps"]] == [{"order": "a"}, {}]


async def test_old_events_and_waits_are_forgotten(world: Any) -> None:
    await started(world, wait(), sms("after"))
    await work(world)
    await happen(world, event(world, "c0"))
    world.clock.advance(timedelta(hours=1))
    await work(world)
    world.clock.advance(timedelta(days=40))
    await world.parts.housekeeping.forget_once()
    world.clock.advance(timedelta(days=1))
    await world.parts.housekeeping.forget_once()
    for table in ("waits", "awaited_events", "triggers"):
        assert not await world.rows(f"SELECT FROM {table}"), table


FILL = (
    """INSERT INTO waits (trigger_id, step_order, seq, workspace_id, event, correlation, key, since, until, due_at)
       SELECT uuidv7(), 2, n % 200, $2, 'order.paid', 'contact', 'c' || n, $1, $1::timestamptz + interval '1 day',
              $1::timestamptz + make_interval(days => 1, secs => n)
       FROM generate_series(1, 20000) AS n""",
    """INSERT INTO releases (release_id, trigger_id, step_order, page, seqs, scheduled_for, due_at)
       SELECT uuidv7(), trigger_id, 3, 0, '{0}', $1, $1::timestamptz + interval '1 day'
       FROM waits WHERE $2::uuid IS NOT NULL""",
    """INSERT INTO wait_stages (trigger_id, step_order, workspace_id, walks, scheduled_for, due_at)
       SELECT trigger_id, 2, $2, false, $1, $1::timestamptz + interval '1 day' FROM waits""",
    """INSERT INTO awaited_events (workspace_id, event, correlation, key, event_id, accepted_at, data)
       SELECT $2, 'order.paid', 'contact', key, uuidv7(), $1, '{}' FROM waits""",
)


LOOKUPS = {
    "waiting_for": {"waits_by_key"},
    "end_waits": {"waits_by_key", "awaited_events_pkey"},
    "meet_earlier_events": {"waits_pkey", "awaited_events_pkey"},
}


async def test_hot_statements_about_waits_use_their_indexes(world: Any) -> None:
    """Also with a plan that was made while nothing was there, for it is kept for as long as the connection."""
    now, one = world.clock.now(), UUID(int=9)
    keys = ([WORKSPACE], ["order.paid"], ["contact"], ["c7"])
    hot: dict[str, tuple[Any, ...]] = {
        "due_wait_stages": (now, 100),
        "hold_wait_stages": ([one], now),
        "meet_earlier_events": ([one] * 200, [2] * 200, list(range(200)), now),
        "waiting_for": keys,
        "end_waits": (*keys, [one], [now], [one], now),
        "waits_of": (one, 0, 0, 1000),
        "release_jobs": ([one], [1], now),
        "overdue_triggers": (now, 500),
        "time_out": (now, [one], 500),
        "due_releases": (now, 500),
        "take_releases": (now, [one], 500),
        "wait_outcomes": ([one], [0], [200]),
        "waits_rest": (one,),
        "releases_rest": (one,),
        "drop_waits": (one,),
        "forget_awaited_events": (now, 500),
    }
    for name, indexes in LOOKUPS.items():
        assert indexes <= {node.get("Index Name") for node in await plan(world, name, hot[name])}
    for statement in FILL:
        await world.rows(statement, now, WORKSPACE)
    await world.rows("ANALYZE")
    scanned = {}
    for name, arguments in hot.items():
        found = await plan(world, name, arguments)
        tables = [node["Relation Name"] for node in found if node["Node Type"] == "Seq Scan"]
        if tables:
            scanned[name] = tables
        assert LOOKUPS.get(name, set()) <= {node.get("Index Name") for node in found}
    assert not scanned


async def plan(world: Any, name: str, arguments: tuple[Any, ...]) -> list[dict[str, Any]]:
    """Return the parts of the plan that PostgreSQL makes for a statement."""
    (row,) = await world.rows(f"EXPLAIN (FORMAT JSON) {getattr(wait_queries, name)}", *arguments)
    explained = row[0] if isinstance(row[0], list) else orjson.loads(row[0])
    return nodes(explained[0]["Plan"])


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for child in plan.get("Plans", ()) for node in nodes(child))]
