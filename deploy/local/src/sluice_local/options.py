"""What a stack is asked to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Literal

SERVICES: Final = ("ingest", "orchestrator", "channel-sms", "channel-email", "channel-whatsapp", "status-api")
"""The services, by folder name, in the order in which they are started."""

_EVERY_ADDRESS: Final = ("0.0.0.0", "::")  # noqa: S104 (told apart, not bound)

LogLevel = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class StackOptions:
    """How a stack is run.

    `port` 0 takes a free one and keeps it over restarts. `copies` says how many processes of a service there are, 1
    where it says nothing. `kafka` (host:port,…) and `postgres` (a DSN) name servers of the user's own, in place of
    those that are started here. `environment` is added to that of every service.
    """

    data: Path
    port: int = 8080
    host: str = "127.0.0.1"
    public_url: str = ""
    copies: Mapping[str, int] = field(default_factory=dict)
    brokers: Literal[1, 3] = 1
    kafka: str = ""
    postgres: str = ""
    log_level: LogLevel = "warning"
    environment: Mapping[str, str] = field(default_factory=dict)

    def copies_of(self, service: str) -> int:
        """Return how many processes of `service` run."""
        return self.copies.get(service, 1)

    @property
    def reachable_host(self) -> str:
        """The host part of a URL that reaches the stack from this machine."""
        if self.host in _EVERY_ADDRESS:
            return "127.0.0.1"
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def is_open_to_others(self) -> bool:
        """Whether other machines can reach the stack."""
        return not is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches `host`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def parse_copies(text: str) -> dict[str, int]:
    """Read `channel-sms=2 status-api=2` (commas will do). Raises ValueError naming what is wrong."""
    copies = {}
    for word in text.replace(",", " ").split():
        service, separator, number = word.partition("=")
        if service not in SERVICES:
            raise ValueError(f"there is no service {service!r}; there are {', '.join(SERVICES)}")
        if not separator or not number.isdecimal() or not 1 <= int(number) <= 16:
            raise ValueError(f"{word!r} is not of the form {service}=2, from 1 to 16")
        copies[service] = int(number)
    return copies
