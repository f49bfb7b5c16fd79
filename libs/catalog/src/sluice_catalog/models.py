"""What users define, as services read it: frozen values without behaviour beyond choosing among themselves."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

from sluice_contracts.messages.content import SendWindow
from sluice_contracts.vocabulary import Category, Channel, SuppressionReason, WorkflowType

ApprovalStatus = Literal["draft", "submitted", "approved", "rejected", "paused"]


@dataclass(frozen=True, slots=True)
class FrequencyCap:
    """At most `limit` messages to a contact in any `hours`, over all channels or on one."""

    limit: int
    hours: int
    channel: Channel | None = None


@dataclass(frozen=True, slots=True)
class Budget:
    """At most `amount_micros` (millionths of a US dollar) of estimated cost in a calendar month or day, UTC."""

    amount_micros: int
    period: Literal["day", "month"]


@dataclass(frozen=True, slots=True)
class WorkspaceSettings:
    """What holds for every message of a workspace. `name` is the workspace's own, empty where it is not known."""

    workspace_id: UUID
    name: str = ""
    timezone: str = "UTC"
    default_country: str | None = None
    send_window: SendWindow | None = None
    frequency_caps: tuple[FrequencyCap, ...] = ()
    budget: Budget | None = None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A credential as it is checked: the SHA-256 of the secret, never the secret.

    `allowed_ips` are addresses or networks ("203.0.113.0/24") that it may be used from; none means any.
    """

    key_id: UUID
    workspace_id: UUID
    secret_sha256: bytes
    scopes: frozenset[str]
    name: str = ""
    allowed_ips: tuple[str, ...] = ()


class Contact(NamedTuple):
    """A person who can be messaged. Addresses are normalised; `opt_outs` maps a channel to categories, "*" for all.

    A tuple with names, the cheapest thing that cannot be changed: a campaign reads hundreds of thousands.
    """

    id: UUID
    workspace_id: UUID
    external_id: str
    status: Literal["active", "inactive"]
    email: str | None
    phone_number: str | None
    country: str | None
    locale: str | None
    timezone: str | None
    name: str | None
    first_name: str | None
    last_name: str | None
    tags: tuple[str, ...]
    attributes: dict[str, Any]
    opt_outs: dict[str, list[str]]

    def address(self, channel: Channel) -> str | None:
        """Return where this contact is reached on `channel`, or None."""
        return self.email if channel is Channel.EMAIL else self.phone_number

    def values(self) -> dict[str, Any]:
        """Return what templates and conditions may see of this contact, as JSON values."""
        return {
            "external_id": self.external_id,
            "status": self.status,
            "email": self.email,
            "phone_number": self.phone_number,
            "country": self.country,
            "locale": self.locale,
            "timezone": self.timezone,
            "name": self.name,
            "first_name": self.first_name,
            "last_name": self.last_name,
            "tags": list(self.tags),
            "attributes": self.attributes,
            "opt_outs": self.opt_outs,
        }


@dataclass(frozen=True, slots=True)
class Suppression:
    """An address that may not be messaged on a channel, and why. `detail` is for people: a bounce's text, a note."""

    workspace_id: UUID
    channel: Channel
    address: str
    reason: SuppressionReason
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class TemplateVariant:
    """Content for one country and locale (None: any).

    `content` has the keys of the channel: SMS `text`; email `subject`, `html`, `text`; WhatsApp `template_name`,
    `language`, `body`, `components`.
    """

    country: str | None
    locale: str | None
    approval: ApprovalStatus
    content: dict[str, Any]


@dataclass(frozen=True, slots=True)
class TemplateVersion:
    """An immutable version of a template. `references` are the root paths of the variables that its variants use."""

    template_id: UUID
    workspace_id: UUID
    version: int
    key: str
    name: str
    channel: Channel
    category: Category
    variants: tuple[TemplateVariant, ...]
    references: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class TemplateReference:
    """The newest version of a template, by its key."""

    template_id: UUID
    version: int
    key: str
    channel: Channel
    category: Category


@dataclass(frozen=True, slots=True)
class WorkflowStep:
    """One step: a channel, what to say on it, how long after the trigger's start, and for whom."""

    step_id: str
    step_name: str
    channel: Channel
    template_key: str
    delay_minutes: int = 0
    condition: str | None = None
    send_window: SendWindow | None = None


@dataclass(frozen=True, slots=True)
class WaitStep:
    """A step in which each contact waits for an event, at most `timeout_minutes`.

    `delay_minutes` counts as a message's does. The event is the contact's own, or the one whose `path` (None: whose
    correlation key) is the value of the trigger's `variable`. After a wait, delays count from its end.
    """

    step_id: str
    step_name: str
    event: str
    timeout_minutes: int
    delay_minutes: int = 0
    variable: str | None = None
    path: str | None = None

    @property
    def correlation(self) -> str:
        """How an event finds those who wait: by "contact", by "key", or by a JSONPath in its data."""
        return "contact" if self.variable is None else self.path or "key"


@dataclass(frozen=True, slots=True)
class WorkflowVersion:
    """An immutable version of a workflow: ordered steps, or a template group on several channels at once."""

    workflow_id: UUID
    workspace_id: UUID
    version: int
    name: str
    type: WorkflowType
    category: Category
    steps: tuple[WorkflowStep | WaitStep, ...] = ()
    template_group_id: UUID | None = None
    templates: tuple[tuple[Channel, str], ...] = ()
    send_window: SendWindow | None = None


@dataclass(frozen=True, slots=True)
class WorkflowReference:
    """A workflow as ingest checks it: the version that is active now, or why there is none."""

    workflow_id: UUID
    name: str
    status: Literal["draft", "active", "inactive"]
    version: int | None
    category: Category


@dataclass(frozen=True, slots=True)
class VariableMapping:
    """How one variable of a trigger is taken from an event's data.

    `path` is a JSONPath (RFC 9535) from the data's root. What is found is read as `type`; where nothing is found, or
    null, the variable is `default`, and without a default it is left out unless it is `required`.
    """

    variable: str
    path: str
    type: Literal["string", "number", "boolean", "date", "json"] = "json"
    default: Any = None
    required: bool = False


@dataclass(frozen=True, slots=True)
class TriggerRule:
    """Event name + filter + data mapping → workflow. `filter` is CEL over `event` and `contact`.

    A contact starts the workflow through this rule once in all where `once_per_contact`, and not again before
    `reentry_gap_minutes` have passed. `excluded_contacts` are external ids for whom it never does. `workflow` is None
    where there is no such workflow any more.
    """

    rule_id: UUID
    workspace_id: UUID
    key: str
    name: str
    status: Literal["draft", "active", "inactive"]
    event: str
    workflow: WorkflowReference | None
    filter: str | None = None
    mapping: tuple[VariableMapping, ...] = ()
    once_per_contact: bool = False
    reentry_gap_minutes: int | None = None
    excluded_contacts: frozenset[str] = frozenset()
    category: Category | None = None
    campaign_name: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tenant:
    """A customer of the workspace on whose behalf it sends. `data` are values for templates."""

    key: str
    name: str | None
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class NovuWorkflow:
    """What decides about a trigger of a workflow that was defined in Novu's words.

    `workflow_id` is the workflow of ours that it became, None while none of its `steps` can be sent. `payload_schema`
    is None where payloads are not validated. `whole_payload` says that its templates ask for the payload as a whole.
    """

    id: UUID
    identifier: str
    workflow_id: UUID | None
    active: bool
    steps: int
    whole_payload: bool
    payload_schema: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class ProviderAccount:
    """Credentials and limits at one provider. `config` is public, `secrets` decrypted: never log them."""

    id: UUID
    workspace_id: UUID
    channel: Channel
    provider: str
    name: str
    config: dict[str, Any]
    secrets: dict[str, str] = field(repr=False)
    rate_per_second: float | None = None
    is_default: bool = False
    updated_at: datetime | None = None
