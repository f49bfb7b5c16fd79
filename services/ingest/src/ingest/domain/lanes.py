"""Which queue a trigger travels in, decided once: an OTP must never wait behind a marketing blast."""

from __future__ import annotations

from typing import Protocol

from sluice_contracts.vocabulary import Category, Lane


class Recipients(Protocol):
    """Recipients as far as it matters here: of which `kind` they are, in the words of the contract."""

    @property
    def kind(self) -> str: ...


def is_audience(recipients: Recipients) -> bool:
    """Whether the recipients have to be looked up (a tag, a segment, a list, everyone) instead of being named."""
    return recipients.kind not in {"contacts", "addresses"}


def effective_category(asked: Category | None, defined: Category | None, recipients: Recipients) -> Category:
    """Return what a trigger is for: as asked, or else as its template or workflow says.

    Inline content without a category is transactional for recipients who are named, and marketing for an audience.
    """
    if asked is not None:
        return asked
    if defined is not None:
        return defined
    return Category.MARKETING if is_audience(recipients) else Category.TRANSACTIONAL


def lane_for(category: Category, recipients: Recipients) -> Lane:
    """Return the lane: priority for authentication and transactional, bulk for the rest and for any audience."""
    return Lane.PRIORITY if category.is_essential and not is_audience(recipients) else Lane.BULK
