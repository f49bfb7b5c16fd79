"""What a channel worker can be told."""

from __future__ import annotations

from pydantic import Field

from sluice_runtime.settings import ServiceSettings


class ChannelSettings(ServiceSettings):
    """Settings of all three workers, beside those of every service.

    `lease_seconds` is how long a claimed wave is left alone before it counts as cut off; it is renewed while the
    provider works. The concurrencies are commands carried out at once in each lane. Of those that may not be sent twice
    `commands_in_doubt` at a time are between claim and record for one account: more is faster with a slow provider, and
    as many waves are in doubt when the worker is killed. `retention_days` is how long the ledger can still match
    receipts. `allow_private_providers` lets an HTTP provider's `base_url` lead to a private or
    loopback address.
    """

    lease_seconds: float = Field(default=30.0, ge=1)
    priority_concurrency: int = Field(default=32, ge=1)
    bulk_concurrency: int = Field(default=8, ge=1)
    commands_in_doubt: int = Field(default=1, ge=1)
    database_connections: int = Field(default=12, ge=2)
    sandbox_delay_seconds: float = Field(default=0.2, ge=0)
    retention_days: int = Field(default=14, ge=1)
    allow_private_providers: bool = False
