"""events: in through `POST /api/v1/events/bulk`, and from there through trigger rules and waits.

`events in`: a hundred events a request; the limit is what one process can append of the same bytes, as for `bulk`.
`events`: a backlog of events, each about somebody else, of which each starts a workflow by the one rule on its name, to
the last trigger that the orchestrator has taken up, with nobody else at work; the limit is the same triggers without
events. `events, 50 rules`: the same, where each event is also refused by 49 other rules.
`waits ended by events` and `waits timed out`: everybody of an audience waits for an event of their own; from the first
that comes, or from the end of the time, to the last wait that is over.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final
from uuid import UUID, uuid4

from bench.audience import make_audience
from bench.bare import TOPIC
from bench.bulk import ITEMS, measure_door
from bench.campaigns import make_template
from bench.figures import Figure
from bench.fold import publish, workspace_of
from bench.rig import CONSUMERS, Rig, until
from sluice_contracts import topics
from sluice_contracts.identifiers import new_id
from sluice_contracts.messages.event import EventOccurred
from sluice_contracts.messages.trigger import TriggerAccepted
from sluice_messaging.records import OutboundRecord, outbound
from sluice_runtime.clock import SystemClock

BULK: Final = "/api/v1/events/bulk"
TEMPLATE: Final = "bench_event"
OTHER_RULES: Final = 49
LONGEST_SECONDS: Final = 240.0
_OTHERS: Final = tuple(name for name in CONSUMERS if name != "orchestrator")


async def measure(rig: Rig) -> list[Figure]:
    """Return the five figures."""
    async with rig.api("ingest") as api:
        await make_template(api, "sms", TEMPLATE, text="{{ first_name }} paid {{ total }}")
    workflow = await _workflow(rig, [])
    name = await _rule(rig, workflow)
    size = rig.sizes.happenings
    people = await _people(rig, await make_audience(rig, size))
    maker = EventMaker(await workspace_of(rig), name)
    with rig.halted(*_OTHERS):
        through = await _measure_triggers(rig, "events", [maker.record(person) for person in people])
        limit = await _measure_triggers(rig, "", await _repeated_triggers(rig, size))
        for _ in range(OTHER_RULES):
            await _rule(rig, workflow, event=name, filter="event.data.order.total > 1000.0")
        crowded = await _measure_triggers(rig, "events, 50 rules", [maker.record(person) for person in people])
        named = {"limit": limit.value, "limit_name": "the same triggers, without events"}
        figures = [replace(through, **named), replace(crowded, **named), *await _measure_waits(rig)]
    # Last, because nobody waits for what is made of so many.
    return [await _measure_in(rig, EventMaker(await workspace_of(rig), "nobody.listens")), *figures]


class EventMaker:
    """Makes events of one name."""

    def __init__(self, workspace_id: UUID, name: str) -> None:
        self._workspace_id = workspace_id
        self._name = name
        self._clock = SystemClock()

    def record(self, person: str) -> OutboundRecord:
        """Return the record of a new event about somebody."""
        now = self._clock.now()
        event = EventOccurred(
            event_id=new_id(), workspace_id=self._workspace_id, name=self._name, external_id=person,
            data={"order": {"id": person, "total": 49.9}}, occurred_at=now, accepted_at=now,
        )  # fmt: skip
        return outbound(topics.EVENTS, event)


async def _measure_in(rig: Rig, maker: EventMaker) -> Figure:
    event = {"event": "nobody.listens", "contact_external_id": "user_123", "data": {"order": {"id": "o", "total": 1}}}
    value = maker.record("user_123").value
    await rig.make_topic(TOPIC, 6)
    return await measure_door(rig, "events in", "events/s", BULK, {"events": [event] * ITEMS}, value)


async def _measure_triggers(rig: Rig, name: str, records: Sequence[OutboundRecord]) -> Figure:
    """Return how fast the orchestrator makes of each record a trigger that it has taken up."""
    async with rig.database() as database:
        before = await database.fetchval("SELECT count(*) FROM orchestrator.triggers")
    with rig.halted("orchestrator"):
        await publish(rig, records)
    taken_up = f"SELECT count(*) >= {before + len(records)} FROM orchestrator.triggers"  # noqa: S608 (a number)
    return await _measured(rig, name, "events/s", len(records), lambda: _until(rig, taken_up))


async def _repeated_triggers(rig: Rig, size: int) -> list[OutboundRecord]:
    """Return the triggers that were taken up last, under new ids, as if somebody had asked for them directly."""
    async with rig.database() as database:
        rows = await database.fetch(
            "SELECT accepted FROM orchestrator.triggers ORDER BY planned_at DESC LIMIT $1", size
        )
    triggers = [TriggerAccepted.decode(row["accepted"]) for row in rows]
    return [
        outbound(topics.triggers(trigger.lane), trigger.model_copy(update={"trigger_id": new_id(), "event": None}))
        for trigger in triggers
    ]


async def _measure_waits(rig: Rig) -> list[Figure]:
    event, size = f"paid.{uuid4().hex[:6]}", rig.sizes.waits
    waiting = {"type": "wait_for_event", "step_id": "pay", "step_name": "Pay", "event": event, "timeout_minutes": 600}
    workflow = await _workflow(rig, [waiting])
    tag = await make_audience(rig, size)
    people = await _people(rig, tag)
    await _wait(rig, workflow, tag, size)
    maker = EventMaker(await workspace_of(rig), event)
    with rig.halted("orchestrator"):
        await publish(rig, [maker.record(person) for person in people])
    over = "SELECT NOT EXISTS (SELECT FROM orchestrator.waits WHERE outcome IS NULL)"
    met = await _measured(rig, "waits ended by events", "waits/s", size, lambda: _until(rig, over))
    await _until(rig, "SELECT NOT EXISTS (SELECT FROM orchestrator.releases)")
    await _wait(rig, workflow, tag, size)
    async with rig.database() as database:
        await database.execute("UPDATE orchestrator.waits SET due_at = now(), until = now() WHERE outcome IS NULL")
    late = await _measured(rig, "waits timed out", "waits/s", size, lambda: _until(rig, over))
    return [met, late]


async def _wait(rig: Rig, workflow: str, tag: str, size: int) -> None:
    """Have everybody of an audience begin to wait."""
    async with rig.api("ingest") as api:
        body = {"workflow_name": workflow, "recipient_type": "tag", "tags": [tag], "category": "marketing"}
        await api.post("/api/v1/workflows/trigger", body)
    await _until(rig, f"SELECT count(*) >= {size} FROM orchestrator.waits WHERE outcome IS NULL")  # noqa: S608 (a number)


async def _measured(rig: Rig, name: str, unit: str, works: int, wait: Callable[[], Awaitable[None]]) -> Figure:
    began = time.perf_counter()
    with rig.meter() as meter:
        await wait()
    rate = works / (time.perf_counter() - began)
    return Figure(name, rate, unit, peak_rss_mb=meter.peak_rss_mb, detail=meter.detail(works))


async def _until(rig: Rig, holds: str) -> None:
    """Return once the statement `holds` is true."""
    async with rig.database() as database:

        async def is_so() -> bool:
            return bool(await database.fetchval(holds))

        await until(is_so, LONGEST_SECONDS)


async def _people(rig: Rig, tag: str) -> list[str]:
    async with rig.database() as database:
        return [
            row[0]
            for row in await database.fetch("SELECT external_id FROM catalog.contacts WHERE $1 = ANY (tags)", tag)
        ]


async def _workflow(rig: Rig, before: Sequence[Mapping[str, Any]]) -> str:
    """Publish a workflow of one SMS behind the steps `before`; return its name."""
    name = f"workflow {uuid4().hex[:8]}"
    message = {"step_id": "sms", "step_name": "SMS", "channel": "sms", "template_key": TEMPLATE}
    body = {"name": name, "type": "steps", "status": "active", "category": "marketing", "steps": [*before, message]}
    async with rig.api("ingest") as api:
        await api.post("/api/v1/workflows", body)
    return name


async def _rule(rig: Rig, workflow: str, **fields: Any) -> str:
    """Make an active rule; return the name of its event."""
    event = f"order.{uuid4().hex[:6]}"
    body = {
        "name": f"rule {uuid4().hex[:8]}", "event": event, "workflow": workflow, "status": "active",
        "filter": "event.data.order.total > 10.0",
        "mapping": [{"variable": "total", "path": "$.order.total", "type": "string"}], **fields,
    }  # fmt: skip
    async with rig.api("ingest") as api:
        await api.post("/api/v1/trigger-rules", body)
    return event
