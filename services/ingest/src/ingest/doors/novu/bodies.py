"""What callers say in Novu's words. Fields that Novu has and we do not are ignored, and null is as good as left out."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, field_validator
from pydantic.alias_generators import to_camel

from ingest.domain.values import MAX_EXTERNAL_ID, Name, Values

MOST_EVENTS: Final = 100
MOST_SUBSCRIBERS: Final = 500
MOST_SUBSCRIPTIONS: Final = 100
_OBJECT: Final = "must be an object"

SubscriberId = Annotated[str, Field(min_length=1, max_length=MAX_EXTERNAL_ID)]
Text = Annotated[str, Field(max_length=2000)]


class Said(BaseModel):
    """A body or a part of one."""

    model_config = ConfigDict(extra="ignore", frozen=True, alias_generator=to_camel, populate_by_name=True)


class SubscriberFields(Said):
    """What may be said of a subscriber beside who it is."""

    first_name: Text | None = None
    last_name: Text | None = None
    email: Text | None = None
    phone: Text | None = None
    avatar: Text | None = None
    locale: Text | None = None
    timezone: Text | None = None
    data: Values | None = None
    channels: list[dict[str, Any]] | None = None


class SubscriberBody(SubscriberFields):
    """A subscriber."""

    subscriber_id: SubscriberId


def _as_object(value: Any) -> Any:
    return {} if value is None else value


def _named(value: Any) -> Any:
    if value is None or isinstance(value, str | dict):
        return value
    raise ValueError("must be a string or an object")


class EventFields(Said):
    """What an event has whether it names recipients or goes to everybody."""

    name: Name
    payload: Values = Field(default_factory=dict)
    overrides: Values = Field(default_factory=dict)
    transaction_id: Name | None = None
    actor: Annotated[Any, AfterValidator(_named)] = None
    tenant: Annotated[Any, AfterValidator(_named)] = None
    context: Values = Field(default_factory=dict)

    @field_validator("payload", "overrides", "context", mode="before")
    @classmethod
    def _null_is_empty(cls, value: Any) -> Any:
        return _as_object(value)


class EventBody(EventFields):
    """One event for the recipients that it names."""

    to: Annotated[Any, Field(description="A subscriberId, a subscriber, a topic, or a list of them.")]


class BroadcastBody(EventFields):
    """One event for every subscriber."""


def _few_enough(events: list[Any]) -> list[Any]:
    if not events:
        raise ValueError("events should not be empty")
    if len(events) > MOST_EVENTS:
        raise ValueError(f"events must contain no more than {MOST_EVENTS} elements")
    return events


class BulkEventBody(Said):
    """Up to 100 events, each judged by itself."""

    events: Annotated[list[Any], AfterValidator(_few_enough)]


class SubscribersBody(Said):
    """Up to 500 subscribers, each judged by itself."""

    subscribers: Annotated[list[Any], Field(max_length=MOST_SUBSCRIBERS)]


class CredentialsBody(Said):
    """How a subscriber is reached on a chat or push provider."""

    provider_id: Name
    integration_identifier: Text | None = None
    credentials: Values = Field(default_factory=dict)


class OnlineBody(Said):
    """Whether a subscriber is online; `@novu/node` says `online`."""

    is_online: Annotated[bool, Field(validation_alias=AliasChoices("isOnline", "online"))]


class SubscriberPreferencesBody(Said):
    """Which channels a subscriber wants, of one workflow or of all."""

    channels: dict[str, bool] = Field(default_factory=dict)
    workflow_id: Name | None = None


class PreferencesOfWorkflow(Said):
    """Which channels of one workflow a subscriber wants."""

    channels: dict[str, bool] = Field(default_factory=dict)
    workflow_id: Name


class PreferencesBulkBody(Said):
    """Choices for several workflows."""

    preferences: Annotated[list[PreferencesOfWorkflow], Field(min_length=1, max_length=100)]


class ChannelChoice(Said):
    """One channel, wanted or not."""

    type: str
    enabled: bool


class LegacyPreferenceBody(Said):
    """One channel, or all of them, of one workflow."""

    channel: ChannelChoice | None = None
    enabled: bool | None = None


class LegacyGlobalPreferencesBody(Said):
    """Channels of every workflow."""

    enabled: bool | None = None
    preferences: list[ChannelChoice] = Field(default_factory=list)


class TopicBody(Said):
    """A topic by the caller's own key."""

    key: Annotated[str, Field(min_length=1, max_length=200)]
    name: Annotated[str, Field(max_length=200)] | None = None


class TopicNameBody(Said):
    """A topic's new name."""

    name: Annotated[str, Field(min_length=1, max_length=200)]


class SubscriptionsBody(Said):
    """Whom to put on a topic, or to take off: ids, or objects that hold one."""

    subscriptions: list[Any] | None = Field(
        default=None, validation_alias=AliasChoices("subscriptions", "subscriberIds", "subscriber_ids")
    )

    @field_validator("subscriptions")
    @classmethod
    def _few_enough(cls, given: list[Any] | None) -> list[Any] | None:
        if given is not None and len(given) > MOST_SUBSCRIPTIONS:
            raise ValueError(f"subscriptions must contain no more than {MOST_SUBSCRIPTIONS} elements")
        return given


class LegacySubscribersBody(Said):
    """Whom to put on a topic, or to take off, as the first version says it."""

    subscribers: Annotated[list[SubscriberId], Field(max_length=1000)]


class TenantBody(Said):
    """A tenant by the caller's own identifier."""

    identifier: Name
    name: Text | None = None
    data: Values | None = None


class TenantChangeBody(Said):
    """What changes of a tenant."""

    identifier: Name | None = None
    name: Text | None = None
    data: Values | None = None


class IntegrationBody(Said):
    """Credentials at a provider."""

    provider_id: Name
    channel: Text
    name: Text | None = None
    identifier: Text | None = None
    credentials: Values = Field(default_factory=dict)
    active: bool = True

    @field_validator("credentials", mode="before")
    @classmethod
    def _null_is_empty(cls, value: Any) -> Any:
        return _as_object(value)


class IntegrationChangeBody(Said):
    """What changes of an integration."""

    name: Text | None = None
    identifier: Text | None = None
    credentials: Values | None = None
    active: bool | None = None


class CursorQuery(Said):
    """A page behind or before an id."""

    limit: Annotated[int, Field(ge=1, le=100)] = 10
    after: str | None = None
    before: str | None = None
    order_direction: str = "DESC"


class SubscriberQuery(CursorQuery):
    """Which subscribers to list; texts are looked for anywhere in a field, the id is whole."""

    email: str | None = None
    name: str | None = None
    phone: str | None = None
    subscriber_id: str | None = None


class TopicQuery(CursorQuery):
    """Which topics to list."""

    key: str | None = None
    name: str | None = None


class SubscriptionQuery(CursorQuery):
    """Which subscriptions to list."""

    subscriber_id: str | None = None
    key: str | None = None


class NumberedQuery(Said):
    """A page by its number, from 0."""

    page: Annotated[int, Field(ge=0, le=10_000)] = 0
    limit: Annotated[int, Field(ge=1, le=100)] = 10
    page_size: Annotated[int, Field(ge=1, le=100)] | None = None
    key: str | None = None

    @property
    def size(self) -> int:
        """How many a page holds, by either name."""
        return self.page_size or self.limit
