"""The floor under a broadcast: the durable work that its design asks for, with nothing in between.

For each page of 200 contacts: read the page from the catalog by keyset; append one command and read it back; claim a
ledger row for each wave of 50, keep the 50 hand-overs, as the sandbox does, and record the row, one transaction each;
append one report and read it back; upsert 200 rows and one counter. Payloads have the sizes of the real ones. There is
no gate, no rendering, no model, no lease, no receipt, no supervision, and one process that does it all: what a stack
of services reaches of this is what is left after everything that makes it one.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.rig import Rig
from sluice_messaging.kafka.producer import ProducerSupply

PAGE = 200
WAVE = 50
COMMANDS, REPORTS = "bench.commands", "bench.reports"
AT_ONCE = 8
_COMMAND_BYTES, _REPORT_BYTES, _LEDGER_BYTES, _MESSAGE_BYTES = 24_000, 22_000, 2_500, 60

_TABLES = """
CREATE SCHEMA bench;
CREATE TABLE bench.waves (command uuid, wave smallint, owner uuid, lease timestamptz, reports bytea,
                          PRIMARY KEY (command, wave)) WITH (fillfactor = 50);
CREATE TABLE bench.messages (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, job text, address text, text text);
CREATE TABLE bench.jobs (execution uuid, seq integer, state smallint, at bigint, address text, external_id text,
                         timeline jsonb, PRIMARY KEY (execution, seq)) WITH (fillfactor = 50);
CREATE TABLE bench.counters (execution uuid PRIMARY KEY, sent bigint) WITH (fillfactor = 50);
"""
_CLAIM = "INSERT INTO bench.waves VALUES ($1, $2, $3, now() + interval '30 s', $4)"
_KEEP = "INSERT INTO bench.messages (job, address, text) SELECT * FROM unnest($1::text[], $2::text[], $3::text[])"
_RECORD = "UPDATE bench.waves SET reports = $4 WHERE command = $1 AND wave = $2 AND owner = $3"
_FOLD = """
WITH moved AS (
    INSERT INTO bench.jobs AS j
    SELECT $1, seq, 7, $3, address, external_id, '{"7": [1700000000000]}'::jsonb
    FROM unnest($2::integer[], $4::text[], $5::text[]) AS u (seq, address, external_id) ORDER BY seq
    ON CONFLICT (execution, seq) DO UPDATE SET state = excluded.state WHERE j.state < excluded.state
    RETURNING 1)
INSERT INTO bench.counters AS c SELECT $1, count(*) FROM moved
ON CONFLICT (execution) DO UPDATE SET sent = c.sent + excluded.sent
"""
_READ = """
SELECT c.id, c.external_id, c.phone_number, c.first_name
FROM catalog.contact_tags t JOIN catalog.contacts c ON (c.workspace_id, c.id) = (t.workspace_id, t.contact_id)
WHERE t.workspace_id = $1 AND t.tag = $2 AND t.contact_id > $3 ORDER BY t.contact_id LIMIT 500
"""


async def floor_rate(rig: Rig, tag: str, size: int) -> float:
    """Return the contacts a second, over the audience `tag` of `size`."""
    async with rig.database() as database:
        await database.execute(_TABLES)
        workspace = await database.fetchval("SELECT id FROM catalog.workspaces WHERE name = 'default'")
    await rig.make_topic(COMMANDS, 1)
    await rig.make_topic(REPORTS, 1)
    supply = ProducerSupply(rig.stack.connections.kafka, "floor")
    producer = await supply.producer()
    async with asyncpg.create_pool(rig.stack.connections.postgres, min_size=AT_ONCE + 4, max_size=AT_ONCE + 4) as pool:
        run = _Floor(producer, pool, rig.stack.connections.kafka)
        began = time.perf_counter()
        await asyncio.gather(run.plan(workspace, tag, size), run.work(), run.fold())
        rate = size / (time.perf_counter() - began)
    await supply.close()
    return rate


class _Floor:
    def __init__(self, producer: Any, pool: asyncpg.Pool[Any], kafka: str) -> None:
        self._producer = producer
        self._pool = pool
        self._kafka = kafka
        self._execution = uuid4()
        self._pages: dict[int, Sequence[Any]] = {}
        self._planned: int | None = None
        self._done = asyncio.Event()

    async def plan(self, workspace: UUID, tag: str, size: int) -> None:
        after, page, waiting = UUID(int=0), 0, []
        while rows := await self._pool.fetch(_READ, workspace, tag, after):
            after = rows[-1]["id"]
            waiting += rows
            while len(waiting) >= PAGE or (waiting and len(rows) < 500):
                self._pages[page], waiting = waiting[:PAGE], waiting[PAGE:]
                await self._append(COMMANDS, page, _COMMAND_BYTES)
                page += 1
        while waiting:
            self._pages[page], waiting = waiting[:PAGE], waiting[PAGE:]
            await self._append(COMMANDS, page, _COMMAND_BYTES)
            page += 1
        self._planned = page

    async def work(self) -> None:
        places = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as group:
            async for page in self._read(COMMANDS):
                await places.acquire()
                group.create_task(self._send(page)).add_done_callback(lambda _: places.release())

    async def fold(self) -> None:
        at = int(time.time() * 1000)
        async for page in self._read(REPORTS):
            rows = self._pages[page]
            first = page * PAGE
            await self._pool.execute(
                _FOLD, self._execution, list(range(first, first + len(rows))), at,
                [row["phone_number"] for row in rows], [row["external_id"] for row in rows],
            )  # fmt: skip

    async def _send(self, page: int) -> None:
        command, owner, rows = uuid4(), uuid4(), self._pages[page]
        async with self._pool.acquire() as connection:
            for wave in range(0, len(rows), WAVE):
                messages = rows[wave : wave + WAVE]
                await connection.execute(_CLAIM, command, wave, owner, os.urandom(_LEDGER_BYTES))
                await connection.execute(
                    _KEEP, [f"{self._execution.hex}-{page * PAGE + wave + place}" for place in range(len(messages))],
                    [row["phone_number"] for row in messages], ["x" * _MESSAGE_BYTES] * len(messages),
                )  # fmt: skip
                await connection.execute(_RECORD, command, wave, owner, os.urandom(_LEDGER_BYTES))
        await self._append(REPORTS, page, _REPORT_BYTES)

    async def _append(self, topic: str, page: int, size: int) -> None:
        value = b"%d " % page + b"x" * size
        await (await self._producer.send(topic, value=value, key=b"%d" % page, headers=[], partition=0))

    async def _read(self, topic: str) -> Any:
        consumer = AIOKafkaConsumer(bootstrap_servers=self._kafka, group_id=None, enable_auto_commit=False)
        await consumer.start()
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        consumer.seek(partition, 0)
        seen = 0
        try:
            while self._planned is None or seen < self._planned:
                for records in (await consumer.getmany(timeout_ms=100, max_records=20)).values():
                    for record in records:
                        seen += 1
                        yield int(record.value[: record.value.index(b" ")])
        finally:
            await consumer.stop()
