"""What the logs of a whole stack show, and what they never do: addresses, what messages say, and secrets."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import signal
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pytest

from api_client import wait_until
from broker import Broker
from doubles import HANG_UP, Answer, Twilio, running
from sluice_local.options import SERVICES
from sluice_local.stack import Stack
from tenant import Tenant, new_number, new_tenant

pytestmark = pytest.mark.e2e

LEVELS: Final = {"debug", "info", "warning", "error", "critical"}
ADDRESS: Final = re.compile(r"(?<![\w+])\+\d{7,15}(?!\d)|[\w.+-]{2,}@[\w-]+\.[\w.-]*[a-z]{2}")
BAD_REQUEST: Final = 422


class Known:
    """What somebody who reads the logs must not learn, each unlike anything else."""

    def __init__(self) -> None:
        self.token = secrets.token_hex(6)
        self.phone = new_number()
        self.digits = self.phone.removeprefix("+1")
        self.local_part = f"zelda.{self.token}"
        self.email = f"{self.local_part}@example.test"
        self.words = f"xyzzy-{self.token}"
        self.code = f"90{secrets.randbelow(10**10):010d}"
        self.secret = f"hush-{self.token}"

    def all(self, *keys: str) -> set[str]:
        """Return every string that must not be found."""
        return {self.digits, self.local_part, self.words, self.code, self.secret, *keys}


@pytest.fixture
async def tenant(stack: Stack) -> AsyncIterator[Tenant]:
    async with new_tenant(stack) as made:
        yield made


@pytest.fixture
async def twilio() -> AsyncIterator[Twilio]:
    async with running(Twilio) as double:
        yield double


async def test_no_log_shows_an_address_a_message_or_a_secret(tenant: Tenant, twilio: Twilio) -> None:
    known = Known()
    person = {"phone_number": known.phone, "email": known.email, "attributes": {"note": known.words}}
    external_id = await tenant.contact(**person)
    await what_goes_well(tenant, known, external_id)
    await what_goes_wrong(tenant, known, external_id, twilio)
    await what_callers_do_wrong(tenant, known)
    await what_nobody_can_read(tenant, known)
    await a_service_that_dies_with_a_request(tenant, known)
    for file in tenant.stack.data.logs.iterdir():
        shown = file.read_text(errors="replace")
        for word in known.all(tenant.api.key, tenant.stack.api_key):
            assert word not in shown, (file.name, [line for line in shown.splitlines() if word in line][:3])


async def test_every_line_of_a_service_is_json_with_what_every_line_has(stack: Stack) -> None:
    read = 0
    for service, line in lines_of(stack):
        assert list(line)[:4] == ["timestamp", "level", "service", "event"], line
        assert datetime.fromisoformat(line["timestamp"]).utcoffset() is not None
        assert line["level"] in LEVELS
        assert line["service"] == service
        assert line["event"]
        assert ("trace_id" in line) == ("span_id" in line)
        assert not ADDRESS.search(json.dumps(line)), line
        read += 1
    assert read


async def test_lines_written_for_a_request_carry_its_trace(stack: Stack, tenant: Tenant) -> None:
    trace = secrets.token_hex(16)
    headers = {"traceparent": f"00-{trace}-{secrets.token_hex(8)}-01"}
    body = {"recipient_type": "direct_sms", "direct_sms": "+14155550171", "text": "Hello", "category": "transactional"}
    sent = await tenant.api.post("/api/v1/sms/send", body, headers=headers)
    await tenant.api.finished(sent["trigger_id"])
    refused = await tenant.api.call("POST", "/api/v1/sms/send", json={"what": "?"}, headers=headers)
    assert refused.status == BAD_REQUEST
    expected = {("channel-sms", "command.carried_out"), ("ingest", "request.answered")}
    found: set[tuple[str, str]] = set()

    async def are_there() -> bool:
        found.update((service, line["event"]) for service, line in lines_of(stack) if line.get("trace_id") == trace)
        return found >= expected

    await wait_until(are_there, describe=lambda: f"only {found}")
    refusals = [line for _, line in lines_of(stack) if line.get("request_id") == refused.headers["X-Request-Id"]]
    assert [(line["route"], line["status"]) for line in refusals] == [("/api/v1/sms/send", BAD_REQUEST)]


async def what_goes_well(tenant: Tenant, known: Known, external_id: str) -> None:
    """Send on all channels, with words of the template, of the variables and of the contact."""
    words = f"{known.words} {{{{ code }}}} {{{{ contact.attributes.note }}}}"
    variables = {"code": known.code}
    contents: dict[str, dict[str, Any]] = {
        "sms": {"template_key": await tenant.template("sms", text=words)},
        "email": {"template_key": await tenant.template("email", subject=words, html=f"<p>{words}</p>")},
        "whatsapp": {
            "template_key": await tenant.template("whatsapp", template_name="hi", language="en_US", body=words)
        },
    }
    for channel, content in contents.items():
        sent = await tenant.send(channel, external_id, "transactional", variables=variables, **content)
        job = await tenant.final(sent, external_id)
        assert job["status"] == "sent"


async def what_goes_wrong(tenant: Tenant, known: Known, external_id: str, twilio: Twilio) -> None:
    """Let a provider refuse and hang up, quote what it was sent, and get callbacks that are not the provider's."""
    sid = "AC" + "0" * 32
    config = {"account_sid": sid, "from": "+15005550006", "base_url": twilio.base_url}
    account = await tenant.account("twilio", config, {"auth_token": known.secret}, channel="sms")
    quoted = {"code": 21617, "message": f"{known.phone} wrote {known.words} {known.secret}", "status": 400}
    answers: tuple[Answer | str, ...] = ((400, quoted, {}), HANG_UP, (500, quoted, {}), (401, quoted, {}))
    for answer in answers:
        twilio.answers.append(answer)
        await tenant.send("sms", external_id, "marketing", text=known.words)
    for method, query in (("POST", f"token={known.secret}"), ("GET", f"To={known.digits}&ref={known.words}")):
        path = f"/callbacks/sms/{account}?{query}"
        async with tenant.public.request(method, path, data={"To": known.phone, "Body": known.words}) as forged:
            assert forged.status == 403

    async def has_answered() -> bool:
        return not twilio.answers

    await wait_until(has_answered, describe=lambda: f"{len(twilio.answers)} answers were not asked for")


async def what_callers_do_wrong(tenant: Tenant, known: Known) -> None:
    """Make requests that are refused, with addresses and secrets in every part of them."""
    wrong = {"X-API-Key": f"sk_{known.secret}", "User-Agent": known.words, "Authorization": f"Bearer {known.secret}"}
    send = {"recipient_type": "direct_sms", "direct_sms": f"{known.phone}000000", "text": known.words}
    template = {"key": "x", "name": known.words, "channel": "sms", "variants": [{"text": "{{"}]}
    for method, path, body in (
        ("POST", "/api/v1/sms/send", send),
        ("POST", "/api/v1/sms/send", {known.email: known.code}),
        ("POST", "/api/v1/templates", template),
        ("POST", "/api/v1/contacts", {"external_id": known.email, "email": f"{known.email} {known.email}"}),
        ("GET", f"/api/v1/contacts/external/{known.email}", None),
        ("GET", f"/api/v1/sandbox/messages?to={known.email}&cursor={known.words}", None),
        ("GET", f"/u/{known.secret}.{known.words}", None),
        ("GET", f"/{known.email}/{known.secret}?api_key={known.secret}", None),
    ):  # fmt: skip
        assert (await tenant.api.call(method, path, json=body)).status in range(200, 500)
        assert (await tenant.api.call(method, path, json=body, headers=wrong)).status in range(400, 500)


async def what_nobody_can_read(tenant: Tenant, known: Known) -> None:
    """Put records on the topics that cannot be handled and hold everything."""
    async with Broker(tenant.stack.connections.kafka) as broker:
        for topic in ("triggers.priority", "commands.sms.priority", "deliveries", "receipts.sms", "executions"):
            content = {"address": known.phone, "email": known.email, "text": known.words, "token": known.secret}
            value = json.dumps({"type": "from.the.future.v9", **content}).encode()
            await broker.append(topic, value, key=b"poison")
        await broker.append("control", known.email.encode(), key=b"poison")
        await broker.caught_up()


async def a_service_that_dies_with_a_request(tenant: Tenant, known: Known) -> None:
    """Let the gateway lose a request that it has passed on."""
    body = {
        "recipient_type": "direct_email",
        "direct_email": known.email,
        "subject": known.words,
        "content": known.code,
    }
    path = f"/api/v1/messages/email/send?to={known.email}"
    tenant.stack.kill("ingest", signal.SIGSTOP)
    calling = asyncio.create_task(tenant.api.call("POST", path, json=body))
    caddy = tenant.stack.data.log("caddy")
    size = caddy.stat().st_size
    # There is no telling from outside when the gateway has passed the request on.
    done, _ = await asyncio.wait({calling}, timeout=3)
    assert not done
    tenant.stack.kill("ingest", signal.SIGKILL)
    assert (await calling).status == 502

    async def is_noted() -> bool:
        return caddy.stat().st_size > size

    await wait_until(is_noted, describe=lambda: "the gateway has written nothing about it")

    async def is_back() -> bool:
        return (await tenant.api.call("GET", "/api/v1/templates?limit=1")).status == 200

    await wait_until(is_back)


def lines_of(stack: Stack) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return what every service has written, line by line."""
    for service in SERVICES:
        for file in sorted(Path(stack.data.logs).glob(f"{service}*.log")):
            *lines, _ = file.read_text().split("\n")  # the last one may still be being written
            for line in lines:
                yield service, json.loads(line)
