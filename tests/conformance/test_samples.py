"""The code samples of the documented APIs run as they are; only the URL, the credentials and placeholders change."""

from __future__ import annotations

import asyncio
import json
import os
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from programs import program
from sluice_local.stack import Stack
from tenant import Tenant, new_tenant

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

SAMPLES: Final = Path(__file__).with_name("samples")
ADDRESSES: Final = {
    '"phone_number": "string"': '"phone_number": "+14155550123"',
    '"email": "string"': '"email": "ada@example.com"',
}
"""Where a sample says only of which type an address is."""

LONGEST_SECONDS: Final = 90.0
"""A compiler has as long on a slow machine."""

_STATUS: Final = "\n%{http_code}"
_DECLARED: Final = "declare const API_KEY: string;"
_STRICTLY: Final = (
    *("--strict", "--types", "", "--lib", "es2022,dom"),
    *("--target", "es2022", "--module", "es2022", "--moduleDetection", "force"),
)
_PRELUDE: Final = """
globalThis.API_KEY = process.env.API_KEY;
const direct = globalThis.fetch;
globalThis.fetch = (path, options = {}) =>
  direct(process.env.BASE_URL + path, { ...options, headers: { ...options.headers, 'X-API-Key': API_KEY } });
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tenant(stack: Stack) -> AsyncIterator[Tenant]:
    """A workspace with what the samples name."""
    async with new_tenant(stack) as made:
        variant = {"country": "US", "locale": None, "text": "Your code"}
        template = {"key": "otp_us", "name": "OTP", "channel": "sms", "category": "authentication"}
        await made.api.post("/api/v1/templates", template | {"variants": [variant]})
        ada = {"external_id": "user_123", "phone_number": "+14155550123", "tags": ["all"]}
        ravi = {"external_id": "user_124", "phone_number": "+918489462530", "tags": ["all"]}
        await made.api.post("/api/v1/contacts/bulk", {"contacts": [ada, ravi]})
        step = {"step_id": "step-1", "step_name": "Welcome", "channel": "sms", "template_key": "otp_us"}
        series = {"name": "Welcome Series", "type": "steps", "status": "active", "steps": [step]}
        await made.api.post("/api/v1/workflows", series)
        yield made


async def output_of(*command: str, **environment: str) -> str:
    """Run a program; return what it prints, and fail where it fails."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], **environment},
    )
    async with asyncio.timeout(LONGEST_SECONDS):
        printed, complained = await process.communicate()
    assert process.returncode == 0, complained.decode()
    return printed.decode()


async def curl(sample: str, changes: dict[str, str]) -> tuple[int, Any]:
    """Run a curl sample with texts changed; return status and body."""
    program("curl")
    text = changed((SAMPLES / sample).read_text(), changes)
    printed = await output_of("bash", "-c", f"{text.rstrip()} --silent --show-error --write-out '{_STATUS}'")
    body, _, status = printed.rpartition("\n")
    return int(status), json.loads(body)


async def node(sample: str, tenant: Tenant, changes: dict[str, str], *, scratch: Path | None = None) -> str:
    """Run a JavaScript sample with texts changed, TypeScript after tsc has checked it; return what it prints."""
    text = changed((SAMPLES / sample).read_text(), changes)
    if scratch is not None:
        text = await compiled(text, scratch)
    environment = {"BASE_URL": tenant.stack.base_url, "API_KEY": tenant.api.key}
    return await output_of(program("node"), "--input-type=module", "--eval", _PRELUDE + text, **environment)


async def compiled(text: str, scratch: Path) -> str:
    """Return the JavaScript of a TypeScript text that has no wrong type in it."""
    (scratch / "sample.ts").write_text(text)
    (scratch / "declared.d.ts").write_text(_DECLARED)
    sources = (str(scratch / name) for name in ("sample.ts", "declared.d.ts"))
    await output_of(program("tsc"), *_STRICTLY, "--outDir", str(scratch), *sources)
    return (scratch / "sample.js").read_text()


def changed(text: str, changes: dict[str, str]) -> str:
    """Return `text` with each change made; fail where there is nothing to change."""
    for given, wanted in changes.items():
        assert given in text
        text = text.replace(given, wanted)
    return text


async def documented_call(tenant: Tenant, sample: str) -> Any:
    """Make the documented request of a file; return the answer's body."""
    request, _, body = (SAMPLES / sample).read_text().partition("\n\n")
    method, path = request.split()
    answer = await tenant.api.call(method, path, json=json.loads(body))
    assert answer.status == 200, answer.body
    return answer.body


async def test_peachs_curl_fires_an_event_at_an_automation(tenant: Tenant) -> None:
    stream = {"key": "strm_1234abcd", "name": "Automation", "type": "marketing", "template_key": "otp_us"}
    await tenant.api.post("/api/v1/streams", stream | {"status": "ready"})
    at = f"{tenant.stack.base_url}/api/v1/streams/"
    changes = {"'/api/v1/streams/": f"'{at}", "<api-key>": tenant.api.key}
    status, body = await curl("peach_trigger_automation.sh", changes | ADDRESSES)
    assert (status, body["status"], "warnings" in body) == (200, "success", False)
    assert (await tenant.api.finished(body["trigger_id"]))["summary"]["sent"] == 1
    # Word for word, with "string" for every address: accepted, as documented, and not sent for a reason.
    status, body = await curl("peach_trigger_automation.sh", changes)
    assert (status, body["status"]) == (200, "success")
    assert [warning["field"] for warning in body["warnings"]] == ["contact.phone_number", "contact.email"]
    job = await tenant.final(body["trigger_id"], "unreachable:string")
    assert (job["status"], job["filter_code"]) == ("filtered", "no_address_for_channel")
    assert (await tenant.api.get("/api/v1/contacts/external/unreachable:string"))["name"] == "string"
    status, _ = await curl("peach_trigger_automation.sh", changes | ADDRESSES | {"strm_1234abcd": "strm_nowhere"})
    assert status == 404


async def test_pocketflows_curl_creates_a_trigger(tenant: Tenant) -> None:
    business = (await tenant.api.get("/api/v1/workspace"))["id"]
    changes = {
        "https://api.pocketflows.com/businesses/{id}/": f"{tenant.stack.base_url}/businesses/{business}/",
        "<encoded-value>": b64encode(f"{tenant.api.key}:".encode()).decode(),
    }
    status, body = await curl("pocketflows_create_trigger.sh", changes)
    assert status == 200, body
    assert (body["status"], body["trigger"], body["attributed_revenue"]) == ("draft", None, 123)


async def test_the_first_flow_of_the_trigger_api_is_played_as_documented(tenant: Tenant, tmp_path: Path) -> None:
    accepted = await documented_call(tenant, "trigger_api_flow_1.http")
    assert list(accepted) == ["success", "trigger_id", "job_id"]
    over = await tenant.api.finished(accepted["trigger_id"])
    assert (over["flow_type"], over["trigger_type"]) == ("direct_channel", "sms")
    assert over["details_endpoint"] == f"/triggers/{accepted['trigger_id']}/direct"
    printed = await node("trigger_api_frontend.ts", tenant, {"780cab43...": accepted["trigger_id"]}, scratch=tmp_path)
    assert printed == "Channel: sms\nSent: 1\nFiltered: 0\n"


async def test_the_second_flow_of_the_trigger_api_is_played_as_documented(tenant: Tenant, tmp_path: Path) -> None:
    accepted = await documented_call(tenant, "trigger_api_flow_2.http")
    assert list(accepted) == ["success", "trigger_id"]
    over = await tenant.api.finished(accepted["trigger_id"])
    assert (over["flow_type"], over["trigger_type"]) == ("workflow", "workflow")
    printed = await node("trigger_api_frontend.ts", tenant, {"780cab43...": accepted["trigger_id"]}, scratch=tmp_path)
    assert printed == "Workflow: Welcome Series\nSteps: 1\n"


async def test_both_tiers_are_used_together_as_documented(tenant: Tenant) -> None:
    body = {"recipient_type": "tag", "tags": ["all"], "template_key": "otp_us"}
    sent = await tenant.api.post("/api/v1/messages/sms/send", body)
    await tenant.api.finished(sent["trigger_id"])
    printed = await node("trigger_api_both_tiers.mjs", tenant, {"abc123": sent["trigger_id"]})
    assert printed.splitlines() == [
        "Total: 2, Sent: 1, Filtered: 1",
        "+918489462530: No approved SMS template for country: IN",
    ]


async def test_commpeaks_request_is_answered_message_by_message(tenant: Tenant) -> None:
    stream = await tenant.api.post(
        "/api/v1/streams", {"name": "Codes", "type": "transactional", "status": "ready", "template_key": "otp_us"}
    )
    message = {"internal_id": "1", "sender": "Sluice", "recipient_phone": "+14155550123", "message_content": "Hi"}
    headers = {"Authorization": stream["token"], "X-API-Key": ""}
    answer = await tenant.api.call("POST", "/event_send/", json={"messages": [message]}, headers=headers)
    assert answer.status == 200, answer.body
    assert [result["internal_id"] for result in answer.body["messages"]] == ["1"]
