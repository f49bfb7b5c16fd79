"""The public HTTP API, as a command uses it."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final

import aiohttp

from sluice_local.data import Credentials

_API: Final = "/api/v1"


class RefusedError(Exception):
    """The API answered with an error; the message says which and why."""

    def __init__(self, method: str, path: str, status: int, body: Any) -> None:
        super().__init__(f"{method} {path} → {status} {_reason(body)}")
        self.status = status
        self.body = body


class Client:
    """Talks to one stack with one key, as an async context manager. Paths are relative to `/api/v1` but for `call`."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Client:
        self._session = aiohttp.ClientSession(
            headers={"X-API-Key": self._credentials.api_key}, timeout=aiohttp.ClientTimeout(total=60)
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, path: str, parameters: Mapping[str, str] | None = None) -> Any:
        """Return the decoded answer. Raises RefusedError for every status but 2xx."""
        return await self.call("GET", _API + path, params=parameters)

    async def post(self, path: str, body: Any) -> Any:
        """Return the decoded answer. Raises RefusedError for every status but 2xx."""
        return await self.call("POST", _API + path, json=body)

    async def call(self, method: str, path: str, **arguments: Any) -> Any:
        """Return the decoded answer of any path below the base URL. Raises RefusedError for every status but 2xx."""
        if self._session is None:
            raise RuntimeError("a client is used inside `async with`")
        url = f"{self._credentials.base_url}{path}"
        async with self._session.request(method, url, **arguments) as response:
            is_json = "json" in response.content_type
            body = await response.json(content_type=None) if is_json else await response.text()
            if not response.ok:
                raise RefusedError(method, path, response.status, body)
            return body


def _reason(body: Any) -> str:
    if not isinstance(body, dict):
        return str(body)[:200]
    errors = body.get("errors") or []
    fields = "; ".join(f"{error.get('field')}: {error.get('message')}" for error in errors if isinstance(error, dict))
    return " ".join(str(part) for part in (body.get("title"), body.get("detail"), fields) if part)
