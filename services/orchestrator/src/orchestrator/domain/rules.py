"""What a trigger rule makes of an event: a trigger, or a reason why none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sluice_catalog.conditions import EVENT_AND_CONTACT, ConditionError, ConditionProblem, View, compile_condition
from sluice_catalog.mapping import MappingProblem, variables_of
from sluice_catalog.models import Contact, TriggerRule, WorkflowReference
from sluice_catalog.paths import PathProblem
from sluice_contracts.base import format_instant
from sluice_contracts.identifiers import trigger_id_for_rule
from sluice_contracts.messages.event import LONGEST_CHAIN, EventOccurred
from sluice_contracts.messages.execution import RuleOutcome
from sluice_contracts.messages.trigger import ContactRecipients, TriggerAccepted, TriggeringEvent, WorkflowStart
from sluice_contracts.sentences import RULE_SENTENCES
from sluice_contracts.vocabulary import Lane, RuleCode


@dataclass(frozen=True, slots=True)
class Entry:
    """That a contact starts a rule's workflow. It must not have before (`after` None), or not since `after`."""

    rule_id: UUID
    external_id: str
    event_id: UUID
    at: datetime
    after: datetime | None

    @property
    def refusal(self) -> RuleCode:
        """Why there is no trigger where the contact may not enter."""
        return RuleCode.ONCE_PER_CONTACT if self.after is None else RuleCode.TOO_SOON


@dataclass(frozen=True, slots=True)
class Decision:
    """What a rule makes of an event: a trigger (if `entry`, where there is one, is granted), or `code` and `detail`."""

    rule: TriggerRule
    trigger: TriggerAccepted | None = None
    entry: Entry | None = None
    code: RuleCode | None = None
    detail: str | None = None

    def outcome(self) -> RuleOutcome:
        """Return what people are told."""
        return RuleOutcome(
            rule_id=self.rule.rule_id,
            rule_name=self.rule.name,
            trigger_id=None if self.trigger is None else self.trigger.trigger_id,
            code=self.code,
            detail=self.detail,
        )

    def refused(self) -> Decision:
        """Return the decision where the entry is not granted."""
        assert self.entry is not None  # noqa: S101 - asked only of decisions with an entry
        return _refusal(self.rule, self.entry.refusal)


def decide(event: EventOccurred, rules: Iterable[TriggerRule], contact: Contact | None) -> list[Decision]:
    """Return what each rule makes of `event`, which is about `contact` (None: about nobody who is a contact)."""
    view = None if contact is None else View(EVENT_AND_CONTACT, event=seen_by_filters(event), contact=contact.values())
    return [_decide(event, rule, contact, view) for rule in rules]


def _decide(event: EventOccurred, rule: TriggerRule, contact: Contact | None, view: View | None) -> Decision:
    if event.chain >= LONGEST_CHAIN:
        return _refusal(rule, RuleCode.CHAIN_TOO_LONG)
    if contact is None or view is None:
        return _refusal(rule, RuleCode.CONTACT_NOT_FOUND)
    if contact.external_id in rule.excluded_contacts:
        return _refusal(rule, RuleCode.EXCLUDED)
    objection = _objection(rule, view)
    if objection is not None:
        return objection
    workflow = rule.workflow
    if workflow is None or workflow.status != "active" or workflow.version is None:
        return _refusal(rule, RuleCode.WORKFLOW_NOT_ACTIVE)
    try:
        variables = variables_of(rule.mapping, event.data)
    except (MappingProblem, PathProblem) as problem:
        return _refusal(rule, RuleCode.MAPPING_FAILED, str(problem))
    start = WorkflowStart(workflow_id=workflow.workflow_id, version=workflow.version, name=workflow.name)
    return Decision(
        rule, _trigger(event, rule, workflow, start, contact, variables), _entry(event, rule, contact.external_id)
    )


def seen_by_filters(event: EventOccurred) -> dict[str, Any]:
    """Return what a condition sees of an event."""
    return {
        "id": str(event.event_id),
        "name": event.name,
        "data": event.data,
        "occurred_at": format_instant(event.occurred_at),
        "correlation_key": event.correlation_key,
    }


def _objection(rule: TriggerRule, view: View) -> Decision | None:
    if rule.filter is None:
        return None
    try:
        condition = compile_condition(rule.filter, EVENT_AND_CONTACT)
    except ConditionProblem as problem:
        return _refusal(rule, RuleCode.FILTER_FAILED, f"The rule's filter cannot be used: {problem}")
    decision = condition.holds(view)
    if isinstance(decision, ConditionError):
        return _refusal(rule, RuleCode.FILTER_FAILED, f"The rule's filter could not be decided: {decision.reason}")
    return None if decision else _refusal(rule, RuleCode.FILTER_FALSE)


def _trigger(
    event: EventOccurred,
    rule: TriggerRule,
    workflow: WorkflowReference,
    start: WorkflowStart,
    contact: Contact,
    variables: dict[str, Any],
) -> TriggerAccepted:
    category = rule.category or workflow.category
    return TriggerAccepted(
        trigger_id=trigger_id_for_rule(event.event_id, rule.rule_id),
        workspace_id=event.workspace_id,
        accepted_at=event.accepted_at,
        lane=Lane.PRIORITY if category.is_essential else Lane.BULK,
        category=category,
        trigger_source="event",
        campaign_name=rule.campaign_name or workflow.name,
        plan=start,
        recipients=ContactRecipients(external_ids=[contact.external_id]),
        variables=variables,
        metadata=rule.metadata,
        event=TriggeringEvent(event_id=event.event_id, name=event.name, rule_id=rule.rule_id, chain=event.chain),
    )


def _entry(event: EventOccurred, rule: TriggerRule, external_id: str) -> Entry | None:
    if rule.once_per_contact:
        return Entry(rule.rule_id, external_id, event.event_id, event.accepted_at, None)
    if rule.reentry_gap_minutes is None:
        return None
    after = event.accepted_at - timedelta(minutes=rule.reentry_gap_minutes)
    return Entry(rule.rule_id, external_id, event.event_id, event.accepted_at, after)


def _refusal(rule: TriggerRule, code: RuleCode, detail: str | None = None) -> Decision:
    return Decision(rule, code=code, detail=detail or RULE_SENTENCES[code])
