"""`sluice demo`: a thousand contacts, the three flows of the Trigger API, what became of every message; every door."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any, Final

from rich.console import Console

from sluice_local.console.client import Client, RefusedError
from sluice_local.console.doors import DoorsShow
from sluice_local.console.watching import Snapshot, show_ledger, summarise, watch
from sluice_local.data import DataDirectory
from sluice_local.durations import describe

CONTACTS: Final = 1000
TAG: Final = "demo"

_MISHAPS: Final = {
    1: ("+15005550001", "invalid@sandbox.test"),
    2: ("+15005550002", "bounce@sandbox.test"),
    3: ("+15005550003", "flaky@sandbox.test"),
    4: ("+15005550004", "throttled@sandbox.test"),
    7: ("+15005550007", "optout@sandbox.test"),
    8: ("+15005550008", "complaint@sandbox.test"),
    9: ("+15005550009", "engaged@sandbox.test"),
}
"""Contacts, by number, with an address at which the sandbox provider makes something happen."""

TEMPLATES: Final[tuple[dict[str, Any], ...]] = (
    {
        "key": "demo_otp_sms",
        "name": "Demo code, SMS",
        "channel": "sms",
        "category": "authentication",
        "variants": [{"country": "US", "locale": None, "text": "{{ first_name }}, your code is {{ code }}."}],
    },
    {
        "key": "demo_otp_email",
        "name": "Demo code, email",
        "channel": "email",
        "category": "authentication",
        "variants": [
            {
                "country": None,
                "locale": None,
                "subject": "Your code is {{ code }}",
                "html": "<p>Hello {{ first_name }}, your code is <b>{{ code }}</b>.</p>",
                "text": "Hello {{ first_name }}, your code is {{ code }}.",
            }
        ],
    },
    {
        "key": "demo_otp_whatsapp",
        "name": "Demo code, WhatsApp",
        "channel": "whatsapp",
        "category": "authentication",
        "variants": [
            {
                "country": None,
                "locale": None,
                "template_name": "demo_otp",
                "language": "en_US",
                "body": "{{ first_name }}, your code is {{ code }}.",
            }
        ],
    },
    {
        "key": "demo_welcome",
        "name": "Demo welcome",
        "channel": "email",
        "category": "marketing",
        "variants": [
            {
                "country": None,
                "locale": None,
                "subject": "Welcome, {{ first_name }}",
                "html": '<p>Good to have you. <a href="https://example.com/start">Begin here</a>.</p>',
                "text": "Good to have you. Begin here: https://example.com/start",
            }
        ],
    },
    {
        "key": "demo_day_1",
        "name": "Demo day 1",
        "channel": "sms",
        "category": "marketing",
        "variants": [{"country": None, "locale": None, "text": "{{ first_name }}, one day in: how is it going?"}],
    },
    {
        "key": "demo_day_3",
        "name": "Demo day 3",
        "channel": "whatsapp",
        "category": "marketing",
        "variants": [
            {
                "country": None,
                "locale": None,
                "template_name": "demo_day_3",
                "language": "en_US",
                "body": "{{ first_name }}, three days in. Reply if we can help.",
            }
        ],
    },
)
GROUP: Final[dict[str, Any]] = {
    "key": "demo_otp",
    "name": "Demo code, every channel",
    "templates": {"email": "demo_otp_email", "sms": "demo_otp_sms", "whatsapp": "demo_otp_whatsapp"},
}
SERIES: Final[dict[str, Any]] = {
    "name": "Demo Welcome Series",
    "type": "steps",
    "status": "active",
    "steps": [
        {
            "step_id": "step-1",
            "step_name": "Welcome Email",
            "channel": "email",
            "template_key": "demo_welcome",
            "delay_minutes": 0,
        },
        {
            "step_id": "step-2",
            "step_name": "Day 1 SMS",
            "channel": "sms",
            "template_key": "demo_day_1",
            "delay_minutes": 1440,
        },
        {
            "step_id": "step-3",
            "step_name": "Day 3 WhatsApp",
            "channel": "whatsapp",
            "template_key": "demo_day_3",
            "delay_minutes": 4320,
        },
    ],
}
EVERY_CHANNEL: Final[dict[str, Any]] = {
    "name": "Demo Multi-Channel OTP",
    "type": "template_group",
    "status": "active",
    "template_group_key": "demo_otp",
}


def contact(number: int) -> dict[str, Any]:
    """Return the contact with this number, from 0: most in the US, some in India, some without email, a few mishaps."""
    phone_number, email = _MISHAPS.get(number, (f"+1415555{number:04}", f"demo{number:04}@example.com"))
    if number % 50 == 49:
        phone_number = f"+9184894{number:05}"
    return {
        "external_id": f"demo_{number:04}",
        "email": None if number % 10 == 5 else email,
        "phone_number": phone_number,
        "first_name": f"Ada {number}",
        "tags": [TAG],
        "attributes": {"plan": "pro" if number % 2 else "free"},
    }


class Demo:
    """The show, in scenes. It may be run again: what is defined already is used."""

    def __init__(self, client: Client, data: DataDirectory, console: Console) -> None:
        self._client = client
        self._data = data
        self._console = console

    async def run(self) -> None:
        """Play all scenes."""
        await self._define()
        await self._direct_send()
        await self._series()
        await self._every_channel()
        self._title("One event through each door")
        await DoorsShow(self._client, self._console).run()

    async def _define(self) -> None:
        self._title(f"{CONTACTS} contacts, {len(TEMPLATES)} templates, a template group, two workflows")
        answer = await self._client.post("/contacts/bulk", {"contacts": [contact(n) for n in range(CONTACTS)]})
        refused = [result for result in answer["results"] if result["status"] == "failed"]
        if refused:
            self._console.print(f"[yellow]{len(refused)} contacts were refused, the first: {refused[0]}[/]")
        for template in TEMPLATES:
            await self._create("/templates", template)
        await self._create("/template-groups", GROUP)
        await self._create("/workflows", SERIES)
        await self._create("/workflows", EVERY_CHANNEL)

    async def _direct_send(self) -> None:
        self._title("Flow 1: a direct send to a tag")
        trigger_id = await self._trigger(
            "/messages/sms/send", {"template_key": "demo_otp_sms", "variables": {"code": "271828"}}
        )
        await self._conclude(trigger_id)

    async def _series(self) -> None:
        self._title("Flow 2: a workflow with steps, three days long; the clock is moved")
        trigger_id = await self._trigger("/workflows/trigger", {"workflow_name": SERIES["name"]})
        for steps, by in ((1, timedelta(days=1)), (2, timedelta(days=2))):
            await watch(self._client, trigger_id, self._console, until=partial(_has_completed, steps))
            ahead = self._data.advance_clock(by)
            self._console.print(f"the clock moves by {describe(by)}: it is {describe(ahead)} ahead now", style="cyan")
        await self._conclude(trigger_id)

    async def _every_channel(self) -> None:
        self._title("Flow 3: a template group, on every channel at once")
        trigger_id = await self._trigger(
            "/workflows/trigger", {"workflow_name": EVERY_CHANNEL["name"], "variables": {"code": "314159"}}
        )
        await self._conclude(trigger_id)

    async def _trigger(self, path: str, body: dict[str, Any]) -> str:
        answer = await self._client.post(path, {"recipient_type": "tag", "tags": [TAG], **body})
        return str(answer["trigger_id"])

    async def _conclude(self, trigger_id: str) -> None:
        snapshot = await watch(
            self._client, trigger_id, self._console, until=lambda now: now.is_final and not now.awaiting_receipts
        )
        summarise(self._console, snapshot)
        show_ledger(self._console, await self._client.get(f"/triggers/{trigger_id}/ledger"))

    async def _create(self, path: str, body: dict[str, Any]) -> None:
        try:
            await self._client.post(path, body)
        except RefusedError as error:
            if error.status != 409:
                raise

    def _title(self, text: str) -> None:
        self._console.print()
        self._console.rule(text, align="left", style="dim")


def _has_completed(steps: int, snapshot: Snapshot) -> bool:
    return sum(execution.status == "completed" for execution in snapshot.executions) >= steps
