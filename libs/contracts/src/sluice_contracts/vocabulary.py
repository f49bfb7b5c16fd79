"""The words that cross a wire, each with its rank or its sentence.

Ranks decide between two reports about the same job, never timestamps: a provider's callbacks come repeated and
in any order, and the state that a job ends in must not depend on that.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Channel(StrEnum):
    """A way to reach a person."""

    SMS = "sms"
    EMAIL = "email"
    WHATSAPP = "whatsapp"


class Lane(StrEnum):
    """Which of the two queues a message travels in. Decided once, at ingest."""

    PRIORITY = "priority"
    BULK = "bulk"


class Category(StrEnum):
    """What a message is for: decides the lane and which gates apply."""

    AUTHENTICATION = "authentication"
    TRANSACTIONAL = "transactional"
    UTILITY = "utility"
    MARKETING = "marketing"

    @property
    def is_essential(self) -> bool:
        """Whether the message passes the preference, window and frequency gates and may be resent when uncertain."""
        return self is Category.AUTHENTICATION or self is Category.TRANSACTIONAL


class JobState(StrEnum):
    """Where a job stands before and at the hand-over to a provider."""

    PENDING = "pending"
    HELD = "held"
    QUEUED = "queued"
    SENDING = "sending"
    CANCELLED = "cancelled"
    FILTERED = "filtered"
    FAILED = "failed"
    SENT = "sent"

    @property
    def rank(self) -> int:
        """Position in the order in which a job moves forward; `sent` is highest because a receipt proves it."""
        return JOB_STATE_RANKS[self]

    @property
    def is_final(self) -> bool:
        """Whether nothing more happens to the job unless somebody asks for a retry."""
        return self.rank >= JobState.CANCELLED.rank


JOB_STATE_RANKS: Final[dict[JobState, int]] = {state: rank for rank, state in enumerate(JobState)}


class MessageState(StrEnum):
    """What became of a message after a provider accepted it."""

    ACCEPTED = "accepted"
    SENT = "sent"
    UNKNOWN = "unknown"
    EXPIRED = "expired"
    REJECTED = "rejected"
    UNDELIVERED = "undelivered"
    BOUNCED = "bounced"
    DELIVERED = "delivered"
    READ = "read"

    @property
    def rank(self) -> int:
        """Position in the order in which a message moves forward, from 1; 0 stands for no message yet."""
        return MESSAGE_STATE_RANKS[self]

    @property
    def is_negative(self) -> bool:
        """Whether the provider accepted the message and it then failed to reach the person."""
        return self in _NEGATIVE_STATES

    @property
    def is_positive(self) -> bool:
        """Whether the message reached the person."""
        return self in {MessageState.DELIVERED, MessageState.READ}


_NEGATIVE_STATES: Final = frozenset(
    {MessageState.EXPIRED, MessageState.REJECTED, MessageState.UNDELIVERED, MessageState.BOUNCED}
)
MESSAGE_STATE_RANKS: Final[dict[MessageState, int]] = {state: rank for rank, state in enumerate(MessageState, start=1)}


class Engagement(StrEnum):
    """What a person did with a message. A set, not an order."""

    OPENED = "opened"
    CLICKED = "clicked"
    REPLIED = "replied"
    COMPLAINED = "complained"
    UNSUBSCRIBED = "unsubscribed"

    @property
    def bit(self) -> int:
        """The flag that stands for this engagement in a stored set."""
        return ENGAGEMENT_BITS[self]


ENGAGEMENT_BITS: Final[dict[Engagement, int]] = {item: 1 << place for place, item in enumerate(Engagement)}


class FilterCode(StrEnum):
    """Why a job was deliberately not sent, in the order in which the gates are asked."""

    CANCELLED = "cancelled"
    EXCLUDED = "excluded"
    CONTACT_NOT_FOUND = "contact_not_found"
    CONTACT_INACTIVE = "contact_inactive"
    CONDITION_FALSE = "condition_false"
    NO_ADDRESS_FOR_CHANNEL = "no_address_for_channel"
    INVALID_ADDRESS = "invalid_address"
    SUPPRESSED_HARD_BOUNCE = "suppressed_hard_bounce"
    SUPPRESSED_COMPLAINT = "suppressed_complaint"
    SUPPRESSED_STOP = "suppressed_stop"
    SUPPRESSED_MANUAL = "suppressed_manual"
    UNSUBSCRIBED_CHANNEL = "unsubscribed_channel"
    PREFERENCE_CATEGORY_OFF = "preference_category_off"
    TEMPLATE_MISSING = "template_missing"
    NO_TEMPLATE_FOR_COUNTRY = "no_template_for_country"
    TEMPLATE_NOT_APPROVED = "template_not_approved"
    TEMPLATE_MISSING_VARIABLE = "template_missing_variable"
    OUTSIDE_WINDOW = "outside_window"
    FREQUENCY_CAPPED = "frequency_capped"
    EXPIRED_BEFORE_SEND = "expired_before_send"
    BUDGET_EXCEEDED = "budget_exceeded"
    PROVIDER_NOT_CONFIGURED = "provider_not_configured"
    DRY_RUN = "dry_run"


class HoldCode(StrEnum):
    """Why a job waits."""

    RETRY = "retry"
    RATE = "rate"
    OUTSIDE_WINDOW = "outside_window"
    PAUSED = "paused"
    PROVIDER_UNAVAILABLE = "provider_unavailable"


class FailureCode(StrEnum):
    """Why no provider accepted a job."""

    RECIPIENT_REJECTED = "recipient_rejected"
    MESSAGE_REJECTED = "message_rejected"
    ACCOUNT_REJECTED = "account_rejected"
    RETRIES_EXHAUSTED = "retries_exhausted"
    RENDER_ERROR = "render_error"
    UNCERTAIN = "uncertain"
    INTERNAL = "internal"


class RuleCode(StrEnum):
    """Why an event made no trigger through a rule."""

    FILTER_FALSE = "filter_false"
    FILTER_FAILED = "filter_failed"
    CONTACT_NOT_FOUND = "contact_not_found"
    EXCLUDED = "excluded"
    WORKFLOW_NOT_ACTIVE = "workflow_not_active"
    MAPPING_FAILED = "mapping_failed"
    ONCE_PER_CONTACT = "once_per_contact"
    TOO_SOON = "too_soon"
    CHAIN_TOO_LONG = "chain_too_long"


class WaitOutcome(StrEnum):
    """How a contact's wait for an event ended."""

    RECEIVED = "received"
    TIMED_OUT = "timed_out"


class BuiltInEvent(StrEnum):
    """Events that Sluice notices itself."""

    CONTACT_CREATED = "contact.created"
    TAG_ADDED = "contact.tag_added"
    SEGMENT_ENTERED = "segment.entered"
    MESSAGE_REPLIED = "message.replied"


class SuppressionReason(StrEnum):
    """Why an address may not be messaged on a channel."""

    HARD_BOUNCE = "hard_bounce"
    COMPLAINT = "complaint"
    STOP = "stop"
    MANUAL = "manual"
    UNSUBSCRIBED = "unsubscribed"


class FlowType(StrEnum):
    """The two shapes of a trigger that a caller sees."""

    DIRECT_CHANNEL = "direct_channel"
    WORKFLOW = "workflow"


class WorkflowType(StrEnum):
    """The two shapes of a workflow."""

    STEPS = "steps"
    TEMPLATE_GROUP = "template_group"
