"""fold: delivery events into rows and counters, from a backlog of `deliveries` to the last counter.

Half of the events say that a message was sent, half that it was delivered; they are appended while status-api is
halted. The limit is a bare upsert of the same rows in the same portions by as many connections: one table with the
same columns, without counters, reasons, deadlines, versions, or the statement that says what has moved.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from bench.figures import Figure
from bench.rig import Rig, until
from sluice_contracts import topics
from sluice_contracts.identifiers import PAGE_SIZE, execution_id_for, new_id
from sluice_contracts.messages.content import InlineSms
from sluice_contracts.messages.delivery import JobsReported, ReportedJobs
from sluice_contracts.messages.execution import ExecutionCommanded, ExecutionStarted, PlannedExecution, TriggerPlanned
from sluice_contracts.messages.trigger import DirectSend, TagRecipients, TriggerAccepted
from sluice_contracts.vocabulary import Category, Channel, FlowType, JobState, Lane, MessageState
from sluice_messaging.kafka import KafkaMessaging
from sluice_messaging.records import OutboundRecord, outbound
from sluice_runtime.clock import SystemClock
from sluice_storage.database import encode_json
from status_api.domain.batch import Batch
from status_api.handlers.projecting import MOST_REPORTS

CONNECTIONS = 2
_PUBLISHED_AT_ONCE = 200

_UPSERT = """
INSERT INTO bench.jobs (execution_id, seq, progress, message, engagements, segments, sent_at, until, cost_micros,
                        external_id, address, timeline)
SELECT i.execution_id, i.seq, i.progress, i.message, i.engagements, i.segments, i.sent_at, i.until, i.cost_micros,
       i.external_id, i.address, i.timeline::jsonb
FROM unnest($1::uuid[], $2::integer[], $3::integer[], $4::smallint[], $5::smallint[], $6::integer[], $7::bigint[],
            $8::bigint[], $9::bigint[], $10::text[], $11::text[], $12::text[])
     AS i (execution_id, seq, progress, message, engagements, segments, sent_at, until, cost_micros, external_id,
           address, timeline)
ORDER BY i.execution_id, i.seq
ON CONFLICT (execution_id, seq) DO UPDATE SET progress = excluded.progress, message = excluded.message,
    timeline = jobs.timeline || excluded.timeline
"""


class History:
    """What the topics would hold of one audience send: made up, and true to the last column."""

    def __init__(self, workspace_id: UUID, jobs: int) -> None:
        self.workspace_id = workspace_id
        self.jobs = jobs
        self.now = datetime.now(UTC)
        self.trigger_id = new_id()
        self.execution_id = execution_id_for(self.trigger_id, 1, "sms")

    def accepted(self) -> OutboundRecord:
        """Return the trigger itself. The orchestrator would carry it out: halt it first."""
        trigger = TriggerAccepted(
            trigger_id=self.trigger_id, workspace_id=self.workspace_id, accepted_at=self.now, lane=Lane.BULK,
            category=Category.MARKETING, plan=DirectSend(channel=Channel.SMS, content=InlineSms(text="Hi")),
            recipients=TagRecipients(tags=["all"]),
        )  # fmt: skip
        return outbound(topics.triggers(Lane.BULK), trigger)

    def plan(self) -> list[OutboundRecord]:
        """Return what says which execution the trigger has, and how many jobs that has."""
        trigger, workspace, execution, now = self.trigger_id, self.workspace_id, self.execution_id, self.now
        planned = PlannedExecution(
            execution_id=execution, step_id="direct", step_order=1, step_name="Direct", channel=Channel.SMS,
            scheduled_for=now,
        )  # fmt: skip
        messages = [
            TriggerPlanned(
                trigger_id=trigger, workspace_id=workspace, planned_at=now, starts_at=now,
                flow_type=FlowType.DIRECT_CHANNEL, executions=[planned],
            ),
            ExecutionStarted(
                trigger_id=trigger, workspace_id=workspace, execution_id=execution, started_at=now, expected=self.jobs
            ),
            ExecutionCommanded(
                trigger_id=trigger, workspace_id=workspace, execution_id=execution, at=now, total=self.jobs
            ),
        ]  # fmt: skip
        return [outbound(topics.EXECUTIONS, message) for message in messages]

    def reports(self, state: JobState | None, message: MessageState, first_job: int = 0) -> Iterator[JobsReported]:
        """Yield a report a page, from the page that begins with `first_job`.

        They are answers to commands where `state` is given, receipts otherwise.
        """
        at = int(self.now.timestamp() * 1000) + (0 if state else 1000)
        for first in range(first_job, self.jobs, PAGE_SIZE):
            seqs = list(range(first, min(first + PAGE_SIZE, self.jobs)))
            n = len(seqs)
            none: list[Any] = [None] * n
            known = state is not None
            columns = ReportedJobs.model_construct(
                seq=seqs, at=[at] * n, state=[state] * n, message=[message] * n, engagement=none, epoch=[0] * n,
                attempt=[1 if known else 0] * n, code=none, detail=none, until=none,
                external_id=[f"user_{seq}" for seq in seqs] if known else none,
                address=[f"+1415{seq:07d}" for seq in seqs] if known else none,
                provider=["sandbox"] * n if known else none,
                provider_id=[f"sandbox-{self.execution_id.hex}-{seq}" for seq in seqs] if known else none,
                segments=[1] * n if known else none, cost_micros=[8300] * n if known else none,
            )  # fmt: skip
            yield JobsReported.model_construct(
                workspace_id=self.workspace_id, trigger_id=self.trigger_id, execution_id=self.execution_id,
                channel=Channel.SMS, page=first // PAGE_SIZE, answers_round=0 if known else None,
                reported_at=self.now, jobs=columns,
            )  # fmt: skip


async def workspace_of(rig: Rig) -> UUID:
    """Return the workspace of the stack's key."""
    async with rig.database() as database:
        found: UUID = await database.fetchval("SELECT id FROM catalog.workspaces WHERE name = 'default'")
    return found


async def publish(rig: Rig, records: Sequence[OutboundRecord]) -> None:
    """Append `records`, as any service would."""
    async with KafkaMessaging(rig.stack.connections.kafka, "bench", SystemClock()) as messaging:
        for first in range(0, len(records), _PUBLISHED_AT_ONCE):
            await messaging.publisher.publish(records[first : first + _PUBLISHED_AT_ONCE], timeout=30)


def delivery(message: JobsReported) -> OutboundRecord:
    """Return the record of a report."""
    return outbound(topics.DELIVERIES, message)


async def counted(rig: Rig, execution_id: UUID, column: str, expected: int, seconds: float = 300) -> None:
    """Return once the counter `column` (`sent` or `message_delivered`) of an execution is what is expected."""
    statement = f"SELECT {column} FROM status.executions WHERE execution_id = $1"  # noqa: S608 (one of two names)
    async with rig.database() as database:

        async def holds() -> bool:
            return bool(await database.fetchval(statement, execution_id) == expected)

        await until(holds, seconds)


async def measure(rig: Rig) -> list[Figure]:
    """Return the figure, in events."""
    workspace_id = await workspace_of(rig)
    warm = History(workspace_id, 20_000)
    await publish(rig, [delivery(message) for message in warm.reports(JobState.SENT, MessageState.ACCEPTED)])
    await counted(rig, warm.execution_id, "sent", warm.jobs)
    history = History(workspace_id, rig.sizes.events // 2)
    sent = list(history.reports(JobState.SENT, MessageState.ACCEPTED))
    delivered = list(history.reports(None, MessageState.DELIVERED))
    records = [delivery(message) for message in [*sent, *delivered]]
    with rig.halted("status-api"):
        await publish(rig, [*history.plan(), *records])
    began = time.perf_counter()
    with rig.meter() as meter:
        await counted(rig, history.execution_id, "message_delivered", history.jobs)
    events = history.jobs * 2
    rate = events / (time.perf_counter() - began)
    limit = events / await upsert_seconds(rig, [*sent, *delivered])
    name = f"bare upsert of the same rows, {CONNECTIONS} connections"
    return [Figure("fold", rate, "events/s", limit, name, None, meter.peak_rss_mb, meter.detail(events))]


async def upsert_seconds(rig: Rig, messages: Sequence[JobsReported]) -> float:
    """Return how long PostgreSQL takes for the rows of `messages` when nobody counts them."""
    size = MOST_REPORTS // PAGE_SIZE
    portions = [_columns(messages[at : at + size]) for at in range(0, len(messages), size)]
    async with rig.database() as one, rig.database() as two:
        await one.execute("CREATE SCHEMA bench; CREATE TABLE bench.jobs (LIKE status.jobs INCLUDING ALL)")

        async def upsert(connection: Any, share: Sequence[Any]) -> None:
            for columns in share:
                await connection.execute(_UPSERT, *columns)

        began = time.perf_counter()
        await asyncio.gather(upsert(one, portions[::2]), upsert(two, portions[1::2]))
        return time.perf_counter() - began


def _columns(messages: Sequence[JobsReported]) -> list[list[Any]]:
    """Return the rows of `messages` as the arguments of the bare upsert."""
    batch = Batch.of_reports(messages)
    jobs = zip(batch.seq, batch.course, batch.external_id, batch.address, batch.timeline, strict=True)
    rows = [
        (course.execution_id, seq, *course[1:8], external_id, address, encode_json(course.timeline or timeline))
        for seq, place, external_id, address, timeline in jobs
        for course in [batch.courses[place - 1]]
    ]
    return [list(column) for column in zip(*rows, strict=True)]
