"""Whether a request would really work: every service says so, and one request to each door goes through the gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import aiohttp

from sluice_local.data import Credentials
from sluice_local.services import Copy

_TIMEOUT: Final = aiohttp.ClientTimeout(total=5)
_PROBE_SECONDS: Final = 0.1


class Readiness:
    """Asks a stack whether it is ready."""

    def __init__(self, session: aiohttp.ClientSession, copies: Sequence[Copy], credentials: Credentials) -> None:
        self._session = session
        self._copies = copies
        self._doors = (f"{credentials.base_url}/ready", f"{credentials.base_url}/api/v1/triggers?limit=1")
        self._headers = {"X-API-Key": credentials.api_key}

    async def missing(self) -> list[str]:
        """Return what is not ready yet and why, one sentence each; an empty list means ready."""
        answers = await asyncio.gather(*(self._ask(copy.name, copy.ready_url, {}) for copy in self._copies))
        not_ready = [answer for answer in answers if answer]
        if not_ready:
            return not_ready
        answers = await asyncio.gather(*(self._ask("gateway", door, self._headers) for door in self._doors))
        return [answer for answer in answers if answer]

    async def wait(self) -> None:
        """Return once nothing is missing."""
        while await self.missing():  # noqa: ASYNC110 (the processes that are asked have no event to wait for)
            await asyncio.sleep(_PROBE_SECONDS)

    async def _ask(self, name: str, url: str, headers: dict[str, str]) -> str | None:
        try:
            async with self._session.get(url, headers=headers, timeout=_TIMEOUT) as response:
                if response.status == 200:
                    return None
                text = (await response.text()).strip()
                return f"{name}: {response.status} {text[:120]}".rstrip()
        except (aiohttp.ClientError, TimeoutError, OSError):
            return f"{name} does not answer"
