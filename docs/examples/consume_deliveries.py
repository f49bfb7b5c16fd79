"""Follow what becomes of every message: `python consume_deliveries.py localhost:9092`. Needs nothing but aiokafka."""
# ruff: noqa: T201

import asyncio
import json
import sys

from aiokafka import AIOKafkaConsumer


async def follow(bootstrap: str) -> None:
    consumer = AIOKafkaConsumer(
        "deliveries",
        bootstrap_servers=bootstrap,
        group_id="my-dashboard",  # a group of your own: Sluice's consumers do not notice you
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    async with consumer:
        async for record in consumer:
            if dict(record.headers).get("ce_type") == b"jobs.reported.v1":  # pass over types you do not know
                report = json.loads(record.value)
                jobs, execution = report["jobs"], report["execution_id"].replace("-", "")
                for place, seq in enumerate(jobs["seq"]):
                    words = [jobs[column][place] for column in ("state", "message", "engagement", "code")]
                    print(f"{execution}-{seq}", *filter(None, words), flush=True)
            await consumer.commit()  # only after the record has had its effect


if __name__ == "__main__":
    asyncio.run(follow(sys.argv[1]))
