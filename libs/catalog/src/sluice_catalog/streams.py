"""Streams as the accepting path reads them: frozen values, looked up in memory."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Literal
from uuid import UUID

from sluice_contracts.vocabulary import Category, Channel
from sluice_runtime.http.guard.rates import Rate


class StreamType(StrEnum):
    """What a stream is for."""

    MARKETING = "marketing"
    TRANSACTIONAL = "transactional"
    OTP = "otp"
    TWO_WAY = "two_way"
    WHATSAPP = "whatsapp"

    @property
    def category(self) -> Category:
        """The category of what goes through such a stream, where the stream itself does not say another."""
        return _CATEGORIES[self]

    @property
    def settles_category(self) -> bool:
        """Whether the type alone decides the category."""
        return self in {StreamType.MARKETING, StreamType.TRANSACTIONAL, StreamType.OTP}

    @property
    def channel(self) -> Channel:
        """The channel of a message whose text comes with the request."""
        return Channel.WHATSAPP if self is StreamType.WHATSAPP else Channel.SMS


_CATEGORIES = {
    StreamType.MARKETING: Category.MARKETING,
    StreamType.TRANSACTIONAL: Category.TRANSACTIONAL,
    StreamType.OTP: Category.AUTHENTICATION,
    StreamType.TWO_WAY: Category.UTILITY,
    StreamType.WHATSAPP: Category.UTILITY,
}

StreamStatus = Literal["draft", "ready", "disabled"]
"""What its owner has made of a stream; a ready one of which something is on its way is shown as `sending`."""

OTP_SECONDS = 300
"""After how long a one-time password that was not sent is worth nothing, where the stream does not say."""


@dataclass(frozen=True, slots=True)
class Stream:
    """A named way in. `rate` and `per_day` bound its events, `expires_after` the time in which one may be sent."""

    id: UUID
    workspace_id: UUID
    key: str
    name: str
    type: StreamType
    status: StreamStatus
    category: Category
    workflow_id: UUID | None = None
    template_key: str | None = None
    provider_account_id: UUID | None = None
    sender: str | None = None
    sandbox: bool = False
    allowed_ips: tuple[str, ...] = ()
    rate: Rate | None = None
    per_day: int | None = None
    expires_after: timedelta | None = None

    def admits(self, address: str) -> bool:
        """Whether a call may come from this address."""
        return not self.allowed_ips or is_among(address, self.allowed_ips)


@dataclass(frozen=True, slots=True)
class StreamToken:
    """A stream's own credential as it is checked. `expires_at` is None until another token takes its place."""

    id: UUID
    stream_id: UUID
    workspace_id: UUID
    secret_sha256: bytes
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """What a stream says when an event key is named: a text of its own, or a template."""

    stream_id: UUID
    key: str
    text: str | None = None
    template_key: str | None = None


def bucket(per_second: float | None, burst: int | None) -> Rate | None:
    """Return the bucket for a rate; without a burst it holds the events of one second. None: no limit of its own."""
    if per_second is None:
        return None
    return Rate(per_second, burst or max(1, math.ceil(per_second)))


def is_among(address: str, allowed: Iterable[str]) -> bool:
    """Whether an IP address lies in one of the networks. An IPv4 address written as IPv6 is the IPv4 address."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return any(parsed in network for network in _networks(tuple(allowed)))


@lru_cache(maxsize=1024)
def _networks(allowed: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(text) for text in allowed)
