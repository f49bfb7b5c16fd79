"""What must hold of events at the end: who waited was let go for a reason, and rules started what they ought to."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Final
from uuid import UUID

from orchestrator.domain.rules import seen_by_filters
from simulated.copies import Stage
from simulated.people import People
from simulated.scenario import Scenario
from simulated.watches import WaitWatch
from sluice_catalog.conditions import EVENT_AND_CONTACT, compile_condition
from sluice_catalog.models import TriggerRule
from sluice_contracts import topics
from sluice_contracts.identifiers import derived_id
from sluice_contracts.messages.event import EventOccurred
from sluice_contracts.messages.trigger import TriggerAccepted
from sluice_contracts.vocabulary import Lane

_SURELY: Final = timedelta(seconds=3)
"""An event that was kept so long before a wait ran out must have ended it: no transaction takes longer."""


def accepted_triggers(stage: Stage, scenario: Scenario) -> dict[UUID, TriggerAccepted]:
    """Return all triggers: those of callers, and those that rules have made."""
    return scenario.triggers | {
        trigger.trigger_id: trigger
        for lane in Lane
        for record in stage.broker.records(topics.triggers(lane))
        if record.message_type == TriggerAccepted.TYPE
        for trigger in [TriggerAccepted.decode(record.value)]
        if trigger.event is not None
    }


def waits(stage: Stage, scenario: Scenario, watch: WaitWatch) -> Iterator[str]:
    """Yield waits that are not over, or over for a wrong reason."""
    events = {event.event_id: event for _, event in scenario.events}
    store = stage.servers["orchestrator"].store
    kept: defaultdict[tuple[object, ...], list[tuple[object, ...]]] = defaultdict(list)
    for place in store.table("awaited_events"):
        *correlated, event_id = place  # type: ignore[misc]
        kept[tuple(correlated)].append((event_id, watch.kept_at[place]))
    for row in store.table("waits").values():
        name = f"the wait {row['trigger_id']}/{row['step_order']}/{row['seq']}"
        if row["outcome"] is None:
            yield f"{name} never ends"
        elif row["outcome"] == "received":
            event = events[row["event_id"]]
            key = event.external_id if row["correlation"] == "contact" else event.correlation_key
            if key != row["key"] or event.event_id == row["cause"] or not row["since"] <= event.accepted_at:
                yield f"{name} was ended by {event}, which is not its event: {row}"
        else:
            correlated = (row["workspace_id"], row["event"], row["correlation"], row["key"])
            for event_id, kept_at in kept[correlated]:
                event = events[event_id]  # type: ignore[index]
                if (
                    event_id != row["cause"]
                    and row["since"] <= event.accepted_at < row["until"]
                    and kept_at + _SURELY < row["until"]  # type: ignore[operator]
                ):
                    yield f"{name} ran out, and {event} had come: {row}"


def starts(stage: Stage, scenario: Scenario) -> Iterator[str]:
    """Yield what rules have started too often, too seldom, or against their own words."""
    made = {
        trigger_id for trigger_id, trigger in accepted_triggers(stage, scenario).items() if trigger.event is not None
    }
    expected: defaultdict[tuple[UUID, str | None], set[UUID]] = defaultdict(set)
    events = {event.event_id: event for _, event in scenario.events}
    rules = {rule.rule_id: rule for rules in scenario.people.rules.values() for rule in rules}
    for event in events.values():
        for rule in scenario.people.rules.get((event.workspace_id, event.name), ()):
            if _answers(rule, event, scenario.people):
                expected[rule.rule_id, event.external_id].add(derived_id(event.event_id, str(rule.rule_id)))
    for trigger_id in made - set().union(*expected.values()):
        yield f"no rule asks for {trigger_id}"
    counts = Counter({key: len(wanted & made) for key, wanted in expected.items()})
    for (rule_id, external_id), wanted in expected.items():
        rule = rules[rule_id]
        count = counts[rule_id, external_id]
        least = 1 if rule.once_per_contact or rule.reentry_gap_minutes is not None else len(wanted)
        most = 1 if rule.once_per_contact else len(wanted)
        if not least <= count <= most:
            yield f"{rule.name} started {count} times for {external_id}, and not {least} to {most} times"


def _answers(rule: TriggerRule, event: EventOccurred, people: People) -> bool:
    contact = next((one for one in people.of(event.workspace_id) if one.external_id == event.external_id), None)
    if contact is None or contact.external_id in rule.excluded_contacts:
        return False
    values: Mapping[str, object] = contact.values()
    return rule.filter is None or bool(
        compile_condition(rule.filter, EVENT_AND_CONTACT).evaluate(event=seen_by_filters(event), contact=values)
    )
