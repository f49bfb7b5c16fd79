"""What the topics `triggers.*` and `executions` say, as facts that join in any order and any number of times.

Each field is a column of the tables `triggers` and `executions`. Of two values the greater stays, of two first times
the earlier; None knows nothing. `fold_triggers` and `fold_executions` in `projection.sql` join the same way.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

import orjson

from sluice_contracts.messages.execution import (
    CohortCounted,
    EventsEvaluated,
    ExecutionCommanded,
    ExecutionMessage,
    ExecutionStarted,
    TriggerControlled,
    TriggerFailed,
    TriggerPlanned,
    WaitsReported,
)
from sluice_contracts.messages.trigger import (
    AddressRecipients,
    ContactRecipients,
    DirectSend,
    Recipients,
    TriggerAccepted,
    WorkflowStart,
)

FIRST_TIMES: Final = frozenset(
    {
        "accepted_at",
        "planned_at",
        "starts_at",
        "cancelled_at",
        "failed_at",
        "scheduled_for",
        "started_at",
        "commanded_at",
    }
)
"""The fields of which the lowest value stays."""


@dataclass(slots=True)
class TriggerFacts:
    """What is known of one trigger as a whole. `metadata` is canonical JSON."""

    trigger_id: UUID
    workspace_id: UUID
    accepted_at: datetime | None = None
    lane: str | None = None
    category: str | None = None
    flow_type: str | None = None
    channel: str | None = None
    trigger_source: str | None = None
    campaign_name: str | None = None
    metadata: str | None = None
    stream_id: UUID | None = None
    scheduled_at: datetime | None = None
    dry_run: bool | None = None
    requested_contacts: int | None = None
    planned_at: datetime | None = None
    starts_at: datetime | None = None
    workflow_type: str | None = None
    workflow_id: UUID | None = None
    workflow_name: str | None = None
    workflow_execution_id: UUID | None = None
    template_group_id: UUID | None = None
    estimated_contacts: int | None = None
    counted_contacts: int | None = None
    cancelled_at: datetime | None = None
    paused_at: datetime | None = None
    resumed_at: datetime | None = None
    failed_at: datetime | None = None
    failure_code: str | None = None
    failure_detail: str | None = None


@dataclass(slots=True)
class ExecutionFacts:
    """What is known of one execution beside its jobs."""

    execution_id: UUID
    trigger_id: UUID
    workspace_id: UUID
    channel: str | None = None
    step_id: str | None = None
    step_order: int | None = None
    step_name: str | None = None
    delay_minutes: int | None = None
    scheduled_for: datetime | None = None
    started_at: datetime | None = None
    expected: int | None = None
    commanded_at: datetime | None = None
    commanded_total: int | None = None
    never_commanded: int | None = None


Facts = TypeVar("Facts", TriggerFacts, ExecutionFacts)


def join(one: Facts, other: Facts) -> None:
    """Teach `one` what `other` knows about the same thing."""
    for field in fields(one):
        name = field.name
        mine, theirs = getattr(one, name), getattr(other, name)
        if theirs is not None and (mine is None or (theirs < mine if name in FIRST_TIMES else theirs > mine)):
            setattr(one, name, theirs)


def fold_accepted(messages: Iterable[TriggerAccepted]) -> list[TriggerFacts]:
    """Return what `messages` say, each trigger once, in the order of the ids."""
    return _joined((facts_of_trigger(message) for message in messages), lambda facts: facts.trigger_id)


def fold_executions(messages: Iterable[ExecutionMessage]) -> tuple[list[TriggerFacts], list[ExecutionFacts]]:
    """Return what `messages` say of triggers and of executions, each thing once, in the order of the ids."""
    triggers: list[TriggerFacts] = []
    executions: list[ExecutionFacts] = []
    for message in messages:
        match message:
            case TriggerPlanned():
                triggers.append(_plan_of(message))
                executions.extend(_planned_executions(message))
            case ExecutionStarted() | ExecutionCommanded():
                executions.append(_execution_of(message))
            case EventsEvaluated() | WaitsReported():
                continue
            case _:
                triggers.append(_course_of(message))
    return _joined(triggers, lambda facts: facts.trigger_id), _joined(executions, lambda facts: facts.execution_id)


def facts_of_trigger(message: TriggerAccepted) -> TriggerFacts:
    """Return what an accepted request says."""
    facts = TriggerFacts(
        message.trigger_id,
        message.workspace_id,
        accepted_at=message.accepted_at,
        lane=message.lane.value,
        category=message.category.value,
        flow_type=message.flow_type.value,
        trigger_source=message.trigger_source,
        campaign_name=message.campaign_name,
        metadata=canonical_json(message.metadata),
        stream_id=message.stream_id,
        scheduled_at=message.trigger_at,
        dry_run=message.dry_run,
        requested_contacts=_requested(message.recipients),
    )
    match message.plan:
        case DirectSend(channel=channel):
            facts.channel = channel.value
        case WorkflowStart(workflow_id=workflow_id, name=name):
            facts.workflow_id, facts.workflow_name = workflow_id, name
    return facts


def canonical_json(value: Any) -> str:
    """Return the one JSON text of `value`: keys sorted, no spaces."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def _requested(recipients: Recipients) -> int | None:
    match recipients:
        case ContactRecipients(external_ids=names) | AddressRecipients(addresses=names):
            return len(set(names))
        case _:
            return None


def _plan_of(message: TriggerPlanned) -> TriggerFacts:
    return TriggerFacts(
        message.trigger_id,
        message.workspace_id,
        flow_type=message.flow_type.value,
        planned_at=message.planned_at,
        starts_at=message.starts_at,
        workflow_type=message.workflow_type.value if message.workflow_type else None,
        workflow_id=message.workflow_id,
        workflow_name=message.workflow_name,
        workflow_execution_id=message.workflow_execution_id,
        template_group_id=message.template_group_id,
    )


def _planned_executions(message: TriggerPlanned) -> Iterable[ExecutionFacts]:
    for planned in message.executions:
        yield ExecutionFacts(
            planned.execution_id,
            message.trigger_id,
            message.workspace_id,
            channel=planned.channel.value,
            step_id=planned.step_id,
            step_order=planned.step_order,
            step_name=planned.step_name,
            delay_minutes=planned.delay_minutes,
            scheduled_for=planned.scheduled_for,
        )


def _execution_of(message: ExecutionStarted | ExecutionCommanded) -> ExecutionFacts:
    facts = ExecutionFacts(message.execution_id, message.trigger_id, message.workspace_id)
    match message:
        case ExecutionStarted(started_at=started_at, expected=expected):
            facts.started_at, facts.expected = started_at, expected
        case ExecutionCommanded(at=at, total=total, cancelled=cancelled):
            facts.commanded_at, facts.commanded_total, facts.never_commanded = at, total, cancelled
    return facts


def _course_of(message: CohortCounted | TriggerControlled | TriggerFailed) -> TriggerFacts:
    facts = TriggerFacts(message.trigger_id, message.workspace_id)
    match message:
        case CohortCounted(total_contacts=total, final=True):
            facts.counted_contacts = total
        case CohortCounted(total_contacts=total):
            facts.estimated_contacts = total
        case TriggerControlled(change="cancelled", at=at):
            facts.cancelled_at = at
        case TriggerControlled(change="paused", at=at):
            facts.paused_at = at
        case TriggerControlled(at=at):
            facts.resumed_at = at
        case TriggerFailed(at=at, code=code, detail=detail):
            facts.failed_at, facts.failure_code, facts.failure_detail = at, code, detail
    return facts


def _joined(parts: Iterable[Facts], key: Any) -> list[Facts]:
    whole: dict[UUID, Facts] = {}
    for part in parts:
        known = whole.setdefault(key(part), part)
        if known is not part:
            join(known, part)
    return [whole[name] for name in sorted(whole)]
