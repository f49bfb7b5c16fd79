"""The settings of a service that guards its operations."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated, Final

from aiohttp import web
from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from sluice_runtime.settings import ServiceSettings

TRUSTED_PROXIES: Final = web.AppKey("trusted_proxies", tuple[str, ...])
"""The networks whose word an application takes for where a request came from; none are all private ones."""


class GuardSettings(ServiceSettings):
    """What such a service can be told beside what every service is told.

    `rate_limit_per_second` and `rate_limit_burst` count calls of a workspace, and of a stream that has no rate of its
    own, in one copy of the service; a bulk call costs what it holds. Of the answers to requests with an idempotency key
    `remembered_answers` are kept in memory, in `remembered_answer_bytes` at most. `trusted_proxies` are the addresses
    and networks, with commas between them, of the gateways that say in `X-Forwarded-For` where a request came from;
    without any these are this machine and the private networks.
    """

    rate_limit_per_second: float = Field(default=5000, gt=0)
    rate_limit_burst: int = Field(default=20_000, ge=1000)
    remembered_answers: int = Field(default=100_000, ge=1)
    remembered_answer_bytes: int = Field(default=64 * 1024 * 1024, ge=1024 * 1024)
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = ()

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _are_networks(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(str(ip_network(text.strip())) for text in value.split(",") if text.strip())
