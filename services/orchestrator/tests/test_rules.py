"""What events make of rules: triggers under fixed ids, or reasons that people can read."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from sluice_catalog.models import TriggerRule, VariableMapping, WorkflowReference, WorkflowStep
from sluice_contracts.messages.event import LONGEST_CHAIN, EventOccurred
from sluice_contracts.messages.execution import EventsEvaluated, RuleOutcome
from sluice_contracts.messages.profile import ContactProfile
from sluice_contracts.messages.trigger import ContactRecipients, TriggerAccepted
from sluice_contracts.vocabulary import Category, Channel, Lane
from sluice_messaging.errors import PoisonError
from sluice_messaging.records import Record

pytestmark = pytest.mark.integration

WORKSPACE = UUID(int=1)


class Rules:
    """A workflow that rules start, and the events that meet them."""

    def __init__(self, world: Any) -> None:
        self.world = world
        world.catalogue.add(3, tags=("vip",))
        world.catalogue.template("thanks", Channel.EMAIL)
        step = WorkflowStep("thanks", "Thanks", Channel.EMAIL, "thanks")
        version = world.catalogue.workflow(steps=(step,), category=Category.TRANSACTIONAL, name="Thanks")
        self.workflow = WorkflowReference(
            version.workflow_id, version.name, "active", version.version, version.category
        )

    def rule(self, **values: Any) -> TriggerRule:
        rule = TriggerRule(
            **{
                "rule_id": uuid4(),
                "workspace_id": WORKSPACE,
                "key": "thank",
                "name": "Thank the buyer",
                "status": "active",
                "event": "order.paid",
                "workflow": self.workflow,
                **values,
            }
        )
        self.world.catalogue.rules.append(rule)
        return rule

    def event(self, **values: Any) -> EventOccurred:
        now = self.world.clock.now()
        return EventOccurred(
            **{
                "event_id": uuid4(),
                "workspace_id": WORKSPACE,
                "name": "order.paid",
                "external_id": "c0",
                "data": {"order": {"total": "49.9", "id": "o-1"}},
                "occurred_at": now,
                "accepted_at": now,
                **values,
            }
        )

    async def happen(self, *events: EventOccurred) -> list[RuleOutcome]:
        """Handle events as one batch; return what their rules made of them."""
        before = len(self.world.said(EventsEvaluated))
        await self.world.parts.events([_record(event) for event in events])
        told = self.world.said(EventsEvaluated)[before:]
        return [rule for message in told for event in message.events for rule in event.rules]

    def triggers(self) -> list[TriggerAccepted]:
        return [
            TriggerAccepted.decode(item.value)
            for item in self.world.publisher.records
            if item.topic.startswith("triggers.")
        ]


@pytest.fixture
def rules(world: Any) -> Rules:
    return Rules(world)


async def test_an_event_starts_the_workflow_of_its_rule_with_variables_from_its_data(rules: Rules) -> None:
    rule = rules.rule(
        filter="event.data.order.id == 'o-1' && 'vip' in contact.tags",
        mapping=(
            VariableMapping("total", "$.order.total", "number"),
            VariableMapping("note", "$.note", default="none"),
        ),
        metadata={"source": "shop"},
    )
    event = rules.event()
    (outcome,) = await rules.happen(event)
    (trigger,) = rules.triggers()
    assert outcome == RuleOutcome(rule_id=rule.rule_id, rule_name=rule.name, trigger_id=trigger.trigger_id)
    assert trigger.variables == {"total": 49.9, "note": "none"}
    assert trigger.recipients == ContactRecipients(external_ids=["c0"])
    assert (trigger.lane, trigger.category, trigger.trigger_source) == (Lane.PRIORITY, Category.TRANSACTIONAL, "event")
    assert trigger.event is not None
    assert (trigger.event.event_id, trigger.event.rule_id) == (event.event_id, rule.rule_id)
    await rules.world.deliver(trigger)
    (command,) = await rules.world.work()
    assert command.jobs.external_id == ["c0"]


async def test_the_same_event_again_is_the_same_trigger(rules: Rules) -> None:
    rules.rule(once_per_contact=True)
    rules.rule(reentry_gap_minutes=60)
    rules.rule()
    event = rules.event()
    await rules.happen(event, event)
    await rules.happen(event)
    assert len(rules.triggers()) == 6
    assert len({trigger.trigger_id for trigger in rules.triggers()}) == 3


async def test_each_reason_why_there_is_no_trigger_is_told(rules: Rules) -> None:
    rules.rule(filter="event.data.order.id == 'o-2'")
    rules.rule(filter="event.data.nothing > 1")
    rules.rule(filter="nonsense(")
    rules.rule(mapping=(VariableMapping("day", "$.order.id", "date"),))
    rules.rule(mapping=(VariableMapping("coupon", "$.coupon", required=True),))
    rules.rule(workflow=replace(rules.workflow, status="inactive"))
    rules.rule(workflow=None)
    rules.rule(excluded_contacts=frozenset({"c0"}))
    outcomes = await rules.happen(rules.event())
    assert [outcome.code for outcome in outcomes] == [
        "filter_false", "filter_failed", "filter_failed", "mapping_failed", "mapping_failed", "workflow_not_active",
        "workflow_not_active", "excluded",
    ]  # fmt: skip
    assert all(outcome.detail and outcome.trigger_id is None for outcome in outcomes)
    assert "nothing" in (outcomes[1].detail or "")
    assert '"day"' in (outcomes[3].detail or "")
    (unknown, *_) = await rules.happen(rules.event(external_id="nobody"))
    assert unknown.code == "contact_not_found"
    assert rules.triggers() == []


async def test_an_event_that_no_rule_is_for_is_told_as_such(rules: Rules) -> None:
    rules.rule(status="inactive")
    rules.rule(workspace_id=UUID(int=2))
    assert await rules.happen(rules.event()) == []
    (told,) = rules.world.said(EventsEvaluated)
    assert [(event.name, event.rules) for event in told.events] == [("order.paid", [])]


async def test_what_an_event_says_of_its_contact_is_there_for_its_filter(rules: Rules) -> None:
    rules.rule(filter="contact.attributes.plan == 'gold'")
    profile = ContactProfile(external_id="new", email="new@example.com", attributes={"plan": "gold"})
    await rules.happen(rules.event(external_id="new", profile=profile))
    (trigger,) = rules.triggers()
    assert trigger.profiles == []


async def test_a_contact_starts_a_workflow_once_even_within_one_batch(rules: Rules) -> None:
    rules.rule(once_per_contact=True)
    outcomes = await rules.happen(rules.event(), rules.event(), rules.event(external_id="c1"))
    assert sorted(str(outcome.code) for outcome in outcomes) == ["None", "None", "once_per_contact"]
    rules.world.clock.advance(timedelta(days=400))
    (later,) = await rules.happen(rules.event())
    assert later.code == "once_per_contact"


async def test_a_contact_starts_a_workflow_again_after_the_gap(rules: Rules) -> None:
    rules.rule(reentry_gap_minutes=60)
    first, second = await rules.happen(rules.event(), rules.event())
    assert (first.code, second.code) == (None, "too_soon")
    rules.world.clock.advance(timedelta(minutes=59))
    (early,) = await rules.happen(rules.event())
    rules.world.clock.advance(timedelta(minutes=1))
    (late,) = await rules.happen(rules.event())
    assert (early.code, late.code) == ("too_soon", None)


async def test_a_crash_before_the_trigger_is_published_does_not_use_up_the_entry(rules: Rules) -> None:
    rules.rule(once_per_contact=True)
    event = rules.event()

    def cut(_: Any) -> None:
        raise ConnectionError("away")

    rules.world.publisher.before = cut
    with pytest.raises(ConnectionError):
        await rules.happen(event)
    rules.world.publisher.before = None
    (outcome,) = await rules.happen(event)
    assert outcome.trigger_id is not None


async def test_two_entries_in_one_batch_both_survive_that_they_could_not_be_published(rules: Rules) -> None:
    rule = rules.rule(reentry_gap_minutes=60)
    first = rules.event()
    rules.world.clock.advance(timedelta(hours=2))
    second = rules.event()
    rules.world.cut_power()
    with pytest.raises(rules.world.power_cut):
        await rules.world.parts.events([_record(first), _record(second)])
    await rules.world.parts.events([_record(first), _record(second)])
    told = rules.world.said(EventsEvaluated)[-1]
    assert [[outcome.code for outcome in one.rules] for one in told.events] == [[None], [None]]
    assert {outcome.rule_id for one in told.events for outcome in one.rules} == {rule.rule_id}


@pytest.mark.parametrize(
    ("limit", "code"), [({"once_per_contact": True}, "once_per_contact"), ({"reentry_gap_minutes": 60}, "too_soon")]
)
async def test_of_two_events_at_one_moment_in_two_copies_one_enters(
    rules: Rules, limit: dict[str, Any], code: str
) -> None:
    rules.rule(**limit)
    copies = [rules.world.copy() for _ in range(4)]
    events = [rules.event() for _ in copies]
    await asyncio.gather(*(copy.events([_record(event)]) for copy, event in zip(copies, events, strict=True)))
    codes = sorted(
        str(outcome.code) for told in rules.world.said(EventsEvaluated) for one in told.events for outcome in one.rules
    )
    assert codes == ["None", *[code] * 3]


async def test_a_chain_of_events_ends(rules: Rules) -> None:
    rules.rule()
    (last,) = await rules.happen(rules.event(chain=LONGEST_CHAIN - 1))
    (beyond,) = await rules.happen(rules.event(chain=LONGEST_CHAIN))
    assert (last.code, beyond.code) == (None, "chain_too_long")


async def test_a_record_that_is_no_event_is_poison(rules: Rules) -> None:
    with pytest.raises(PoisonError, match="workspace_id"):
        await rules.world.parts.events([Record("events", 0, 0, b"k", b'{"type": "event.occurred.v1"}', {}, 0)])


def _record(event: EventOccurred) -> Record:
    return Record("events", 0, 0, b"key", event.encode(), {"ce_type": event.TYPE}, 0)
