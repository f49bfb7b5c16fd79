"""A caller of the public HTTP API, as small as one can be, that waits for conditions with a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp

DEADLINE_SECONDS = 60.0
"""Only what will never be takes as long, also where two stacks share two slow cores."""

BULK = 1000
FINAL = frozenset({"completed", "failed", "cancelled"})


@dataclass(frozen=True, slots=True)
class Response:
    """What came back; `body` is the JSON, or the text where it was none, and `raw` the bytes as they came."""

    status: int
    headers: Mapping[str, str]
    body: Any
    raw: bytes = b""


class ApiClient:
    """Calls one stack with one credential."""

    def __init__(self, base_url: str, api_key: str) -> None:
        self.key = api_key
        self._base_url = base_url
        self._headers = {"X-API-Key": api_key}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            headers=self._headers, timeout=aiohttp.ClientTimeout(total=DEADLINE_SECONDS)
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        assert self._session is not None
        await self._session.close()

    async def call(
        self, method: str, path: str, json: Any = None, headers: Mapping[str, str] | None = None, **options: Any
    ) -> Response:
        """Call and return whatever comes back."""
        assert self._session is not None
        async with self._session.request(
            method, self._base_url + path, json=json, headers=headers, allow_redirects=False, **options
        ) as response:
            is_json = "json" in response.content_type
            body = await response.json(content_type=None) if is_json else await response.text(errors="replace")
            return Response(response.status, response.headers, body, await response.read())

    async def get(self, path: str, **options: Any) -> Any:
        """GET and return the body of a 200; anything else fails the test with what was answered."""
        response = await self.call("GET", path, **options)
        assert response.status == 200, (path, response.status, response.body)
        return response.body

    async def post(self, path: str, json: Any, **options: Any) -> Any:
        """POST and return the body of a 2xx; anything else fails the test with what was answered."""
        response = await self.call("POST", path, json=json, **options)
        assert 200 <= response.status < 300, (path, response.status, response.body)
        return response.body

    async def add_contacts(self, contacts: Sequence[Mapping[str, Any]]) -> None:
        """Create contacts in bulk calls; one that is refused fails the test with the reason."""
        for first in range(0, len(contacts), BULK):
            answer = await self.post("/api/v1/contacts/bulk", {"contacts": contacts[first : first + BULK]})
            refused = [result for result in answer["results"] if result["status"] == "failed"]
            assert not refused, refused

    async def finished(self, trigger_id: str, seconds: float = DEADLINE_SECONDS) -> Any:
        """Wait until a trigger is over, and return its summary."""
        return await self.until(f"/api/v1/triggers/{trigger_id}", lambda body: body["status"] in FINAL, seconds)

    async def until(self, path: str, condition: Callable[[Any], bool], seconds: float = DEADLINE_SECONDS) -> Any:
        """GET `path` until `condition` holds of the body, and return it.

        Where reading is far behind, what was accepted a moment ago is not there yet.
        """
        body: Any = None

        async def holds() -> bool:
            nonlocal body
            answer = await self.call("GET", path)
            assert answer.status in {200, 404}, (path, answer.status, answer.body)
            body = answer.body
            return answer.status == 200 and condition(body)

        await wait_until(holds, seconds, lambda: f"{path} is still {body}")
        return body


async def wait_until(
    condition: Callable[[], Awaitable[bool]], seconds: float = DEADLINE_SECONDS, describe: Callable[[], str] = str
) -> None:
    """Ask `condition` until it holds; after `seconds` fail with what `describe` says."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not await condition():
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"after {seconds} s: {describe()}")
        await asyncio.sleep(0.05)
