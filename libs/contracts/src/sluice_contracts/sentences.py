"""The sentence behind each code, for the person who asks why a message was not sent."""

from __future__ import annotations

from typing import Final

from sluice_contracts.vocabulary import FailureCode, FilterCode, HoldCode, RuleCode

FILTER_SENTENCES: Final[dict[FilterCode, str]] = {
    FilterCode.CANCELLED: "The trigger was cancelled before this message was sent",
    FilterCode.EXCLUDED: "The contact is on the trigger's exclusion list",
    FilterCode.CONTACT_NOT_FOUND: "No contact with this external id",
    FilterCode.CONTACT_INACTIVE: "The contact is not active",
    FilterCode.CONDITION_FALSE: "The step's condition is not met for this contact",
    FilterCode.NO_ADDRESS_FOR_CHANNEL: "The contact has no address for this channel",
    FilterCode.INVALID_ADDRESS: "The address is not valid for this channel",
    FilterCode.SUPPRESSED_HARD_BOUNCE: "The address is suppressed: a message to it bounced for good",
    FilterCode.SUPPRESSED_COMPLAINT: "The address is suppressed: its owner complained",
    FilterCode.SUPPRESSED_STOP: "The address is suppressed: its owner replied STOP",
    FilterCode.SUPPRESSED_MANUAL: "The address is suppressed by hand",
    FilterCode.UNSUBSCRIBED_CHANNEL: "The contact has unsubscribed from this channel",
    FilterCode.PREFERENCE_CATEGORY_OFF: "The contact does not want this category on this channel",
    FilterCode.TEMPLATE_MISSING: "The template does not exist",
    FilterCode.NO_TEMPLATE_FOR_COUNTRY: "No approved template for the contact's country",
    FilterCode.TEMPLATE_NOT_APPROVED: "The template is not approved",
    FilterCode.TEMPLATE_MISSING_VARIABLE: "The template needs a variable that was not given",
    FilterCode.OUTSIDE_WINDOW: "The time is outside the send window",
    FilterCode.FREQUENCY_CAPPED: "The contact has had as many messages as the frequency cap allows",
    FilterCode.EXPIRED_BEFORE_SEND: "The message expired before it could be sent",
    FilterCode.BUDGET_EXCEEDED: "The budget is used up",
    FilterCode.PROVIDER_NOT_CONFIGURED: "No provider account is set up for this channel",
    FilterCode.DRY_RUN: "Dry run: this message would have been sent",
}

HOLD_SENTENCES: Final[dict[HoldCode, str]] = {
    HoldCode.RETRY: "The provider asked for another try later",
    HoldCode.RATE: "Waiting for the provider account's rate limit",
    HoldCode.OUTSIDE_WINDOW: "Waiting for the send window to open",
    HoldCode.PAUSED: "The trigger is paused",
    HoldCode.PROVIDER_UNAVAILABLE: "Waiting for the provider account to be usable again",
}

FAILURE_SENTENCES: Final[dict[FailureCode, str]] = {
    FailureCode.RECIPIENT_REJECTED: "The provider refused the recipient",
    FailureCode.MESSAGE_REJECTED: "The provider refused the message",
    FailureCode.ACCOUNT_REJECTED: "The provider refused the account",
    FailureCode.RETRIES_EXHAUSTED: "The provider could not take the message in any attempt",
    FailureCode.RENDER_ERROR: "The template could not be rendered",
    FailureCode.UNCERTAIN: "It is not known whether the provider got the message, so it was not sent again",
    FailureCode.INTERNAL: "An error inside the worker",
}

RULE_SENTENCES: Final[dict[RuleCode, str]] = {
    RuleCode.FILTER_FALSE: "The rule's filter does not match",
    RuleCode.FILTER_FAILED: "The rule's filter could not be decided",
    RuleCode.CONTACT_NOT_FOUND: "The event is about nobody who is a contact",
    RuleCode.EXCLUDED: "The rule excludes this contact",
    RuleCode.WORKFLOW_NOT_ACTIVE: "The rule's workflow is not active",
    RuleCode.MAPPING_FAILED: "A variable could not be made from the event's data",
    RuleCode.ONCE_PER_CONTACT: "The rule has started its workflow for this contact before",
    RuleCode.TOO_SOON: "The rule has started its workflow for this contact too short a time ago",
    RuleCode.CHAIN_TOO_LONG: "Too many events have followed from one another",
}
