"""Every test here runs once on each broker."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from sluice_messaging.testing import KafkaStage, MemoryStage, Stage


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.integration)])
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """A stage on each broker in turn."""
    if request.param == "memory":
        made: Stage = MemoryStage()
    else:
        made = KafkaStage(request.getfixturevalue("kafka_bootstrap"))
    async with made:
        yield made
