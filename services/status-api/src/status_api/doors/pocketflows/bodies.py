"""What callers of Pocketflows send and get: the fields of its reference, unknown ones in a request ignored."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

MOST_STEPS = 50
MOST_EXCLUDED = 1000

Status = Literal["draft", "active", "inactive"]


def _storable(value: dict[str, Any]) -> dict[str, Any]:
    try:
        orjson.dumps(value)
    except (TypeError, ValueError) as error:
        raise ValueError("must be JSON whose whole numbers fit into 64 bits") from error
    return value


Text = Annotated[str, Field(max_length=255)]
Values = Annotated[dict[str, Any], AfterValidator(_storable)]
Amount = Annotated[int, Field(ge=-(2**53), le=2**53)] | Annotated[float, Field(allow_inf_nan=False)]


class Step(BaseModel):
    """One step: an email, or a step of the author's own. Each names a template of ours by key or id.

    `sms_template_id` and `delay_minutes` (from the start of the trigger) are additions.
    """

    model_config = ConfigDict(extra="ignore")

    type: Annotated[str, Field(max_length=50)]
    custom_step_id: Text | None = None
    email_template_id: Text | None = None
    sms_template_id: Text | None = None
    delay_minutes: Annotated[int, Field(ge=0, le=366 * 24 * 60)] | None = None

    @property
    def template(self) -> tuple[str, str | None]:
        """The field that names the template, and what it says."""
        fields = {"email": "email_template_id", "sms": "sms_template_id"}
        name = fields.get(self.type, "custom_step_id")
        return name, getattr(self, name)

    @property
    def custom_step(self) -> str | None:
        """The author's own step that this is, None for an email or an SMS."""
        return None if self.type in {"email", "sms"} else self.custom_step_id


class NewTrigger(BaseModel):
    """The body of `POST /businesses/{id}/triggers`; also what is kept of a trigger."""

    model_config = ConfigDict(extra="ignore")

    project_defined_event: Annotated[str, Field(min_length=1, max_length=255)]
    name: Annotated[str, Field(min_length=1, max_length=150)]
    steps: Annotated[list[Step], Field(max_length=MOST_STEPS)]
    filter: Annotated[str, Field(max_length=2000)] | None = None
    metadata: Values | None = None
    attributed_revenue: Amount | None = None
    email_address: Text | None = None
    phone_number: Text | None = None
    excluded_customers: Annotated[list[Text], Field(max_length=MOST_EXCLUDED)] = Field(default_factory=list)


class TriggerToCreate(NewTrigger):
    """`status` is an addition: without it a new trigger is a draft, and nothing happens until it is made active."""

    status: Status = "draft"


class TriggerChange(BaseModel):
    """The body of `POST /triggers/{id}`: the fields to change."""

    model_config = ConfigDict(extra="ignore")

    status: Status | None = None
    project_defined_event: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    name: Annotated[str, Field(min_length=1, max_length=150)] | None = None
    steps: Annotated[list[Step], Field(max_length=MOST_STEPS)] | None = None
    filter: Annotated[str, Field(max_length=2000)] | None = None
    metadata: Values | None = None
    attributed_revenue: Amount | None = None
    email_address: Text | None = None
    phone_number: Text | None = None
    excluded_customers: Annotated[list[Text], Field(max_length=MOST_EXCLUDED)] | None = None


class InternalEventDefinition(BaseModel):
    """The event of ours that starts the trigger; both fields are null where one of the project's own does."""

    type: str | None = None
    segment: str | None = None


class EmailStatistics(BaseModel):
    """What became of the trigger's emails."""

    sent: int
    delivered: int
    opened: int
    soft_bounced: int
    hard_bounced: int
    clicked: int


class CustomStepStatistics(BaseModel):
    """How many messages an own step sent."""

    custom_step: str
    sent: int


class Statistics(BaseModel):
    """Who came into the trigger, who has begun, who is through, and what became of what was sent."""

    total_customers_enrolled: int
    total_customers_started: int
    total_customers_finished: int
    emails: EmailStatistics
    custom_steps: list[CustomStepStatistics]


class ShownStep(BaseModel):
    """A step as it is shown."""

    model_config = ConfigDict(extra="allow")

    type: str
    custom_step_id: str | None
    email_template_id: str | None


class Trigger(BaseModel):
    """The Trigger object."""

    id: UUID
    created_at: str
    updated_at: str
    name: str
    project_defined_event: str | None
    internal_event_definition: InternalEventDefinition
    trigger: None
    steps: list[ShownStep]
    status: Status
    filter: str | None
    email_address: str | None
    phone_number: str | None
    attributed_revenue: float | int | None
    statistics: Statistics


class Pagination(BaseModel):
    """Where a page ends and whether another follows."""

    limit: int
    has_more: bool
    next_cursor: UUID | None


class TriggerPage(BaseModel):
    """A page of triggers, oldest first."""

    data: list[Trigger]
    pagination: Pagination


class PageQuery(BaseModel):
    """Which part of the list is wanted."""

    model_config = ConfigDict(extra="ignore")

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: UUID | None = None
