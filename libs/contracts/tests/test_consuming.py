from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from sluice_contracts import topics
from sluice_contracts.messages.delivery import JobsReported
from sluice_contracts.publish.examples import EXAMPLES

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "consume_deliveries.py"


@pytest.mark.integration
async def test_the_consumer_in_the_documentation_says_what_became_of_each_message(kafka_bootstrap: str) -> None:
    await _append_reports(kafka_bootstrap)
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(EXAMPLE), kafka_bootstrap, stdout=asyncio.subprocess.PIPE, env=os.environ
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            line = ""
            while "604 clicked" not in line:
                line = (await process.stdout.readline()).decode()
                assert line, "the consumer ended"
    finally:
        process.kill()
        await process.wait()


async def _append_reports(bootstrap: str) -> None:
    administration = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await administration.start()
    try:
        if topics.DELIVERIES not in await administration.list_topics():
            await administration.create_topics([NewTopic(topics.DELIVERIES, 1, 1)])
    finally:
        await administration.close()
    header = ("ce_type", JobsReported.TYPE.encode())
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        await producer.send_and_wait(topics.DELIVERIES, b"{}", headers=[("ce_type", b"jobs.unheard_of.v9")])
        for path in sorted((EXAMPLES / JobsReported.TYPE).glob("*.json")):
            await producer.send_and_wait(topics.DELIVERIES, path.read_bytes(), headers=[header])
