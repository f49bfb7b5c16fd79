"""A workspace of one test's own, with what it defines, what it sends, and a way to ask what became of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, Final
from uuid import uuid4

import aiohttp

from api_client import DEADLINE_SECONDS, ApiClient, wait_until
from sluice_local.stack import Stack

Job = dict[str, Any]
_numbers: Final = count(6_000_000)


def new_number() -> str:
    """Return a valid telephone number that no other test has."""
    return f"+1415{next(_numbers)}"


class Tenant:
    """One workspace. `public` calls the stack as people and providers do: without a credential."""

    def __init__(self, stack: Stack, api: ApiClient, public: aiohttp.ClientSession) -> None:
        self.stack = stack
        self.api = api
        self.public = public

    async def account(self, provider: str, config: Mapping[str, Any], secrets: Mapping[str, str], **more: Any) -> str:
        """Create the provider account that the channel sends through by default; return its id."""
        body = {"name": provider, "provider": provider, "config": config, "secrets": secrets, "is_default": True}
        return str((await self.api.post("/api/v1/providers", body | more))["id"])

    async def contact(self, **fields: Any) -> str:
        """Create a contact; return its external id."""
        external_id = uuid4().hex[:10]
        await self.api.post("/api/v1/contacts", {"external_id": external_id, "name": "Ada L", **fields})
        return external_id

    async def contacts(self, tag: str, fields: list[dict[str, Any]]) -> list[str]:
        """Create contacts with a tag; return their external ids, in order."""
        contacts = [
            {"external_id": f"{tag}-{place}", "name": "Ada L", "tags": [tag], **one} for place, one in enumerate(fields)
        ]
        await self.api.add_contacts(contacts)
        return [contact["external_id"] for contact in contacts]

    async def template(self, channel: str, **variant: Any) -> str:
        """Create an approved template; return its key."""
        key = f"{channel}_{uuid4().hex[:8]}"
        variants = [{"country": None, "locale": None, **variant}]
        body = {"key": key, "name": key, "channel": channel, "category": "marketing", "variants": variants}
        await self.api.post("/api/v1/templates", body)
        return key

    async def send(self, channel: str, external_id: str, category: str, **content: Any) -> str:
        """Send to one contact; return the trigger's id."""
        body = {"recipient_type": "contact", "contact_external_id": external_id, "category": category, **content}
        return str((await self.api.post(f"/api/v1/messages/{channel}/send", body))["trigger_id"])

    async def broadcast(self, channel: str, tag: str, category: str, **content: Any) -> str:
        """Send to everybody with a tag; return the trigger's id."""
        body = {"recipient_type": "tag", "tags": [tag], "category": category, **content}
        return str((await self.api.post(f"/api/v1/messages/{channel}/send", body))["trigger_id"])

    async def job(
        self,
        trigger_id: str,
        external_id: str,
        condition: Callable[[Job], bool] = lambda _: True,
        seconds: float = DEADLINE_SECONDS,
    ) -> Job:
        """Wait until `condition` holds of a contact's job, and return it with all that happened to it."""
        job: Job = {}

        async def holds() -> bool:
            answer = await self.api.call("GET", f"/api/v1/triggers/{trigger_id}/contacts/{external_id}")
            assert answer.status in {200, 404}, answer
            if answer.status == 404 or not answer.body["jobs"]:
                return False
            nonlocal job
            (job,) = answer.body["jobs"]
            return condition(job)

        await wait_until(holds, seconds, lambda: f"the job is still {job}")
        return job

    async def final(self, trigger_id: str, external_id: str) -> Job:
        """Wait until a contact's job is over, and return it."""
        return await self.job(trigger_id, external_id, lambda job: job["status"] in {"sent", "failed", "filtered"})

    async def direct(self, trigger_id: str) -> Any:
        """Return the details of a send, with its analytics."""
        return await self.api.get(f"/api/v1/triggers/{trigger_id}/direct")

    async def analytics(self, trigger_id: str, **expected: int) -> dict[str, int]:
        """Wait until a send's analytics say what is expected, and return them all."""
        path = f"/api/v1/triggers/{trigger_id}/direct"
        body = await self.api.until(path, lambda body: expected.items() <= body["analytics"].items())
        return dict(body["analytics"])

    async def suppressed(self, channel: str) -> dict[str, str]:
        """Return the suppressed addresses of a channel, each with its reason."""
        page = await self.api.get(f"/api/v1/suppressions?channel={channel}&limit=200")
        return {entry["address"]: entry["reason"] for entry in page["data"]}


@asynccontextmanager
async def new_tenant(stack: Stack) -> AsyncIterator[Tenant]:
    """Make a workspace and yield it."""
    key = stack.create_workspace(f"tenant-{uuid4().hex[:8]}")
    async with (
        ApiClient(stack.base_url, key) as api,
        aiohttp.ClientSession(stack.base_url, timeout=aiohttp.ClientTimeout(total=DEADLINE_SECONDS)) as public,
    ):
        yield Tenant(stack, api, public)
