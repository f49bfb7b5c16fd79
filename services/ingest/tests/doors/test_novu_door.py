"""Novu's door over memory alone: what happens at the same time, too often, or while the broker is away."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from io import BytesIO
from json import dumps
from typing import Any
from uuid import UUID

import pytest
from aiohttp.test_utils import TestClient, TestServer
from novu_py import Novu, models
from novu_py.utils import BackoffStrategy, RetryConfig

from ingest.app import Doors
from ingest.doors.novu.operations import NovuDoor
from ingest.handlers.engagements import Engagements
from ingest.settings import IngestSettings
from sluice_catalog.api_keys import digest
from sluice_catalog.models import ApiKey, NovuWorkflow, Tenant, WorkflowReference
from sluice_catalog.snapshot import CatalogSnapshot
from sluice_contracts.messages.trigger import TriggerAccepted
from sluice_contracts.vocabulary import Category
from sluice_messaging.errors import BrokerUnavailableError
from sluice_messaging.records import OutboundRecord
from sluice_runtime.clock import ManualClock
from sluice_runtime.http.guard.answers import Answer, Place, Verdict

WORKSPACE = UUID(int=1)
KEY = "sk_live_test"
NO_RETRIES = RetryConfig("none", BackoffStrategy(1, 1, 1, 1), retry_connection_errors=False)
SOON = RetryConfig("backoff", BackoffStrategy(20, 200, 1.5, 10_000), retry_connection_errors=False)
EVENT: dict[str, Any] = {"workflow_id": "hello", "to": "u1"}


class Definitions(CatalogSnapshot):
    """One workflow and one key, in memory."""

    def __init__(self) -> None:
        self.loaded = True

    def api_key(self, secret_sha256: bytes) -> ApiKey | None:
        known = digest(KEY)
        return ApiKey(UUID(int=9), WORKSPACE, known, frozenset({"events:write"})) if secret_sha256 == known else None

    def workflow(self, workspace_id: UUID, name: str) -> WorkflowReference | None:
        return WorkflowReference(UUID(int=5), "hello", "active", 1, Category.UTILITY) if name == "hello" else None

    def novu_workflow(self, workspace_id: UUID, name: str) -> NovuWorkflow | None:
        return None

    def tenant(self, workspace_id: UUID, key: str) -> Tenant | None:
        return None

    def list(self, workspace_id: UUID, key: str) -> UUID | None:
        return None


class Broker:
    """Remembers what it took; can keep callers waiting, and can be away for a while."""

    def __init__(self) -> None:
        self.records: list[OutboundRecord] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.entered = asyncio.Event()
        self.failures = 0

    async def publish(self, records: Any, *, timeout: float = 5.0) -> None:  # noqa: ASYNC109
        self.entered.set()
        await self.gate.wait()
        if self.failures:
            self.failures -= 1
            raise BrokerUnavailableError("away")
        self.records += records

    async def healthy(self) -> bool:
        return True

    def triggers(self) -> list[TriggerAccepted]:
        return [TriggerAccepted.decode(record.value) for record in self.records]


class Forgetful:
    """No other copy of the service has answered anything."""

    async def claim(self, place: Place, fingerprint: bytes) -> Verdict:
        return Verdict.GO_AHEAD

    def put(self, place: Place, answer: Answer) -> None:
        return

    def abandon(self, place: Place) -> None:
        return


@asynccontextmanager
async def served(**changes: Any) -> AsyncIterator[tuple[str, Broker, Any]]:
    """Serve the door; yield its URL, the broker behind it and a plain client."""
    broker, definitions, clock = Broker(), Definitions(), ManualClock(datetime(2026, 3, 1, tzinfo=UTC))

    async def renew() -> bool:
        return False

    nothing: Any = None
    settings = IngestSettings(secret_key=b64encode(bytes(32)).decode(), **changes)
    novu = NovuDoor(nothing, definitions, nothing, clock, renew)
    doors = Doors(settings, clock, broker, definitions, renew, Forgetful(), Engagements(broker, 10), novu=novu)
    app, _ = doors.build()
    async with TestClient(TestServer(app)) as client:
        yield str(client.make_url("")).rstrip("/"), broker, client


def sdk(url: str, retries: RetryConfig = NO_RETRIES) -> Novu:
    return Novu(secret_key=KEY, server_url=url, retry_config=retries)


async def test_a_request_that_is_still_running_is_a_conflict_that_the_sdk_waits_out() -> None:
    async with served() as (url, broker, _), sdk(url) as impatient, sdk(url, SOON) as patient:
        broker.gate.clear()
        first = asyncio.create_task(impatient.trigger_async(trigger_event_request_dto=EVENT, idempotency_key="k"))
        await broker.entered.wait()
        with pytest.raises(models.ErrorDto) as conflict:
            await impatient.trigger_async(trigger_event_request_dto=EVENT, idempotency_key="k")
        again = asyncio.create_task(patient.trigger_async(trigger_event_request_dto=EVENT, idempotency_key="k"))
        await asyncio.sleep(0)
        broker.gate.set()

        assert conflict.value.data.status_code == 409
        assert conflict.value.headers["Retry-After"] == "1"
        assert (await again).result == (await first).result
        assert len(broker.records) == 1


async def test_a_caller_who_is_too_fast_is_told_to_wait_and_the_sdk_does() -> None:
    bulk = {"events": [EVENT] * 100}
    async with (
        served(rate_limit_per_second=200, rate_limit_burst=1000) as (url, _, client),
        sdk(url, SOON) as novu,
    ):
        headers = {"Authorization": f"ApiKey {KEY}"}
        body = {"events": [{"name": "hello", "to": "u1"}] * 100}
        refused = None
        while refused is None:
            async with client.post("/v1/events/trigger/bulk", json=body, headers=headers) as answer:
                if answer.status == 429:
                    refused = await answer.json()
                    wait = int(answer.headers["Retry-After"])
        results = (await novu.trigger_bulk_async(bulk_trigger_event_dto=bulk)).result

        assert refused["message"] == "API rate limit exceeded"
        assert refused["statusCode"] == 429
        assert wait >= 1
        assert len(results) == 100


async def test_an_event_that_the_broker_does_not_take_is_tried_again_by_the_sdk_and_taken_once() -> None:
    async with served() as (url, broker, client), sdk(url, SOON) as novu:
        broker.failures = 1
        event = {**EVENT, "transaction_id": "tx-1"}
        headers = {"Authorization": f"ApiKey {KEY}"}
        async with client.post("/v1/events/trigger", json={"name": "hello", "to": "u1"}, headers=headers) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
            assert (await answer.json())["statusCode"] == 503
        result = (await novu.trigger_async(trigger_event_request_dto=event)).result

        assert result.transaction_id == "tx-1"
        assert [trigger.once_for_good for trigger in broker.triggers()] == [True]


async def test_the_same_idempotency_key_names_the_same_transaction_in_every_copy_of_the_service() -> None:
    found = []
    for _ in range(2):
        async with served() as (url, broker, _), sdk(url) as novu:
            answer = await novu.trigger_async(trigger_event_request_dto=EVENT, idempotency_key="k")
            found.append((answer.result.transaction_id, broker.triggers()[0].trigger_id))

    assert found[0] == found[1]


async def test_one_transaction_twice_in_a_bulk_is_one_trigger() -> None:
    async with served() as (url, broker, _), sdk(url) as novu:
        event = {**EVENT, "transaction_id": "tx-1"}
        results = (await novu.trigger_bulk_async(bulk_trigger_event_dto={"events": [event, EVENT, event]})).result

        assert [result.status for result in results] == ["processed"] * 3
        assert len({trigger.trigger_id for trigger in broker.triggers()}) == len(broker.triggers()) == 2


@pytest.mark.parametrize(
    ("authorization", "message"),
    [
        (None, "Missing authorization header"),
        ("Basic eDp5", 'Invalid authentication scheme: "Basic"'),
        ("ApiKey ", "Unauthorized"),
        ("ApiKey sk_other", "API Key not found"),
    ],
)
async def test_a_credential_that_is_none_is_refused_in_novus_words(authorization: str | None, message: str) -> None:
    async with served() as (_, _, client):
        headers = {} if authorization is None else {"Authorization": authorization}
        async with client.post("/v1/events/trigger", json={}, headers=headers) as answer:
            body = await answer.json()

    assert (answer.status, body["message"]) == (401, message)
    assert body["path"] == "/v1/events/trigger"


async def test_an_event_with_too_much_about_its_people_fails_alone() -> None:
    async with served() as (_, broker, client):
        people = [{"subscriberId": f"u{number}", "data": {"text": "x" * 20_000}} for number in range(100)]
        events = [{"name": "hello", "to": "u1"}, {"name": "hello", "to": people}]
        headers = {"Authorization": f"ApiKey {KEY}", "Content-Type": "application/json"}
        bulk, one = (BytesIO(dumps(body).encode()) for body in ({"events": events}, events[1]))
        async with client.post("/v1/events/trigger/bulk", data=bulk, headers=headers) as answer:
            results = (await answer.json())["data"]
        async with client.post("/v1/events/trigger", data=one, headers=headers) as answer:
            alone = answer.status

    assert [result["status"] for result in results] == ["processed", "error"]
    assert alone == 413
    assert len(broker.records) == 1
