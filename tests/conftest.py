"""One whole stack for all tests that span services, started the way `make up` starts it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sluice_local.stack import Stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running stack: every service, PostgreSQL, Kafka and Caddy. Its logs stay in pytest's temporary folder."""
    with Stack(tmp_path_factory.mktemp("stack")) as running:
        yield running
