"""What the query strings of lists may hold."""

from __future__ import annotations

from typing import Annotated, Final
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from sluice_contracts.status import Status
from sluice_contracts.vocabulary import Channel, FlowType, JobState, MessageState

DEFAULT_LIMIT: Final = 50
MOST: Final = 200

_YEARS: Final = range(1970, 9999)


class Page(BaseModel):
    """Which page of a list."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(default=DEFAULT_LIMIT, ge=1, le=MOST)
    cursor: str | None = Field(default=None, max_length=1024)


class TimeRange(Page):
    """What was accepted from `from` up to but not at `to`."""

    since: AwareDatetime | None = Field(default=None, alias="from")
    until: AwareDatetime | None = Field(default=None, alias="to")

    @field_validator("since", "until")
    @classmethod
    def _is_a_year_of_ours(cls, value: AwareDatetime | None) -> AwareDatetime | None:
        if value is not None and value.year not in _YEARS:
            raise ValueError("must be a time between 1970 and 9998")
        return value


class TriggersQuery(TimeRange):
    """Which triggers: by derived status, by shape, by channel, accepted from `from` up to but not at `to`."""

    status: Status | None = None
    flow_type: FlowType | None = None
    channel: Channel | None = None


class JobsQuery(Page):
    """Which jobs: those in a state (`sent`, `filtered`, …), or whose message is in one (`delivered`, `bounced`, …)."""

    status: JobState | MessageState | None = Field(default=None, union_mode="left_to_right")


def _with_its_plus(value: object) -> object:
    """An address typed into a URL as it is loses its plus sign to the rules of query strings."""
    return f"+{value[1:]}" if isinstance(value, str) and value.startswith(" ") else value


class SandboxQuery(Page):
    """Which messages: of one channel, to one address, of one trigger."""

    channel: Channel | None = None
    to: Annotated[str | None, BeforeValidator(_with_its_plus)] = Field(default=None, max_length=320)
    trigger_id: UUID | None = None
