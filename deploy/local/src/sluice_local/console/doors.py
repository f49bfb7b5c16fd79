"""One event through each door: the call as its product documents it, the answer, and the message that came of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote
from uuid import uuid4

from rich.console import Console

from sluice_local.console.client import Client, RefusedError

_PATIENCE_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.1
_EVENT: Final = "demo.order_paid"
_TEXT: Final = "order {{ order }} is on its way"

TEMPLATES: Final = {
    door: {
        "key": f"demo_door_{door}",
        "name": f"Demo, {door}",
        "channel": "sms",
        "category": "transactional",
        "variants": [{"country": None, "locale": None, "text": f"{door}: {_TEXT}"}],
    }
    for door in ("streams", "events", "pocketflows")
}
STREAM: Final[dict[str, Any]] = {
    "key": "demo_stream",
    "name": "Demo stream",
    "type": "transactional",
    "status": "ready",
    "template_key": "demo_door_streams",
}
WORKFLOW: Final[dict[str, Any]] = {
    "name": "Demo order",
    "type": "steps",
    "status": "active",
    "steps": [{"step_id": "sms", "step_name": "SMS", "channel": "sms", "template_key": "demo_door_events"}],
}
RULE: Final[dict[str, Any]] = {
    "key": "demo_order",
    "name": "Demo order",
    "status": "active",
    "event": _EVENT,
    "filter": "event.data.order != ''",
    "mapping": [{"variable": "order", "path": "$.order", "type": "string"}],
    "workflow": WORKFLOW["name"],
}
NOVU_WORKFLOW: Final[dict[str, Any]] = {
    "name": "Demo order in Novu's words",
    "workflowId": "demo-novu-order",
    "active": True,
    "steps": [
        {
            "name": "SMS",
            "type": "sms",
            "controlValues": {"body": "novu: order {{ payload.order }} is on its way"},
        }
    ],
}
POCKETFLOWS_TRIGGER: Final[dict[str, Any]] = {
    "name": "Demo order",
    "project_defined_event": "demo_order_paid",
    "status": "active",
    "steps": [{"type": "custom", "custom_step_id": "demo_door_pocketflows"}],
}


class DoorsShow:
    """What is defined already is used, so that it may be shown again. Each order has a new number, to be told by."""

    def __init__(self, client: Client, console: Console) -> None:
        self._client = client
        self._console = console
        self._order = uuid4().hex[:6]

    async def run(self) -> None:
        """Show all doors."""
        for template in TEMPLATES.values():
            await self._define("/api/v1/templates", template)
        await self._stream()
        await self._commpeak()
        await self._event()
        await self._novu()
        await self._pocketflows()

    async def _stream(self) -> None:
        await self._define("/api/v1/streams", STREAM)
        contact = {"phone_number": _number(1), "name": "Ada Door"}
        body = {"contact": contact, "order": self._order}
        await self._through("Peach", f"/api/v1/streams/{STREAM['key']}/events", body)
        await self._arrived(1, f"streams: order {self._order}")

    async def _commpeak(self) -> None:
        made = await self._client.post(f"/streams/{STREAM['key']}/token", {"overlap_seconds": 0})
        text = f"commpeak: order {self._order} is on its way"
        message = {"internal_id": self._order, "recipient_phone": _number(2), "message_content": text}
        headers = {"Authorization": made["token"], "X-API-Key": ""}
        await self._through("CommPeak", "/event_send/", {"messages": [message]}, headers)
        await self._arrived(2, text)

    async def _event(self) -> None:
        await self._define("/api/v1/workflows", WORKFLOW)
        await self._define("/api/v1/trigger-rules", RULE)
        contact = {"external_id": "demo_door_3", "phone_number": _number(3), "name": "Ada Door"}
        body = {"event": _EVENT, "contact": contact, "data": {"order": self._order}}
        await self._through("Events and rules", "/api/v1/events", body)
        await self._arrived(3, f"events: order {self._order}")

    async def _novu(self) -> None:
        await self._define("/v2/workflows", NOVU_WORKFLOW)
        person = {"subscriberId": "demo_door_4", "phone": _number(4), "firstName": "Ada"}
        body = {"name": NOVU_WORKFLOW["workflowId"], "to": person, "payload": {"order": self._order}}
        await self._through("Novu", "/v1/events/trigger", body)
        await self._arrived(4, f"novu: order {self._order}")

    async def _pocketflows(self) -> None:
        business = (await self._client.get("/workspace"))["id"]
        known = await self._client.call("GET", f"/businesses/{business}/triggers")
        if not any(trigger["name"] == POCKETFLOWS_TRIGGER["name"] for trigger in known["data"]):
            await self._client.call("POST", f"/businesses/{business}/triggers", json=POCKETFLOWS_TRIGGER)
        customer = {"id": "demo_door_5", "phone_number": _number(5), "first_name": "Ada"}
        event = {"event": POCKETFLOWS_TRIGGER["project_defined_event"]}
        data = {"customer": customer, "order": self._order}
        await self._through("Pocketflows", f"/businesses/{business}/track", event | {"data": data})
        await self._arrived(5, f"pocketflows: order {self._order}")

    async def _through(
        self, product: str, path: str, body: dict[str, Any], headers: Mapping[str, str] | None = None
    ) -> None:
        answer = await self._client.call("POST", path, json=body, headers=headers)
        self._console.print(f"[bold]{product}[/]  POST {path}", highlight=False)
        self._console.print(f"  {json.dumps(body)}\n  → {json.dumps(answer)}", highlight=False, markup=False)

    async def _arrived(self, number: int, text: str) -> None:
        path = f"/sandbox/messages?limit=1&to={quote(_number(number))}"
        give_up = asyncio.get_running_loop().time() + _PATIENCE_SECONDS
        while asyncio.get_running_loop().time() < give_up:
            messages = (await self._client.get(path))["messages"]
            if messages and text in messages[0]["text"]:
                self._console.print(f"  ✉ {messages[0]['to']}  {messages[0]['text']}", style="green", highlight=False)
                return
            await asyncio.sleep(_POLL_SECONDS)
        self._console.print(f"  no message has arrived in {_PATIENCE_SECONDS:.0f} s", style="red", highlight=False)

    async def _define(self, path: str, body: dict[str, Any]) -> None:
        try:
            await self._client.call("POST", path, json=body)
        except RefusedError as error:
            if error.status != 409:
                raise


def _number(place: int) -> str:
    return f"+1415555900{place}"
