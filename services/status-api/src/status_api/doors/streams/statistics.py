"""A stream in numbers: what came in, what was refused and why, and what became of its messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from sluice_catalog.stream_counts import DayCount, RefusalCount


@dataclass(frozen=True, slots=True)
class MessageCounts:
    """What a stream's events came to. `total = sent + failed + filtered + cancelled + open`."""

    triggers: int = 0
    total: int = 0
    sent: int = 0
    failed: int = 0
    filtered: int = 0
    cancelled: int = 0
    delivered: int = 0
    read: int = 0
    undelivered: int = 0
    awaiting_receipt: int = 0
    clicked: int = 0
    replied: int = 0
    segments: int = 0
    cost_micros: int = 0

    @property
    def open(self) -> int:
        """Messages that have not ended."""
        return self.total - self.sent - self.failed - self.filtered - self.cancelled


class DayView(BaseModel):
    """What was accepted on one day, UTC."""

    day: date
    accepted: int


class RefusalView(BaseModel):
    """What was refused for one reason to one address; without one, to addresses too many to tell apart."""

    reason: str
    address: str | None
    refused: int
    last_at: datetime


class EventsView(BaseModel):
    """What came in and what was refused, as of about a second ago."""

    accepted: int
    refused: int
    by_day: list[DayView]
    refusals: list[RefusalView]


class MessagesView(BaseModel):
    """What the accepted events came to; tests are not counted.

    `total = sent + failed + filtered + cancelled + open`, and `sent = delivered + undelivered + awaiting_receipt`.
    """

    total: int
    sent: int
    failed: int
    filtered: int
    cancelled: int
    open: int
    delivered: int
    read: int
    undelivered: int
    awaiting_receipt: int
    clicked: int
    replied: int
    segments: int
    estimated_cost: float
    currency: str


class StatisticsView(BaseModel):
    """A stream in numbers, from the day `from` to the day `to`, both included."""

    model_config = ConfigDict(populate_by_name=True)

    stream_id: UUID
    first: date = Field(alias="from")
    last: date = Field(alias="to")
    last_activity: datetime | None
    events: EventsView
    messages: MessagesView


def present(
    stream_id: UUID,
    days: tuple[date, date],
    accepted: Sequence[DayCount],
    refusals: Sequence[RefusalCount],
    messages: MessageCounts,
    last_activity: datetime | None,
) -> dict[str, Any]:
    """Return the body of the answer, as `StatisticsView` has it."""
    return {
        "stream_id": stream_id,
        "from": days[0].isoformat(),
        "to": days[1].isoformat(),
        "last_activity": last_activity,
        "events": {
            "accepted": sum(day.accepted for day in accepted),
            "refused": sum(refusal.refused for refusal in refusals),
            "by_day": [{"day": day.day.isoformat(), "accepted": day.accepted} for day in accepted],
            "refusals": [
                {
                    "reason": refusal.reason,
                    "address": refusal.address or None,
                    "refused": refusal.refused,
                    "last_at": refusal.last_at,
                }
                for refusal in refusals
            ],
        },
        "messages": {
            "total": messages.total,
            "sent": messages.sent,
            "failed": messages.failed,
            "filtered": messages.filtered,
            "cancelled": messages.cancelled,
            "open": messages.open,
            "delivered": messages.delivered,
            "read": messages.read,
            "undelivered": messages.undelivered,
            "awaiting_receipt": messages.awaiting_receipt,
            "clicked": messages.clicked,
            "replied": messages.replied,
            "segments": messages.segments,
            "estimated_cost": messages.cost_micros / 1_000_000,
            "currency": "USD",
        },
    }
