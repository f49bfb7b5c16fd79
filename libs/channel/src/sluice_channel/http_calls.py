"""One HTTP call to a provider, with the question that matters answered: was the request written before it broke?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import orjson

from sluice_channel.provider import Ambiguous, Outcome, Retry
from sluice_runtime.egress import guarded_connector

CONNECT_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 30.0
_LONGEST_ANSWER: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """What the provider answered; `body` is the JSON object, empty where it was none."""

    status: int
    headers: Mapping[str, str]
    body: Mapping[str, Any]

    @property
    def retry_after(self) -> float | None:
        """Seconds from a Retry-After header (RFC 9110 §10.2.3, delta form), None without one."""
        text = self.headers.get("Retry-After", "")
        return float(text) if text.isascii() and text.isdigit() else None


class ProviderClient:
    """A pooled HTTP client for one provider account, opened on first use: a session belongs to a running loop.

    Where it connects to is checked at that moment; private addresses are refused unless `allow_private`.
    """

    def __init__(self, base_url: str, *, connections: int, headers: Mapping[str, str], allow_private: bool) -> None:
        self._base_url = base_url.rstrip("/")
        self._connections = connections
        self._headers = headers
        self._allow_private = allow_private
        self._session: aiohttp.ClientSession | None = None

    async def post(self, path: str, *, form: Mapping[str, str] | None = None, json: Any = None) -> Answer | Outcome:
        """POST and return the answer, or the outcome of a call that had none.

        A connection that could not be made was never written to (`Retry`); one that broke or fell silent afterwards is
        `Ambiguous`. Redirects are not followed: they would carry credentials elsewhere.
        """
        try:
            async with self._opened().post(
                self._base_url + path, data=form, json=json, allow_redirects=False
            ) as response:
                raw = await response.content.read(_LONGEST_ANSWER)
                return Answer(response.status, response.headers, _json_object(raw))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return Retry("connection_failed", _without_url(error), after=2.0, scope="connection")
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return Ambiguous(_without_url(error))

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                connector=guarded_connector(allow_private=self._allow_private, limit=self._connections),
                timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS, sock_connect=CONNECT_SECONDS),
                headers=dict(self._headers),
            )
        return self._session

    async def close(self) -> None:
        """Close the pool. Idempotent."""
        if self._session is not None:
            await self._session.close()


def _json_object(raw: bytes) -> Mapping[str, Any]:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}


def _without_url(error: BaseException) -> str:
    """Name the fault only: a message may hold the URL, and the URL an account id or a token."""
    return type(error).__name__
