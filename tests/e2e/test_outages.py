"""What happens while PostgreSQL or the broker is away, and when services are stopped or killed under load."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from api_client import FINAL, ApiClient, wait_until
from rules import Rules
from sluice_local.stack import Stack
from tenant import new_number, new_tenant

pytestmark = pytest.mark.e2e

SEND = {"recipient_type": "direct_sms", "direct_sms": "+14155550100", "text": "Hello"}
EVENT = {"event": "seen.while.away", "contact_external_id": "nobody"}
RECOVERY_SECONDS = 60.0
BUSY_SECONDS = 5.0
"""What a machine that has much else to do may add to a time that is promised."""


@pytest.fixture
async def api(stack: Stack) -> AsyncIterator[ApiClient]:
    async with ApiClient(stack.base_url, stack.api_key) as client:
        yield client


async def test_ingest_goes_on_accepting_while_postgres_is_away_and_nothing_is_lost(
    api: ApiClient, stack: Stack
) -> None:
    stack.kill("postgres", signal.SIGKILL)
    accepted = [await api.post("/api/v1/sms/send", SEND) for _ in range(20)]
    for answer in accepted:
        over = await api_when_back(api, answer["trigger_id"])
        assert over["summary"]["sent"] == 1


async def test_an_event_is_accepted_while_postgres_is_away_and_answered_by_its_rule_later(stack: Stack) -> None:
    async with new_tenant(stack) as tenant:
        rules = Rules(tenant)
        await rules.rule("order.paid", await rules.workflow())
        ada = await tenant.contact(phone_number=new_number())
        stack.kill("postgres", signal.SIGKILL)
        sent = await tenant.api.post("/api/v1/events", {"event": "order.paid", "contact_external_id": ada})
        outcome = await rules.evaluated(sent["event_id"])
        assert outcome["outcome"] == "triggered"


async def api_when_back(api: ApiClient, trigger_id: str, seconds: float = RECOVERY_SECONDS) -> Any:
    """Wait for a trigger's end while the status service, or its database, is coming back."""
    body: Any = None

    async def is_over() -> bool:
        nonlocal body
        answer = await api.call("GET", f"/api/v1/triggers/{trigger_id}")
        assert answer.status in {200, 404, 502, 503, 504}, answer
        body = answer.body
        return answer.status == 200 and body["status"] in FINAL

    await wait_until(is_over, seconds, lambda: str(body))
    return body


async def test_a_broker_that_is_away_is_a_503_within_five_seconds(api: ApiClient, stack: Stack) -> None:
    stack.kill("kafka", signal.SIGSTOP)
    try:
        before = time.monotonic()
        answers = await asyncio.gather(
            api.call("POST", "/api/v1/sms/send", json=SEND),
            api.call("POST", "/api/v1/events", json=EVENT),
            api.call("POST", "/api/v1/events/bulk", json={"events": [EVENT, {"event": "incomplete"}]}),
        )
        for answer in answers:
            assert answer.status == 503, answer
            assert int(answer.headers["Retry-After"]) > 0
            assert answer.headers["Content-Type"].startswith("application/problem+json")
        assert time.monotonic() - before < 5 + BUSY_SECONDS
    finally:
        stack.kill("kafka", signal.SIGCONT)

    async def accepts_again() -> bool:
        return (await api.call("POST", "/api/v1/sms/send", json=SEND)).status == 200

    await wait_until(accepts_again, RECOVERY_SECONDS)
    sent = await api.post("/api/v1/sms/send", SEND)
    assert (await api.finished(sent["trigger_id"], RECOVERY_SECONDS))["summary"]["sent"] == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_services_that_are_stopped_under_load_lose_and_double_nothing(
    api: ApiClient, stack: Stack, number: signal.Signals
) -> None:
    mark = uuid4().hex[:8]
    contacts = [
        {"external_id": f"{mark}-{place}", "phone_number": f"+1415556{place:04d}", "tags": [mark]}
        for place in range(1000)
    ]
    await api.add_contacts(contacts)
    audience = {"recipient_type": "tag", "tags": [mark], "text": "Sale", "category": "marketing"}
    broadcast = await api.post("/api/v1/sms/send", audience)
    accepted = []
    for service in ("channel-sms", "orchestrator", "status-api", "channel-sms", "orchestrator"):
        accepted += [await api.post("/api/v1/sms/send", SEND | {"category": "marketing"}) for _ in range(10)]
        stack.kill(service, number)
    for answer in accepted:
        over = await api_when_back(api, answer["trigger_id"])
        assert over["summary"]["filtered"] == 0
    # A wave in doubt waits for its lease to run out before anybody calls it uncertain.
    await api_when_back(api, broadcast["trigger_id"], 190)
    ledger = await api.get(f"/api/v1/triggers/{broadcast['trigger_id']}/ledger")
    assert (ledger["accepted"], ledger["open"], ledger["unaccounted"]) == (1000, 0, 0)
    seen: dict[str, int] = {}
    cursor = ""
    while cursor is not None:
        query = f"trigger_id={broadcast['trigger_id']}&channel=sms&limit=200" + (f"&cursor={cursor}" if cursor else "")
        page = await api.get(f"/api/v1/sandbox/messages?{query}")
        for message in page["messages"]:
            seen[message["job_id"]] = seen.get(message["job_id"], 0) + 1
        cursor = page["pagination"]["next_cursor"]
    assert set(seen.values()) == {1}
    if number is signal.SIGTERM:
        assert len(seen) == 1000
