"""One whole stack for all tests that span services, started the way `make up` starts it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from first_sends import take_first_sends
from sluice_local.stack import Stack

IMPATIENT = {
    "SLUICE_LEASE_SECONDS": "5",
    "SLUICE_STAGE_LEASE_SECONDS": "5",
    "SLUICE_COMMAND_DEADLINE_SECONDS": "10",
    "SLUICE_SESSION_SECONDS": "6",
}
"""What was cut off by a kill is taken up again within seconds instead of a minute."""

LOCAL_PROVIDERS = {"SLUICE_ALLOW_PRIVATE_PROVIDERS": "true"}
"""Providers may be servers that a test starts beside the stack."""


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running stack: every service, PostgreSQL, Kafka and Caddy. Its logs stay in pytest's temporary folder."""
    with Stack(tmp_path_factory.mktemp("stack"), environment=IMPATIENT | LOCAL_PROVIDERS) as running:
        take_first_sends(running)
        yield running
