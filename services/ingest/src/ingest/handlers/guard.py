"""What every call of the API passes: the credential, the rate, and the caller's idempotency key."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from hashlib import blake2b
from time import monotonic
from typing import Final, Protocol
from uuid import UUID

from aiohttp import web

from ingest.domain.idempotency import MAX_KEY_LENGTH, Answer, AnswerBook, Place, Verdict
from ingest.domain.rates import RateLimiter
from ingest.handlers.sends import IDEMPOTENCY_KEY
from sluice_runtime.api import Call, Operation, Principal
from sluice_runtime.clock import Clock
from sluice_runtime.problems import Problem

Authenticate = Callable[[web.Request], Awaitable[Principal]]
Handler = Callable[[Call], Awaitable[web.StreamResponse]]

_CREDENTIAL_HEADERS: Final = ("X-API-Key", "Authorization")
_WORKSPACE: Final = web.RequestKey("rate_limited_workspace", UUID)


class AnswerStore(Protocol):
    """Answers that outlive this process and are seen by other copies of it."""

    async def find(self, place: Place) -> Answer | None:
        """Return the answer kept for `place`; None too where the store cannot say within a moment. Never raises."""
        ...

    def put(self, place: Place, answer: Answer) -> None:
        """Keep an answer, some moments later."""
        ...


class Guard:
    """Wraps operations and the authentication that they use."""

    def __init__(
        self, authenticate: Authenticate, limiter: RateLimiter, book: AnswerBook, store: AnswerStore, clock: Clock
    ) -> None:
        self._authenticate = authenticate
        self._limiter = limiter
        self._book = book
        self._store = store
        self._clock = clock

    async def authenticate(self, request: web.Request) -> Principal:
        """Return who calls, after one token of their rate has been taken.

        Raises Problem 401, or 429 with Retry-After.
        """
        if not all(request.headers.get(name, "").isascii() for name in _CREDENTIAL_HEADERS):
            raise Problem(401, detail="A credential has ASCII characters only.")
        principal = await self._authenticate(request)
        request[_WORKSPACE] = principal.workspace_id
        self._charge(principal.workspace_id, 1)
        return principal

    async def write_rate_limit(self, request: web.Request, response: web.StreamResponse) -> None:
        """Tell the caller what is left; an `on_response_prepare` signal."""
        if request.path.startswith("/api/"):
            response.headers.update(self._limiter.look(request.get(_WORKSPACE), monotonic()).headers())

    def guarded(self, operations: Iterable[Operation]) -> list[Operation]:
        """Return the operations with their handlers behind the rate limit of bulk calls and the idempotency key."""
        return [
            replace(operation, handler=self._behind(operation)) if operation.scope is not None else operation
            for operation in operations
        ]

    def _behind(self, operation: Operation) -> Handler:
        is_bulk = operation.path.endswith("/bulk")

        async def handle(call: Call) -> web.StreamResponse:
            if is_bulk:
                self._charge(call.principal.workspace_id, _items_of(call) - 1)
            key = call.request.headers.get(IDEMPOTENCY_KEY)
            if key is None or operation.method != "POST":
                return await operation.handler(call)
            return await self._once(operation, _checked(key), call)

        return handle

    def _charge(self, workspace_id: UUID, cost: int) -> None:
        allowance = self._limiter.take(workspace_id, cost, monotonic())
        if allowance.retry_seconds is not None:
            detail = f"The rate limit is used up. Try again in {allowance.retry_seconds} s."
            raise Problem(429, detail=detail, headers={"Retry-After": str(allowance.retry_seconds)})

    async def _once(self, operation: Operation, key: str, call: Call) -> web.StreamResponse:
        place = (call.principal.workspace_id, key)
        fingerprint = _fingerprint(operation, call)
        found = self._book.begin(place, fingerprint, self._clock.now())
        if found is Verdict.GO_AHEAD:
            return await self._first(operation, place, fingerprint, call)
        return _repeated(found, fingerprint, key)

    async def _first(self, operation: Operation, place: Place, fingerprint: bytes, call: Call) -> web.StreamResponse:
        try:
            earlier = await self._store.find(place)
            if earlier is not None:
                self._book.finish(place, earlier)
                return _repeated(earlier, fingerprint, place[1])
            response = await operation.handler(call)
            if isinstance(response, web.Response) and response.status < 300:
                answer = _answer_of(response, fingerprint, self._clock)
                self._book.finish(place, answer)
                self._store.put(place, answer)
            return response
        finally:
            self._book.abandon(place)


def _checked(key: str) -> str:
    if not key or len(key) > MAX_KEY_LENGTH or not (key.isascii() and key.isprintable()):
        detail = f"{IDEMPOTENCY_KEY} must have 1 to {MAX_KEY_LENGTH} printable ASCII characters."
        raise Problem(400, "Invalid idempotency key", detail)
    return key


def _items_of(call: Call) -> int:
    """A bulk body holds one list; that is what the call holds."""
    return max((len(value) for _, value in call.body or () if isinstance(value, list)), default=1)


def _fingerprint(operation: Operation, call: Call) -> bytes:
    digest = blake2b(operation.name.encode(), digest_size=32)
    for name, value in sorted(call.request.match_info.items()):
        digest.update(f"\x00{name}={value}".encode("utf-8", "surrogateescape"))
    digest.update(b"\x00\x00" + call.request.query_string.encode("utf-8", "surrogateescape") + b"\x00" + call.raw)
    return digest.digest()


def _answer_of(response: web.Response, fingerprint: bytes, clock: Clock) -> Answer:
    body = response.body if isinstance(response.body, bytes | bytearray) else b""
    headers = {name: value for name in ("Content-Type", "ETag", "Location") if (value := response.headers.get(name))}
    return Answer(fingerprint, response.status, headers, bytes(body), clock.now())


def _repeated(found: Answer | Verdict, fingerprint: bytes, key: str) -> web.Response:
    if found is Verdict.IN_PROGRESS:
        detail = f"The request with the key {key!r} is still running."
        raise Problem(409, "In progress", detail, headers={"Retry-After": "1"})
    if not isinstance(found, Answer) or found.fingerprint != fingerprint:
        raise Problem(422, "Idempotency key reused", f"The key {key!r} was used for another request.")
    headers: Mapping[str, str] = {**found.headers, "Idempotency-Replay": "true"}
    return web.Response(status=found.status, body=found.body, headers=headers)
