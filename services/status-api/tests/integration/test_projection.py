"""The tables after any order, repetition, batching and concurrency of messages; the counters against a recount."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest

from sluice_contracts.base import Message
from sluice_contracts.identifiers import execution_id_for
from sluice_contracts.messages.content import InlineSms
from sluice_contracts.messages.delivery import JobsReported, ReportedJobs
from sluice_contracts.messages.execution import (
    CohortCounted,
    ExecutionCommanded,
    ExecutionStarted,
    PlannedExecution,
    TriggerControlled,
    TriggerPlanned,
)
from sluice_contracts.messages.trigger import AllRecipients, DirectSend, TriggerAccepted
from sluice_contracts.vocabulary import Category, Channel, Engagement, FlowType, JobState, Lane, MessageState
from sluice_messaging.errors import PoisonError
from sluice_messaging.records import Record
from sluice_storage.database import Database
from status_api.adapters.status_store import StatusStore
from status_api.domain.fold import JobFacts, fold_reports
from status_api.domain.progress import state_of
from status_api.handlers.projecting import Projector

pytestmark = pytest.mark.integration

START = datetime(2026, 1, 1, tzinfo=UTC)
START_MS = int(START.timestamp() * 1000)
TRIGGERS = tuple(UUID(int=place) for place in range(1, 4))
WORKSPACES = {trigger: UUID(int=100 + place % 2) for place, trigger in enumerate(TRIGGERS)}
COLUMNS = tuple(ReportedJobs.model_fields)

Empty = Callable[[], Awaitable[None]]
Contents = Callable[[], Awaitable[dict[str, list[tuple[Any, ...]]]]]


def record(topic: str, message: Message) -> Record:
    return Record(topic, 0, 0, None, message.encode(), {}, 0)


def facts_about(trigger: UUID, random: Random) -> list[Record]:
    """Everything that is said of a trigger beside its reports."""
    workspace, execution = WORKSPACES[trigger], execution_id_for(trigger, 1, "sms")
    about = {"trigger_id": trigger, "workspace_id": workspace}
    planned = PlannedExecution(
        execution_id=execution,
        step_id="step-1",
        step_order=1,
        step_name="SMS",
        channel=Channel.SMS,
        scheduled_for=START,
    )
    moment = START + timedelta(seconds=random.randint(0, 9))
    return [
        record(
            "triggers.bulk",
            TriggerAccepted(
                **about,
                accepted_at=START,
                lane=Lane.BULK,
                category=Category.MARKETING,
                plan=DirectSend(channel=Channel.SMS, content=InlineSms(text="Hi")),
                recipients=AllRecipients(),
                metadata={"b": [1], "a": None},
            ),
        ),
        *(
            record("executions", message)
            for message in (
                TriggerPlanned(
                    **about,
                    planned_at=moment,
                    starts_at=START,
                    flow_type=FlowType.DIRECT_CHANNEL,
                    executions=[planned],
                ),
                ExecutionStarted(**about, execution_id=execution, started_at=moment, expected=90),
                ExecutionCommanded(**about, execution_id=execution, at=moment, total=100, cancelled=3),
                CohortCounted(**about, at=moment, total_contacts=90, final=False),
                CohortCounted(**about, at=moment, total_contacts=100, final=True),
                TriggerControlled(**about, at=moment, change="paused"),
                TriggerControlled(**about, at=moment + timedelta(seconds=1), change="resumed"),
            )
        ),
    ]


def a_report(random: Random, seq: int) -> dict[str, Any]:
    """One report as it could come, sensible or not."""
    one: dict[str, Any] = dict.fromkeys(COLUMNS) | {
        "seq": seq,
        "at": START_MS + random.randint(0, 20),
        "epoch": random.choice([0, 0, 0, 1]),
        "attempt": random.randint(0, 3),
    }
    kind = random.random()
    if kind < 0.6:
        one["state"] = random.choice([state for state in JobState if state is not JobState.PENDING])
        one["code"] = random.choice(["excluded", "suppressed_stop", "retries_exhausted"])
        one["detail"] = random.choice([None, "because", "because of Zoë"])
        one["address"] = f"+1415555{seq:04d}"
        one["external_id"] = f"user_{seq}"
        one["until"] = random.choice([None, START_MS + random.randint(0, 99)])
        one["segments"], one["cost_micros"] = random.choice([(None, None), (1, 7_500), (2, 15_000)])
        one["provider"], one["provider_id"] = "sandbox", f"SM{random.randint(0, 3)}"
    elif kind < 0.85:
        one["message"] = random.choice(list(MessageState))
        one["code"] = random.choice([None, "30003"])
    elif kind < 0.92:
        one["engagement"] = random.choice(list(Engagement))
    else:
        column = random.choice(["cost_micros", "segments", "until"])
        one[column] = random.randint(20_000, 30_000)
    return one


def reports_about(trigger: UUID, random: Random, messages: int = 12) -> list[Record]:
    """Reports about a hundred jobs of one execution; a message may speak of one job more than once."""
    return [
        record(
            "deliveries",
            JobsReported(
                workspace_id=WORKSPACES[trigger],
                trigger_id=trigger,
                execution_id=execution_id_for(trigger, 1, "sms"),
                channel=Channel.SMS,
                page=0,
                answers_round=random.choice([None, 0, 1]),
                reported_at=START,
                jobs=ReportedJobs(
                    **{
                        name: [one[name] for one in reports]
                        for name in COLUMNS
                    }
                ),
            ),
        )
        for reports in ([a_report(random, random.randrange(100)) for _ in range(40)] for _ in range(messages))
    ]  # fmt: skip


def stream(seed: int) -> list[Record]:
    random = Random(seed)
    return [
        entry
        for trigger in TRIGGERS
        for entry in (*facts_about(trigger, random), *reports_about(trigger, random))
    ]  # fmt: skip


async def fold(projector: Projector, records: Sequence[Record]) -> None:
    """Hand one batch over, each record to the handler of its topic, in the order of the records."""
    for entry in records:
        match entry.topic:
            case "deliveries":
                await projector.on_deliveries([entry])
            case "executions":
                await projector.on_executions([entry])
            case _:
                await projector.on_triggers([entry])


async def fold_in_batches(projector: Projector, records: Sequence[Record], random: Random) -> None:
    """Hand `records` over as batches of random sizes, each sorted out by topic."""
    place = 0
    while place < len(records):
        size = random.randint(1, 15)
        by_topic = defaultdict(list)
        for entry in records[place : place + size]:
            by_topic[entry.topic].append(entry)
        place += size
        for topic in random.sample(sorted(by_topic), len(by_topic)):
            handler = {
                "deliveries": projector.on_deliveries,
                "executions": projector.on_executions,
                "triggers.bulk": projector.on_triggers,
            }[topic]
            await handler(by_topic[topic])


def expected_jobs(records: Sequence[Record]) -> dict[tuple[UUID, int], JobFacts]:
    messages = [JobsReported.decode(entry.value) for entry in records if entry.topic == "deliveries"]
    return {(touch.execution_id, seq): facts for touch in fold_reports(messages) for seq, facts in touch.jobs.items()}


async def assert_jobs_and_counters(database: Database, records: Sequence[Record]) -> None:
    """Fail unless every job is what the pure fold says, and every counter what a count of the jobs gives."""
    expected = expected_jobs(records)
    async with database.connection() as connection:
        jobs = await connection.fetch("SELECT * FROM jobs")
        executions = await connection.fetch("SELECT * FROM executions")
        reasons = await connection.fetch("SELECT execution_id, state, code, sentence, n FROM reasons WHERE n <> 0")
    assert len(jobs) == len(expected)
    for job in jobs:
        facts = expected[job["execution_id"], job["seq"]]
        for name in ("progress", "message", "engagements", "segments", "sent_at", "until", "cost_micros", "address"):
            assert job[name] == getattr(facts, name), name
        padded = {key: (*entry, *[None] * (5 - len(entry))) for key, entry in job["timeline"].items()}
        assert padded == facts.timeline
    for execution in executions:
        mine = [facts for (name, _), facts in expected.items() if name == execution["execution_id"]]
        states = [state_of(facts.progress) for facts in mine]
        sent = [facts for facts, state in zip(mine, states, strict=True) if state is JobState.SENT]
        for state in (JobState.HELD, JobState.CANCELLED, JobState.FILTERED, JobState.FAILED, JobState.SENT):
            assert execution[state.value] == states.count(state), state
        for message in MessageState:
            assert execution[f"message_{message}"] == sum(facts.message == message.rank for facts in mine), message
        for engagement in Engagement:
            assert execution[engagement.value] == sum(bool(facts.engagements & engagement.bit) for facts in mine)
        assert execution["segments"] == sum(facts.segments or 0 for facts in sent)
        assert execution["cost_micros"] == sum(facts.cost_micros or 0 for facts in sent)
        counted: dict[int, int] = defaultdict(int)
        for reason in reasons:
            if reason["execution_id"] == execution["execution_id"]:
                counted[reason["state"]] += reason["n"]
        for state in (JobState.CANCELLED, JobState.FILTERED, JobState.FAILED):
            assert counted[state.rank] == states.count(state)


@pytest.mark.parametrize("seed", range(6))
async def test_a_shuffled_and_repeated_stream_ends_in_the_same_rows(
    seed: int, database: Database, projector: Projector, contents: Contents, empty: Empty
) -> None:
    records = stream(seed)
    await fold(projector, records)
    in_order = await contents()
    await assert_jobs_and_counters(database, records)
    await empty()
    random = Random(seed + 1_000)
    repeated = records + random.choices(records, k=len(records) // 3)
    random.shuffle(repeated)
    await fold_in_batches(projector, repeated, random)
    assert await contents() == in_order


async def test_replaying_the_topics_changes_nothing_and_wakes_nobody(
    database: Database, projector: Projector, contents: Contents, store: StatusStore
) -> None:
    records = stream(7)
    await fold(projector, records)
    before = await contents()
    versions = [await store.version(WORKSPACES[trigger], trigger) for trigger in TRIGGERS]
    await fold_in_batches(projector, records, Random(7))
    assert await contents() == before
    assert [await store.version(WORKSPACES[trigger], trigger) for trigger in TRIGGERS] == versions


async def test_folders_that_overlap_neither_block_nor_miscount(
    database: Database, projector: Projector, contents: Contents, empty: Empty
) -> None:
    """As in a rebalance: several writers at once on the same jobs and executions, in different orders."""
    records = stream(11)
    orders = [Random(seed).sample(records, len(records)) for seed in range(4)]
    async with asyncio.timeout(60):
        await asyncio.gather(*(fold_in_batches(projector, order, Random(seed)) for seed, order in enumerate(orders)))
    await assert_jobs_and_counters(database, records)
    together = await contents()
    await empty()
    await fold(projector, records)
    assert await contents() == together


async def test_every_change_moves_the_version(projector: Projector, store: StatusStore) -> None:
    (trigger, *_), random = TRIGGERS, Random(3)
    accepted, *facts = facts_about(trigger, random)
    await fold(projector, [accepted])
    seen = await store.version(WORKSPACES[trigger], trigger)
    assert seen is not None
    for entry in (*facts, *reports_about(trigger, random, messages=3)):
        await fold(projector, [entry])
        now = await store.version(WORKSPACES[trigger], trigger)
        assert now is not None
        assert now > seen, entry.value
        seen = now


async def test_a_trigger_is_not_there_before_it_was_accepted(projector: Projector, store: StatusStore) -> None:
    (trigger, *_), random = TRIGGERS, Random(3)
    accepted, *facts = facts_about(trigger, random)
    await fold(projector, [*reports_about(trigger, random), *facts])
    assert await store.trigger(WORKSPACES[trigger], trigger) is None
    await fold(projector, [accepted])
    assert await store.trigger(WORKSPACES[trigger], trigger) is not None


async def test_another_workspace_sees_nothing_of_a_trigger(projector: Projector, store: StatusStore) -> None:
    await fold(projector, stream(5))
    (trigger, *_), stranger = TRIGGERS, UUID(int=999)
    assert await store.version(stranger, trigger) is None
    assert await store.trigger(stranger, trigger) is None
    assert await store.executions(stranger, [trigger]) == {trigger: []}
    assert await store.version_of_execution(stranger, execution_id_for(trigger, 1, "sms")) is None


async def test_the_people_shown_for_a_reason_are_the_first_ten_of_it(projector: Projector, store: StatusStore) -> None:
    (trigger, *_) = TRIGGERS
    execution = execution_id_for(trigger, 1, "sms")

    async def report(state: JobState, seqs: range, **values: Any) -> None:
        rows = [
            dict.fromkeys(COLUMNS)
            | {"seq": seq, "at": START_MS, "epoch": 0, "attempt": 1, "state": state, "address": f"+1{seq:010d}"}
            | values
            for seq in seqs
        ]
        message = JobsReported(
            workspace_id=WORKSPACES[trigger],
            trigger_id=trigger,
            execution_id=execution,
            channel=Channel.SMS,
            page=0,
            answers_round=0,
            reported_at=START,
            jobs=ReportedJobs(**{name: [row[name] for row in rows] for name in COLUMNS}),
        )
        await projector.on_deliveries([record("deliveries", message)])

    await report(JobState.FAILED, range(30), code="uncertain")
    (reason,) = await store.reasons([execution])
    assert (reason.n, reason.contacts) == (30, tuple(f"+1{seq:010d}" for seq in range(10)))
    await report(JobState.SENT, range(5))
    (reason,) = await store.reasons([execution])
    assert (reason.n, reason.contacts) == (25, tuple(f"+1{seq:010d}" for seq in range(5, 15)))
    assert await store.failed_jobs(execution, 27, 10) == [(28, 0), (29, 0)]


async def test_a_sentence_with_a_nul_costs_no_outcome(projector: Projector, contents: Callable[[], Any]) -> None:
    (trigger, *_) = TRIGGERS
    entry = reports_about(trigger, Random(1), messages=1)[0]
    assert b"because" in entry.value
    hostile = Record("deliveries", 0, 0, None, entry.value.replace(b"because", b"be\\u0000cause"), {}, 0)
    await projector.on_deliveries([hostile])
    assert (await contents())["jobs"]


async def test_what_is_no_message_is_poison(projector: Projector) -> None:
    for handler in (projector.on_deliveries, projector.on_executions, projector.on_triggers):
        with pytest.raises(PoisonError):
            await handler([Record("any", 0, 0, None, b'{"type": "surprise.v9"}', {}, 0)])
