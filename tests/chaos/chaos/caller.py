"""A client of the public API that waits for an answer as long as it is told, whatever happens to the stack."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

PAGE: Final = 200
AWAY: Final = frozenset({0, 429, 500, 502, 503, 504})
"""Answers after which a request is worth repeating; 0 is no answer at all."""

PATIENCE_SECONDS: Final = 240.0
"""How long an answer that is needed is waited for."""

_PAUSE_SECONDS: Final = 0.5


class UnansweredError(Exception):
    """Nobody answered well before the deadline."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; status 0 where nothing did."""

    status: int
    body: Any


class Caller:
    """Calls one stack with one key."""

    def __init__(self, base_url: str, api_key: str) -> None:
        self._base_url = base_url
        self._headers = {"X-API-Key": api_key}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(headers=self._headers, timeout=aiohttp.ClientTimeout(total=20))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        assert self._session is not None
        await self._session.close()

    async def call(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        """Call once and return whatever came of it."""
        assert self._session is not None
        try:
            async with self._session.request(method, self._base_url + path, json=body, headers=headers) as response:
                raw = await response.read()
                return Answer(response.status, json.loads(raw) if "json" in response.content_type else raw.decode())
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            return Answer(0, None)

    async def answer(
        self, method: str, path: str, body: Any = None, seconds: float = PATIENCE_SECONDS, **options: Any
    ) -> Answer:
        """Call until somebody answers, whatever that is. Raises UnansweredError with what came last, if nobody does."""
        deadline = asyncio.get_running_loop().time() + seconds
        while (answer := await self.call(method, path, body, **options)).status in AWAY:
            if asyncio.get_running_loop().time() > deadline:
                raise UnansweredError(f"{method} {path}: {answer}")
            await asyncio.sleep(_PAUSE_SECONDS)
        return answer

    async def surely(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """Call until it is answered with a 2xx and return the body. Raises UnansweredError with any other answer."""
        answer = await self.answer(method, path, body, **options)
        if not 200 <= answer.status < 300:
            raise UnansweredError(f"{method} {path}: {answer}")
        return answer.body

    async def rows(self, path: str, rows: Callable[[Any], list[Any]]) -> AsyncIterator[Any]:
        """Yield what all pages of a list hold."""
        following: str | None = ""
        while following is not None:
            mark = "&" if "?" in path else "?"
            cursor = f"&cursor={following}" if following else ""
            body = await self.surely("GET", f"{path}{mark}limit={PAGE}{cursor}")
            for row in rows(body):
                yield row
            following = body["pagination"]["next_cursor"]
