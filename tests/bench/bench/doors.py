"""What the figures about ingest share: a template, the requests, and a sample of what one leaves in Kafka."""

from __future__ import annotations

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.rig import Rig
from sluice_contracts import topics
from sluice_contracts.vocabulary import Lane

TEMPLATE = "bench_code"
SEND = "/api/v1/messages/sms/send"
BULK = "/api/v1/messages/bulk"


def body() -> dict[str, object]:
    """Return one send: a code for one contact, by template, with a variable."""
    return {
        "recipient_type": "contact",
        "contact_external_id": "user_123",
        "template_key": TEMPLATE,
        "variables": {"code": "123456"},
    }


async def make_template(rig: Rig) -> None:
    """Make the template that `body` names."""
    variant = {"country": None, "locale": None, "text": "Your code is {{ code }}"}
    template = {"key": TEMPLATE, "name": "Code", "channel": "sms", "category": "authentication", "variants": [variant]}
    async with rig.api("ingest") as api:
        await api.post("/api/v1/templates", template)


async def sample_record(rig: Rig) -> bytes:
    """Send one message and return the record that it became: the peers append the same bytes."""
    async with rig.api("ingest") as api:
        await api.post(SEND, orjson.loads(orjson.dumps(body())))
    topic = topics.triggers(Lane.PRIORITY)
    consumer = AIOKafkaConsumer(bootstrap_servers=rig.stack.connections.kafka, group_id=None, enable_auto_commit=False)
    await consumer.start()
    try:
        # Not by subscription: in a stack of its own this is the only record, in a partition that nobody knows.
        names = next(each for each in topics.catalogue() if each.name == topic)
        partitions = [TopicPartition(topic, number) for number in range(names.partitions)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        records = await consumer.getmany(timeout_ms=10_000)
        (record, *_) = [record for found in records.values() for record in found]
        return bytes(record.value)
    finally:
        await consumer.stop()
