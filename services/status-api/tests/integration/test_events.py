"""What became of events: written once, read by their own workspace, forgotten when they are old."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from aiohttp.test_utils import make_mocked_request

from sluice_catalog.events import NamedRule
from sluice_contracts.identifiers import trigger_id_for_rule
from sluice_contracts.messages.execution import EvaluatedEvent, EventsEvaluated, RuleOutcome
from sluice_messaging.errors import PoisonError
from sluice_messaging.records import Record
from sluice_runtime.clock import ManualClock
from sluice_runtime.http.operations import Call
from sluice_runtime.http.principal import Principal
from sluice_runtime.http.problems import Problem
from sluice_storage.database import Database
from status_api.adapters.event_store import EventFilter, EventOutcome, EventPlace, EventStore
from status_api.handlers.arrivals import Arrivals
from status_api.handlers.events import EventAnswer, EventProjector, EventReads
from status_api.handlers.unheard import UnheardEvents

pytestmark = pytest.mark.integration

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def events(database: Any) -> EventStore:
    return EventStore(database)


def outcome(trigger: bool) -> RuleOutcome:
    return RuleOutcome(
        rule_id=uuid4(),
        rule_name="Thank",
        trigger_id=uuid4() if trigger else None,
        code=None if trigger else "filter_false",
        detail=None if trigger else "The rule's filter does not match",
    )


def event(minutes: int = 0, **values: Any) -> EvaluatedEvent:
    moment = NOON + timedelta(minutes=minutes)
    return EvaluatedEvent(
        **{"event_id": uuid4(), "name": "order.paid", "external_id": "ada", "occurred_at": moment,
           "accepted_at": moment, **values}
    )  # fmt: skip


async def told(store: EventStore, workspace: UUID, *found: EvaluatedEvent) -> None:
    message = EventsEvaluated(workspace_id=workspace, at=NOON, events=list(found))
    await EventProjector(store, lambda: None)(
        [Record("executions", 0, 0, b"k", message.encode(), {"ce_type": message.TYPE}, 0)]
    )


async def test_an_event_is_shown_with_what_each_rule_made_of_it(events: EventStore) -> None:
    workspace = uuid4()
    paid = event(rules=[outcome(trigger=True), outcome(trigger=False)])
    await told(events, workspace, paid, event(rules=[outcome(trigger=False)]), event(), event(waits=2))
    found = await events.event(workspace, paid.event_id)
    assert found is not None
    assert (found.outcome, [rule["code"] for rule in found.rules]) == ("triggered", [None, "filter_false"])
    assert await events.event(uuid4(), paid.event_id) is None
    page = await events.events(workspace, EventFilter(), EventPlace(), 10)
    assert sorted(one.outcome for one in page) == ["awaited", "refused", "triggered", "unmatched"]


async def test_the_first_evaluation_of_an_event_stays(events: EventStore) -> None:
    workspace, once = uuid4(), event()
    await told(events, workspace, once, once)
    await told(events, workspace, once.model_copy(update={"rules": [outcome(trigger=True)]}))
    found = await events.event(workspace, once.event_id)
    assert found is not None
    assert found.outcome == "unmatched"


async def test_events_are_paged_from_the_newest_on_and_chosen(events: EventStore) -> None:
    workspace = uuid4()
    made = [event(n, name="a" if n % 2 else "b", external_id=f"c{n}") for n in range(6)]
    await told(events, workspace, *made)
    first = await events.events(workspace, EventFilter(), EventPlace(), 4)
    rest = await events.events(workspace, EventFilter(), EventPlace(first[-1].accepted_at, first[-1].event_id), 4)
    assert [one.event_id for one in [*first, *rest]] == [one.event_id for one in reversed(made)]
    chosen = EventFilter(name="a", since=NOON + timedelta(minutes=2), until=NOON + timedelta(minutes=5))
    assert [one.external_id for one in await events.events(workspace, chosen, EventPlace(), 9)] == ["c3"]
    nothing = EventFilter(outcome=EventOutcome.TRIGGERED)
    assert await events.events(workspace, nothing, EventPlace(), 9) == []


async def test_old_events_are_forgotten_a_batch_at_a_time(events: EventStore) -> None:
    workspace = uuid4()
    await told(events, workspace, *(event(-n) for n in range(5)))
    assert await events.forget(NOON - timedelta(minutes=1), 2) == 2
    assert await events.forget(NOON - timedelta(minutes=1), 2) == 1
    assert len(await events.events(workspace, EventFilter(), EventPlace(), 9)) == 2


async def test_other_messages_are_passed_over_and_unreadable_ones_are_poison(events: EventStore) -> None:
    project = EventProjector(events, lambda: None)
    await project([Record("executions", 0, 0, b"k", b"{}", {"ce_type": "trigger.planned.v1"}, 0)])
    with pytest.raises(PoisonError):
        await project([Record("executions", 0, 0, b"k", b"{}", {"ce_type": EventsEvaluated.TYPE}, 0)])


async def started(database: Database, workspace: UUID, trigger_id: UUID, at: datetime) -> None:
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO triggers (trigger_id, workspace_id, accepted_at) VALUES ($1, $2, $3)",
            trigger_id, workspace, at,
        )  # fmt: skip


async def answer(reads: EventReads, workspace: UUID, event_id: UUID) -> EventAnswer | int:
    request = make_mocked_request("GET", "/", match_info={"event_id": str(event_id)})
    try:
        response = await reads.event(Call(request, Principal(workspace, uuid4(), frozenset({"status:read"}))))
    except Problem as problem:
        return problem.status
    assert isinstance(response.body, bytes)
    return EventAnswer.model_validate(orjson.loads(response.body))


async def test_an_event_whose_evaluation_was_lost_is_told_by_the_triggers_that_it_started(
    events: EventStore, database: Database
) -> None:
    workspace, event_id = uuid4(), uuid4()
    rules = [NamedRule(uuid4(), name, "order.paid") for name in ("Thank", "Ask", "Remind")]
    triggers = [trigger_id_for_rule(event_id, rule.rule_id) for rule in rules[:2]]
    clock = ManualClock(NOON)

    async def of_workspace(asked: UUID) -> list[NamedRule]:
        return rules if asked == workspace else []

    unheard = UnheardEvents(events, of_workspace, clock, silence=timedelta(minutes=5), retention=timedelta(days=30))
    reads = EventReads(events, unheard, Arrivals(patience=0.0))
    for trigger_id in triggers:
        await started(database, workspace, trigger_id, NOON)
    assert await answer(reads, workspace, event_id) == 404, "the evaluation may still be on its way"
    clock.advance(timedelta(minutes=6))
    told_by_triggers = await answer(reads, workspace, event_id)
    assert isinstance(told_by_triggers, EventAnswer)
    assert (told_by_triggers.outcome, told_by_triggers.event) == ("triggered", "order.paid")
    assert [(rule.rule_name, rule.trigger_id) for rule in told_by_triggers.rules] == [
        ("Thank", triggers[0]),
        ("Ask", triggers[1]),
    ]
    assert (told_by_triggers.accepted_at, told_by_triggers.evaluated_at) == (NOON, None)
    assert await answer(reads, workspace, uuid4()) == await answer(reads, uuid4(), event_id) == 404
    clock.advance(timedelta(days=30))
    assert await answer(reads, workspace, event_id) == 404, "events are shown for so long"


async def test_an_evaluation_that_was_heard_is_shown_and_not_what_the_triggers_tell(events: EventStore) -> None:
    workspace, heard = uuid4(), event(rules=[outcome(trigger=True), outcome(trigger=False)])
    await told(events, workspace, heard)

    async def nobody(workspace_id: UUID) -> list[NamedRule]:
        raise AssertionError("asked for rules")

    unheard = UnheardEvents(
        events, nobody, ManualClock(NOON), silence=timedelta(minutes=5), retention=timedelta(days=30)
    )
    shown = await answer(EventReads(events, unheard, Arrivals()), workspace, heard.event_id)
    assert isinstance(shown, EventAnswer)
    assert (len(shown.rules), shown.evaluated_at) == (2, NOON)
