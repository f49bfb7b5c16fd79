"""What the documentation says of the topics, held against the topics of a running stack."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest
import yaml
from jsonschema import Draft202012Validator, FormatChecker

from api_client import ApiClient, wait_until
from broker import CHANNELS, Broker
from scene import Scene
from sluice_contracts.messages.command import ReportsRequested
from sluice_local.stack import Stack

pytestmark = pytest.mark.e2e

DOCS: Final = Path(__file__).parents[2] / "docs"
DAY_MS: Final = 86_400_000
BY_OPERATORS: Final = {"trigger.repeat_requested.v1"}
"""What only an operator's command writes."""

AFTER_LOSSES: Final = {"jobs.reports_requested.v1"}
"""What is only asked where a topic has lost its log."""

POISON: Final = b"poison"
"""What the keys of records begin with that other tests have put there to be refused."""


@pytest.fixture
async def api(stack: Stack) -> AsyncIterator[ApiClient]:
    async with ApiClient(stack.base_url, stack.api_key) as client:
        yield client


@pytest.fixture
async def broker(stack: Stack) -> AsyncIterator[Broker]:
    async with Broker(stack.connections.kafka) as connected:
        yield connected


@pytest.fixture(scope="module")
def pages() -> list[dict[str, Any]]:
    """The page of every topic, as `docs/topics` has it."""
    found = [yaml.safe_load(file.read_text()) for file in sorted((DOCS / "topics").glob("*.yaml"))]
    return [page for page in found if "dead_letters" in page]


async def test_the_example_consumer_follows_a_send_as_documented(api: ApiClient, stack: Stack) -> None:
    async with example(stack.connections.kafka) as lines:
        scene = Scene(api)
        await scene.contacts(1, {"email": f"bounce+{scene.mark}@sandbox.test"}, {"email": None})
        trigger_id = await scene.broadcast("email")
        await api.finished(trigger_id)
        (execution,) = (await api.get(f"/api/v1/triggers/{trigger_id}/ledger"))["executions"]
        jobs = {job["external_id"]: job["id"] for job in await scene.jobs(execution)}
        delivered, bounced, filtered = (jobs[f"{scene.mark}-{place}"] for place in range(3))
        expected = {
            f"{delivered} sent accepted",
            f"{delivered} sent delivered",
            f"{bounced} sent accepted",
            f"{bounced} sent bounced 5.1.1",
            f"{filtered} filtered no_address_for_channel",
        }

        async def has_seen_everything() -> bool:
            return expected <= lines

        await wait_until(has_seen_everything, describe=lambda: f"not seen: {expected - lines}")


async def test_every_record_on_the_topics_is_one_that_their_pages_describe(
    api: ApiClient, broker: Broker, pages: list[dict[str, Any]]
) -> None:
    workflow = await a_bit_of_everything(Scene(api))
    await a_trigger_that_cannot_be_planned(api, broker, workflow)
    await broker.caught_up()
    seen = set()
    for page in pages:
        validators = {message["type"]: validator(message["schema"]) for message in page["messages"]}
        for record in await broker.records(page["topic"]):
            if record.key.startswith(POISON):
                continue
            headers = {name: value.decode() for name, value in record.headers}
            kind = headers["ce_type"]
            message = json.loads(record.value)
            assert kind in validators, (page["topic"], kind)
            assert message["type"] == kind
            assert headers["content-type"] == "application/json"
            validators[kind].validate(message)
            assert_key(page["key"], record.key.decode(), message)
            seen.add(kind)
    documented = {message["type"] for page in pages for message in page["messages"]}
    assert seen | BY_OPERATORS | AFTER_LOSSES == documented


async def test_every_topic_is_as_large_and_kept_as_long_as_its_page_says(
    broker: Broker, pages: list[dict[str, Any]]
) -> None:
    dead = yaml.safe_load((DOCS / "topics" / "dead-letters.yaml").read_text())
    documented = {
        **{page["topic"]: page for page in pages},
        **{page["dead_letters"]: {**dead, "cleanup": "delete"} for page in pages},
    }
    assert await broker.sizes() == {name: page["partitions"] for name, page in documented.items()}
    settings = await broker.settings(list(documented))
    for name, page in documented.items():
        assert int(settings[name]["retention.ms"]) == page["retention_days"] * DAY_MS, name
        assert set(settings[name]["cleanup.policy"].split(",")) == set(page["cleanup"].split(",")), name


@contextlib.asynccontextmanager
async def example(bootstrap: str) -> AsyncIterator[set[str]]:
    """Run the example as its page says; gives the lines that it has written so far."""
    lines: set[str] = set()
    process = await asyncio.create_subprocess_exec(
        sys.executable, DOCS / "examples" / "consume_deliveries.py", bootstrap, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None

    async def read(output: asyncio.StreamReader) -> None:
        async for line in output:
            lines.add(line.decode().strip())

    reading = asyncio.create_task(read(process.stdout))
    try:
        yield lines
        assert process.returncode is None, "the example ended by itself"
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        await reading


async def a_bit_of_everything(scene: Scene) -> str:
    """Bring about every kind of message that there is; return the id of a trigger of a workflow."""
    api = scene.api
    people = ({"email": f"engaged+{scene.mark}@sandbox.test"}, {"email": f"invalid+{scene.mark}@sandbox.test"})
    await scene.contacts(3, *people)
    triggers = [await scene.broadcast(channel) for channel in CHANNELS]
    # An address that was refused is suppressed: had another met it first, nothing of this one would have failed.
    await api.finished(triggers[1])
    triggers.append(await scene.group())
    waiting = await scene.steps(0, 600)
    for trigger_id in triggers:
        await api.finished(trigger_id)
    await api.until(f"/api/v1/triggers/{waiting}", bool)
    for action in ("pause", "resume", "cancel"):
        await api.post(f"/api/v1/triggers/{waiting}/{action}", {})
    await api.finished(waiting)
    await api.post(f"/api/v1/triggers/{triggers[1]}/retry", {})
    await api.until(f"/api/v1/triggers/{triggers[1]}/direct", lambda body: body["analytics"]["clicked"])
    await api.until(f"/api/v1/triggers/{triggers[1]}/ledger", lambda body: body["failed"] == 0 and body["open"] == 0)
    event = await api.post("/api/v1/events", {"event": f"bought_{scene.mark}", "contact": {"external_id": scene.mark}})
    await api.until(f"/api/v1/events/{event['event_id']}", lambda body: body["outcome"] == "unmatched")
    await a_wait(scene)
    return triggers[-1]


async def a_wait(scene: Scene) -> None:
    """Have people wait for an event, and give up."""
    wait = {"type": "wait_for_event", "step_id": "wait", "step_name": "Wait", "event": scene.mark, "timeout_minutes": 9}
    last = {"step_id": "last", "step_name": "Last", "channel": "sms", "template_key": await scene.template("sms")}
    name = f"wait_{scene.mark}"
    await scene.workflow({"name": name, "type": "steps", "steps": [wait, last]})
    trigger_id = await scene.start(name)
    path = f"/api/v1/triggers/{trigger_id}/workflow"
    await scene.api.until(path, lambda body: any(step["waiting"] for step in body.get("waits", [])))
    await scene.api.post(f"/api/v1/triggers/{trigger_id}/cancel", {})
    await scene.api.finished(trigger_id)


async def a_trigger_that_cannot_be_planned(api: ApiClient, broker: Broker, like: str) -> None:
    """Have a trigger taken up whose workflow is gone: as the one called `like`, but for its ids."""
    records = await broker.records("triggers.bulk")
    accepted = next(record for record in records if record.key.decode() == like)
    message = json.loads(accepted.value)
    message["trigger_id"] = trigger_id = str(uuid4())
    message["plan"]["workflow_id"] = str(uuid4())
    value = json.dumps(message).encode()
    await broker.append("triggers.bulk", value, key=trigger_id.encode(), headers=accepted.headers)
    over = await api.finished(trigger_id)
    assert over["status"] == "failed"


def validator(schema: str) -> Draft202012Validator:
    """Return what checks a message against the committed schema at `docs/topics/<schema>`."""
    definition = json.loads((DOCS / "topics" / schema).read_text())
    Draft202012Validator.check_schema(definition)
    return Draft202012Validator(definition, format_checker=FormatChecker())


def assert_key(documented: str, key: str, message: dict[str, Any]) -> None:
    """Fail where a record's key is not made of what its page says."""
    match documented:
        case "trigger_id":
            # What became of events is about no trigger.
            assert key == message.get("trigger_id", message["workspace_id"])
        case "execution_id:page":
            # A question about several pages goes to where the first of them lies.
            page = message["first_page"] if message["type"] == ReportsRequested.TYPE else message["page"]
            assert key == f"{message['execution_id']}:{page}"
        case _:
            assert key
