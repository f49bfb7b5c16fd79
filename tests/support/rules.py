"""Workflows, the rules that start them, and events, in a tenant's workspace."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from api_client import Response, wait_until
from tenant import Tenant


class Rules:
    """Workflows, the rules that start them, and events."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant = tenant
        self.api = tenant.api

    async def workflow(self, *steps: dict[str, Any], text: str = "Hello") -> str:
        """Publish a workflow of one SMS, or of `steps`; return its name."""
        name = f"workflow {uuid4().hex[:8]}"
        key = f"sms_{uuid4().hex[:8]}"
        variants = [{"country": None, "locale": None, "text": text}]
        template = {"key": key, "name": key, "channel": "sms", "category": "transactional", "variants": variants}
        await self.api.post("/api/v1/templates", template)
        plain = {"step_id": "sms", "step_name": "SMS", "channel": "sms", "template_key": key}
        whole = [step if "type" in step else {**plain, **step} for step in steps or ({},)]
        body = {"name": name, "type": "steps", "status": "active", "category": "transactional", "steps": whole}
        await self.api.post("/api/v1/workflows", body)
        return name

    def wait(self, event: str, **fields: Any) -> dict[str, Any]:
        """Return a step in which each contact waits for `event`, for an hour if nothing else is said."""
        return {
            "type": "wait_for_event", "step_id": "wait", "step_name": "Wait", "event": event, "timeout_minutes": 60,
            **fields,
        }  # fmt: skip

    async def rule(self, event: str, workflow: str, **fields: Any) -> str:
        """Make an active rule; return its id."""
        body = {"name": f"rule {uuid4().hex[:8]}", "event": event, "workflow": workflow, "status": "active", **fields}
        return str((await self.api.post("/api/v1/trigger-rules", body))["id"])

    async def happen(
        self, event: str, contact: str | dict[str, Any], data: Any = None, **fields: Any
    ) -> dict[str, Any]:
        """Send an event; return what became of it once that is known."""
        who = {"contact_external_id": contact} if isinstance(contact, str) else {"contact": contact}
        sent = await self.api.post("/api/v1/events", {"event": event, "data": data or {}, **who, **fields})
        assert sent["success"] is True
        return await self.evaluated(sent["event_id"])

    async def evaluated(self, event_id: str) -> dict[str, Any]:
        """Wait until it is known what became of an event, and return it."""
        answer: Response | None = None

        async def is_known() -> bool:
            nonlocal answer
            # A reader is told after some seconds that there is none, and on a busy machine it may come later.
            answer = await self.api.call("GET", f"/api/v1/events/{event_id}")
            return answer.status == 200

        await wait_until(is_known, 60, lambda: str(answer))
        assert answer is not None
        return dict(answer.body)

    async def texts(self, to: str, count: int) -> list[str]:
        """Wait until `count` messages have gone to a number; return what they say, oldest first."""
        path = f"/api/v1/sandbox/messages?channel=sms&to={to.replace('+', '%2B')}"
        page = await self.api.until(path, lambda body: len(body["messages"]) >= count)
        assert len(page["messages"]) == count
        return [message["text"] for message in reversed(page["messages"])]
