"""Records that come again, in any order, change nothing; records that nobody can read are put aside and stop nobody."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from api_client import ApiClient, wait_until
from broker import CHANNELS, GROUPS, LANES, Broker
from scene import Scene
from sluice_local.stack import Stack
from tenant import new_tenant

pytestmark = pytest.mark.e2e

PROJECTED: Final = ("deliveries", "executions", *(f"triggers.{lane}" for lane in LANES))
READS_AT_ONCE: Final = 8
REST_SECONDS: Final = 3.0
"""Longer than receipts, and receipts of which nobody knew the message yet, take to come."""

REST_DEADLINE_SECONDS: Final = 120.0
GARBAGE: Final = (
    b"",
    b"\xff\xfe\x00 not even text",
    b"null",
    b"[1, 2, 3]",
    b"{}",
    b'{"type": "from.the.future.v9", "trigger_id": "1"}',
    b'{"type": "jobs.reported.v1", "jobs": {"seq": [1]}}',
    b'{"type": "trigger.accepted.v1", "trigger_id": "\\u0000"}',
    b"[" * 5_000,
)
REASONS: Final = {
    "x-original-topic",
    "x-original-partition",
    "x-original-offset",
    "x-error-class",
    "x-error",
    "x-attempts",
    "x-failed-at",
    "x-consumer-group",
}


@pytest.fixture
async def api(stack: Stack) -> AsyncIterator[ApiClient]:
    """A caller of a workspace of its own, in which nothing moves but what a test sets going."""
    async with new_tenant(stack) as tenant:
        yield tenant.api


@pytest.fixture
async def broker(stack: Stack) -> AsyncIterator[Broker]:
    async with Broker(stack.connections.kafka) as connected:
        yield connected


async def test_topics_played_again_in_any_order_leave_every_answer_byte_for_byte_as_it_was(
    api: ApiClient, broker: Broker
) -> None:
    await everything(Scene(api))
    before = await at_rest(api, broker)
    records = await broker.records(*PROJECTED)
    assert len(records) > 20
    again = records + random.Random(1).sample(records, len(records) // 2)
    random.Random(2).shuffle(again)
    await broker.append_again(again)
    after = await at_rest(api, broker)
    assert after.keys() == before.keys()
    changed = {path: (body, after[path]) for path, body in before.items() if after[path] != body}
    assert not changed


async def test_records_that_cannot_be_read_go_to_the_dead_letters_and_stop_nobody(
    api: ApiClient, broker: Broker
) -> None:
    await broker.caught_up()
    readers = {topic: [group for group, topics in GROUPS.items() if topic in topics] for topic in topics_read()}
    known = {topic: len(await broker.records(f"{topic}.dlq")) for topic in readers}
    for topic in readers:
        for place, value in enumerate(GARBAGE):
            await broker.append(topic, value, key=f"poison-{place}".encode(), headers=[("from", b"a stranger")])
    await broker.append("control", GARBAGE[1], key=b"poison")
    await broker.caught_up()
    for topic, groups in readers.items():
        letters = (await broker.records(f"{topic}.dlq"))[known[topic] :]
        for group in groups:
            mine = [letter for letter in letters if dict(letter.headers)["x-consumer-group"] == group.encode()]
            assert {letter.value for letter in mine} == set(GARBAGE), (topic, group)
            for letter in mine:
                headers = {name: value.decode() for name, value in letter.headers}
                assert headers.keys() >= REASONS
                assert (headers["x-original-topic"], headers["from"]) == (topic, "a stranger")
                assert headers["x-error"]
                assert letter.key.startswith(b"poison-")
    scene = Scene(api)
    await scene.contacts(2)
    for sent in [await scene.code(), await scene.group()]:
        over = await api.finished(sent)
        assert over["status"] == "completed"


def topics_read() -> Iterable[str]:
    """Return every topic that a consumer group reads."""
    return dict.fromkeys(topic for topics in GROUPS.values() for topic in topics)


async def everything(scene: Scene) -> None:
    """Bring about every kind of trigger, end and receipt, and wait until nothing moves any more."""
    api = scene.api
    ends = ("invalid", "bounce", "flaky", "throttled", "optout", "complaint", "engaged")
    people: list[dict[str, Any]] = [
        *(
            {"email": f"{end}+{scene.mark}@sandbox.test", "phone_number": f"+1415552{place:04d}"}
            for place, end in enumerate(ends)
        ),
        {"email": None, "phone_number": "+14155530000"},
        {"email": f"alone+{scene.mark}@example.test", "phone_number": None},
        {"email": None, "phone_number": None},
    ]
    await scene.contacts(210, *people)
    triggers = [await scene.broadcast(channel) for channel in CHANNELS]
    # An address that was refused is suppressed: had another met it first, nothing of this one would have failed.
    await api.finished(triggers[1])
    triggers += [await scene.group(), await scene.steps(0, 0), await scene.code()]
    later = await scene.broadcast("sms", trigger_at=(datetime.now(UTC) + timedelta(days=300)).isoformat())
    waiting = await scene.steps(0, 100_000)
    await api.until(f"/api/v1/triggers/{later}", lambda body: body["scheduled_at"] is not None)
    for action in ("pause", "resume", "cancel"):
        await api.post(f"/api/v1/triggers/{later}/{action}", {})
    for trigger_id in [*triggers, later]:
        await api.finished(trigger_id)
    await api.post(f"/api/v1/triggers/{triggers[1]}/retry", {})
    await api.until(f"/api/v1/triggers/{triggers[1]}/ledger", lambda body: body["failed"] == 0 and body["open"] == 0)
    await api.until(f"/api/v1/triggers/{waiting}/workflow", lambda body: body["steps"][0]["status"] == "completed")
    for trigger_id in [*triggers, waiting]:
        await api.until(f"/api/v1/triggers/{trigger_id}/ledger", has_its_receipts)


def has_its_receipts(ledger: dict[str, Any]) -> bool:
    """Whether every message that was sent has been heard of again."""
    return all(execution["analytics"]["awaiting_receipt"] == 0 for execution in ledger["executions"])


async def at_rest(api: ApiClient, broker: Broker) -> dict[str, bytes]:
    """Return the bodies about every trigger, as they came, once they have not changed for a while."""
    bodies: dict[str, bytes] = {}
    clock = asyncio.get_running_loop().time
    changed_at = clock()

    async def is_at_rest() -> bool:
        nonlocal bodies, changed_at
        await broker.caught_up()
        known, bodies = bodies, await all_bodies(api)
        if bodies != known:
            changed_at = clock()
        return clock() > changed_at + REST_SECONDS

    await wait_until(is_at_rest, REST_DEADLINE_SECONDS, lambda: "something goes on changing")
    return bodies


async def all_bodies(api: ApiClient) -> dict[str, bytes]:
    """Return every body that the status service has about the workspace's triggers, by path."""
    paths = []
    cursor: str | None = ""
    while cursor is not None:
        page = await api.get("/api/v1/triggers?limit=200" + (f"&cursor={cursor}" if cursor else ""))
        for trigger in page["triggers"]:
            at = f"/api/v1/triggers/{trigger['id']}"
            paths += [at, f"{at}/{'workflow' if trigger['flow_type'] == 'workflow' else 'direct'}", f"{at}/ledger"]
        cursor = page["pagination"]["next_cursor"]
    places = asyncio.Semaphore(READS_AT_ONCE)

    async def read(path: str) -> bytes:
        async with places:
            response = await api.call("GET", path)
            assert response.status == 200, (path, response)
            return response.raw

    return dict(zip(paths, await asyncio.gather(*map(read, paths)), strict=True))
