"""One whole stack for all tests that span services, started the way `make up` starts it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest
import requests

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

SENDS: Final = 20
"""So many reach every partition."""


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running stack: every service, PostgreSQL, Kafka and Caddy. Its logs stay in pytest's temporary folder."""
    with Stack(tmp_path_factory.mktemp("stack"), environment=IMPATIENT | LOCAL_PROVIDERS) as running:
        for _ in range(SENDS):
            running.wait(lambda: takes_a_send(running), "what is sent is stored")
        yield running


def takes_a_send(stack: Stack) -> bool:
    """Whether a send is accepted: a new broker on a slow machine may need longer for the first than a caller waits."""
    body = {"recipient_type": "direct_sms", "direct_sms": "+14155550199", "text": "Hello"}
    answer = requests.post(
        f"{stack.base_url}/api/v1/sms/send", json=body, headers={"X-API-Key": stack.api_key}, timeout=20
    )
    return answer.status_code == requests.codes.ok
