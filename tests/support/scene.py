"""People, definitions and sends of one test, under a mark of its own, and the books kept about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import uuid4

from api_client import ApiClient

SEGMENT_OF_PATH = {"email": "messages", "sms": "sms", "whatsapp": "whatsapp"}
PAGE = 200


class Scene:
    """Creates what a test needs through the public API."""

    def __init__(self, api: ApiClient) -> None:
        self.api = api
        self.mark = uuid4().hex[:10]

    async def contacts(self, size: int, *special: dict[str, Any], tag: str | None = None) -> list[str]:
        """Create `size` contacts with a telephone and a mailbox, and one for each of `special`; return their ids."""
        tag = tag or self.mark
        ordinary = [
            {"phone_number": f"+1415558{place:04d}", "email": f"person{place}+{tag}@example.test"}
            for place in range(size)
        ]
        contacts = [
            {"external_id": f"{tag}-{place}", "tags": [tag], "name": "Ada L", **fields}
            for place, fields in enumerate([*ordinary, *special])
        ]
        await self.api.add_contacts(contacts)
        return [contact["external_id"] for contact in contacts]

    async def template(self, channel: str, category: str = "marketing") -> str:
        """Create an approved template that greets by name and return its key."""
        variant: dict[str, Any] = {"country": None, "locale": None}
        match channel:
            case "sms":
                variant |= {"text": "Hi {{ name }}"}
            case "email":
                variant |= {"subject": "Hi {{ name }}", "html": '<p>Hi</p><a href="https://example.test/">more</a>'}
            case _:
                variant |= {"template_name": "hello", "language": "en_US", "body": "Hi {{ name }}"}
        key = f"{channel}_{self.mark}_{uuid4().hex[:4]}"
        body = {"key": key, "name": key, "channel": channel, "category": category, "variants": [variant]}
        await self.api.post("/api/v1/templates", body)
        return key

    async def broadcast(self, channel: str, tag: str | None = None, **more: Any) -> str:
        """Send a marketing message to everybody with the tag; return the trigger's id."""
        content = {"template_key": await self.template(channel)}
        body = {"recipient_type": "tag", "tags": [tag or self.mark], "category": "marketing", **content, **more}
        return await self.send(f"/api/v1/messages/{channel}/send", body)

    async def code(self, place: int = 0) -> str:
        """Send an authentication message to one telephone; return the trigger's id."""
        body = {
            "recipient_type": "direct_sms", "direct_sms": f"+1415559{place:04d}", "text": f"Your code is {place:06d}",
            "category": "authentication",
        }  # fmt: skip
        return await self.send("/api/v1/sms/send", body)

    async def group(self, tag: str | None = None) -> str:
        """Start a template group on all channels; return the trigger's id."""
        key = f"group_{self.mark}_{uuid4().hex[:4]}"
        templates = {channel: await self.template(channel) for channel in SEGMENT_OF_PATH}
        await self.api.post("/api/v1/template-groups", {"key": key, "name": key, "templates": templates})
        await self.workflow({"name": key, "type": "template_group", "template_group_key": key})
        return await self.start(key, tag)

    async def steps(self, *delays: int, tag: str | None = None) -> str:
        """Start a workflow of an email, an SMS, … each `delays` minutes after the start; return the trigger's id."""
        name = f"steps_{self.mark}_{uuid4().hex[:4]}"
        channels = list(SEGMENT_OF_PATH)
        steps = []
        for place, delay in enumerate(delays):
            channel = channels[place % len(channels)]
            steps.append(
                {
                    "step_id": f"step-{place}",
                    "step_name": f"Step {place}",
                    "channel": channel,
                    "template_key": await self.template(channel),
                    "delay_minutes": delay,
                }
            )
        await self.workflow({"name": name, "type": "steps", "steps": steps})
        return await self.start(name, tag)

    async def workflow(self, definition: dict[str, Any]) -> None:
        """Create an active workflow."""
        await self.api.post("/api/v1/workflows", {"status": "active", **definition})

    async def start(self, name: str, tag: str | None = None) -> str:
        """Start a workflow for everybody with the tag; return the trigger's id."""
        body = {"workflow_name": name, "recipient_type": "tag", "tags": [tag or self.mark]}
        return await self.send("/api/v1/workflows/trigger", body)

    async def send(self, path: str, body: dict[str, Any]) -> str:
        """Send, under a key of its own so that a repeat is the same trigger; return its id."""
        answer = await self.api.post(path, body, headers={"Idempotency-Key": uuid4().hex})
        return str(answer["trigger_id"])

    async def jobs(self, execution: dict[str, Any]) -> list[dict[str, Any]]:
        """Return all jobs of an execution of the ledger."""
        path = f"/api/v1/{SEGMENT_OF_PATH[execution['channel']]}/executions/{execution['id']}/jobs"
        return await self._pages(path, lambda body: body["data"]["jobs"])

    async def journal(self, trigger_id: str) -> Counter[str]:
        """Return how often each job of a trigger was handed over to the sandbox."""
        path = f"/api/v1/sandbox/messages?trigger_id={trigger_id}"
        return Counter(message["job_id"] for message in await self._pages(path, lambda body: body["messages"]))

    async def _pages(self, path: str, rows: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        following: str | None = ""
        while following is not None:
            mark = "&" if "?" in path else "?"
            cursor = f"&cursor={following}" if following else ""
            body = await self.api.get(f"{path}{mark}limit={PAGE}{cursor}")
            found += rows(body)
            following = body["pagination"]["next_cursor"]
        return found


def recount(jobs: Iterable[dict[str, Any]]) -> dict[str, int]:
    """Return the buckets of the ledger, counted job by job."""
    states = Counter(job["status"] for job in jobs)
    final: Sequence[str] = ("sent", "failed", "filtered", "cancelled")
    buckets = {state: states.pop(state, 0) for state in final}
    return {**buckets, "open": sum(states.values())}
