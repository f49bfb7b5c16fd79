"""What the query strings of this door's lists may hold. What Novu has and we do not is ignored."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

MOST: Final = 100


class NumberedPage(BaseModel):
    """A page by its number, from 0."""

    model_config = ConfigDict(extra="ignore", alias_generator=to_camel, populate_by_name=True)

    page: Annotated[int, Field(ge=0, le=1_000)] = 0
    limit: Annotated[int, Field(ge=1, le=MOST)] = 10


class MessagesQuery(NumberedPage):
    """Which messages."""

    channel: str | None = None
    subscriber_id: str | None = None
    transaction_id: list[str] | None = None


class NotificationsQuery(NumberedPage):
    """Which notifications."""

    channels: list[str] | None = None
    templates: list[str] | None = None
    emails: list[str] | None = None
    search: str | None = None
    subscriber_ids: list[str] | None = None
    severity: list[str] | None = None
    transaction_id: list[str] | None = None
    topic_key: str | None = None
    context_keys: list[str] | None = None
    after: AwareDatetime | None = None
    before: AwareDatetime | None = None


class ChannelQuery(BaseModel):
    """Which channel's messages."""

    model_config = ConfigDict(extra="ignore")

    channel: str | None = None


class DetailsQuery(BaseModel):
    """Whose execution details."""

    model_config = ConfigDict(extra="ignore", alias_generator=to_camel, populate_by_name=True)

    notification_id: str
    subscriber_id: str | None = None


class GraphQuery(BaseModel):
    """How many days back."""

    model_config = ConfigDict(extra="ignore")

    days: Annotated[int, Field(ge=1, le=366)] = 30
