"""Topic `executions`: what exists. Key: trigger_id. Counts are not here: they come from `deliveries`."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self
from uuid import UUID

from pydantic import Field, TypeAdapter, model_validator

from sluice_contracts.base import Instant, Message, Part
from sluice_contracts.vocabulary import Channel, FlowType, WaitOutcome, WorkflowType


class PlannedExecution(Part):
    """One channel inside one step, as planned. `delay_minutes` and `scheduled_for` count from the start."""

    execution_id: UUID
    step_id: str
    step_order: int
    step_name: str
    channel: Channel
    delay_minutes: int = 0
    scheduled_for: Instant


class PlannedWait(Part):
    """A step in which each contact waits for an event, at most so long, before the steps behind it.

    `delay_minutes` and `scheduled_for` count from the start, or from the latest end of the wait before it.
    """

    step_id: str
    step_order: int
    step_name: str
    event: str
    timeout_minutes: int
    delay_minutes: int = 0
    scheduled_for: Instant


class TriggerPlanned(Message):
    """The orchestrator has taken the trigger up and says what will exist.

    `starts_at` is when the first step is due: the moment of planning, or the caller's `trigger_at`.
    """

    TYPE: ClassVar[str] = "trigger.planned.v1"
    KEY: ClassVar[tuple[str, ...]] = ("trigger_id",)
    type: Literal["trigger.planned.v1"] = "trigger.planned.v1"
    trigger_id: UUID
    workspace_id: UUID
    planned_at: Instant
    starts_at: Instant
    flow_type: FlowType
    workflow_type: WorkflowType | None = None
    workflow_id: UUID | None = None
    workflow_name: str | None = None
    workflow_execution_id: UUID | None = None
    template_group_id: UUID | None = None
    executions: list[PlannedExecution]
    waits: list[PlannedWait] = Field(default_factory=list)


class ExecutionStarted(Message):
    """The first jobs are about to be commanded; `expected` is how many there will be, as far as known."""

    TYPE: ClassVar[str] = "execution.started.v1"
    KEY: ClassVar[tuple[str, ...]] = ("trigger_id",)
    type: Literal["execution.started.v1"] = "execution.started.v1"
    trigger_id: UUID
    workspace_id: UUID
    execution_id: UUID
    started_at: Instant
    expected: int


class ExecutionCommanded(Message):
    """Every job of an execution has been commanded, or never will be: `total` is exact and final.

    `cancelled` of them were never commanded because the trigger was cancelled first.
    """

    TYPE: ClassVar[str] = "execution.commanded.v1"
    KEY: ClassVar[tuple[str, ...]] = ("trigger_id",)
    type: Literal["execution.commanded.v1"] = "execution.commanded.v1"
    trigger_id: UUID
    workspace_id: UUID
    execution_id: UUID
    at: Instant
    total: int
    cancelled: int = 0


class CohortCounted(Message):
    """How many distinct contacts the trigger has: an estimate while its audience is walked, exact when `final`."""

    TYPE: ClassVar[str] = "trigger.counted.v1"
    KEY: ClassVar[tuple[str, ...]] = ("trigger_id",)
    type: Literal["trigger.counted.v1"] = "trigger.counted.v1"
    trigger_id: UUID
    workspace_id: UUID
    at: Instant
    total_contacts: int
    final: bool


class TriggerControlled(Message):
    """A trigger was cancelled, paused or resumed."""

    TYPE: ClassVar[str] = "trigger.controlled.v1"
    KEY: ClassVar[tuple[str, ...]] = ("trigger_id",)
    type: Literal["trigger.controlled.v1"] = "trigger.controlled.v1"
    trigger_id: UUID
    workspace_id: UUID
    at: Instant
    change: Literal["cancelled", "paused", "resumed"]


class TriggerFailed(Message):
    """The trigger can never be carried out (its workflow is gone, say); `detail` is for people."""

    TYPE: ClassVar[str] = "trigger.failed.v1"
    KEY: ClassVar[tuple[str, ...]] = ("trigger_id",)
    type: Literal["trigger.failed.v1"] = "trigger.failed.v1"
    trigger_id: UUID
    workspace_id: UUID
    at: Instant
    code: str
    detail: str


class ReportedWaits(Part):
    """Waits as columns, one entry a contact, named by its position.

    `outcome` is None while the wait lasts, and `event_id` the event that ended it. `since`, `until` and `ended_at` are
    Unix milliseconds.
    """

    seq: list[int]
    external_id: list[str | None]
    since: list[int]
    until: list[int]
    outcome: list[WaitOutcome | None]
    ended_at: list[int | None]
    event_id: list[UUID | None]

    @model_validator(mode="after")
    def _columns_have_one_length(self) -> Self:
        length = len(self.seq)
        if any(len(getattr(self, name)) != length for name in type(self).model_fields):
            raise ValueError(f"every column of reported waits needs {length} entries")
        return self


class WaitsReported(Message):
    """Contacts wait in a step of a trigger for an event, or do not any more."""

    TYPE: ClassVar[str] = "waits.reported.v1"
    KEY: ClassVar[tuple[str, ...]] = ("trigger_id",)
    type: Literal["waits.reported.v1"] = "waits.reported.v1"
    trigger_id: UUID
    workspace_id: UUID
    step_order: int
    waits: ReportedWaits


class RuleOutcome(Part):
    """What a trigger rule made of an event: a trigger, or (`trigger_id` None) none for the reason in `code`."""

    rule_id: UUID
    rule_name: str
    trigger_id: UUID | None = None
    code: str | None = None
    detail: str | None = None


class EvaluatedEvent(Part):
    """An event with what each active rule for its name made of it; no entry in `rules`: none listens to it.

    `code` and `detail` say why the event as a whole could not be used, where it could not.
    """

    event_id: UUID
    name: str
    external_id: str | None = None
    source: str = "api"
    occurred_at: Instant
    accepted_at: Instant
    rules: list[RuleOutcome] = Field(default_factory=list)
    waits: int = 0
    code: str | None = None
    detail: str | None = None


class EventsEvaluated(Message):
    """What became of events of one workspace: about no trigger, so its key is the workspace."""

    TYPE: ClassVar[str] = "events.evaluated.v1"
    KEY: ClassVar[tuple[str, ...]] = ("workspace_id",)
    type: Literal["events.evaluated.v1"] = "events.evaluated.v1"
    workspace_id: UUID
    at: Instant
    events: list[EvaluatedEvent]


ExecutionMessage = Annotated[
    TriggerPlanned
    | ExecutionStarted
    | ExecutionCommanded
    | CohortCounted
    | TriggerControlled
    | TriggerFailed
    | WaitsReported
    | EventsEvaluated,
    Field(discriminator="type"),
]

_adapter: TypeAdapter[ExecutionMessage] = TypeAdapter(ExecutionMessage)


def decode_execution(value: bytes) -> ExecutionMessage:
    """Read a record's value.

    Raises pydantic.ValidationError when it is none of the messages of this topic.
    """
    return _adapter.validate_json(value)
