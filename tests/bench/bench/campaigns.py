"""Sending to an audience, and watching it to its end."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from api_client import ApiClient
from bench.rig import Rig, until

LONGEST_SECONDS = 420.0


@dataclass(frozen=True, slots=True)
class Course:
    """How a campaign went, in seconds from its request: until every row was final, and until every receipt
    that was waited for was folded.
    """

    trigger_id: str
    accepted_at: float
    final_seconds: float
    received_seconds: float
    ledger: dict[str, Any]


async def make_template(api: ApiClient, channel: str, key: str, **variant: Any) -> None:
    """Make an approved marketing template."""
    variants = [{"country": None, "locale": None, **variant}]
    body = {"key": key, "name": key, "channel": channel, "category": "marketing", "variants": variants}
    await api.post("/api/v1/templates", body)


async def send_to_audience(rig: Rig, channel: str, tag: str, template: str) -> str:
    """Ask for a campaign; return its trigger."""
    body = {
        "recipient_type": "tag", "tags": [tag], "template_key": template, "category": "marketing",
        "variables": {"what": "Everything at half price"},
    }  # fmt: skip
    async with rig.api("ingest") as api:
        answer = await api.post(f"/api/v1/messages/{channel}/send", body)
    return str(answer["trigger_id"])


async def run_campaign(
    rig: Rig, channel: str, tag: str, template: str, size: int, *, receipts: bool, seconds: float = LONGEST_SECONDS
) -> Course:
    """Send to the `size` contacts of `tag`, and return once every row is final, and with `receipts` each has its own.

    Raises RuntimeError where not every one of them was sent.
    """
    accepted_at = time.time()
    began = time.perf_counter()
    trigger_id = await send_to_audience(rig, channel, tag, template)
    ledger: dict[str, Any] = {}
    async with rig.api("status-api") as api:

        async def is_final() -> bool:
            ledger.update(await api.get(f"/api/v1/triggers/{trigger_id}/ledger"))
            return bool(ledger["accepted"] == ledger["total"] == size and ledger["open"] == 0)

        await until(is_final, seconds)
        final = time.perf_counter() - began

        async def is_received() -> bool:
            body = await api.get(f"/api/v1/triggers/{trigger_id}/ledger")
            ledger.update(body)
            return all(execution["analytics"]["awaiting_receipt"] == 0 for execution in body["executions"])

        received = final
        if receipts:
            await until(is_received, seconds)
            received = time.perf_counter() - began
    if ledger["sent"] != size:
        raise RuntimeError(f"not everybody was sent to: {ledger}")
    return Course(trigger_id, accepted_at, final, received, ledger)
