"""The guard of an application: it charges calls to their workspace and stream, and answers repeats as it did at first.

A success is an answer to keep, and so is a refusal. A 5xx is none, for then nothing has been decided; nor is what
depends on the moment (429) or on the credential (401, 403).
"""

from __future__ import annotations

from hashlib import blake2b
from time import monotonic
from typing import Final

from aiohttp import web

from sluice_runtime.clock import Clock
from sluice_runtime.http.doors import rendered
from sluice_runtime.http.exchange import EXCHANGE, FINISHES
from sluice_runtime.http.guard.answers import MAX_KEY_LENGTH, Answer, AnswerBook, AnswerStore, Place, Verdict
from sluice_runtime.http.guard.rates import RateLimiter, tighter
from sluice_runtime.http.guard.settings import TRUSTED_PROXIES, GuardSettings
from sluice_runtime.http.operations import IDEMPOTENCY_KEY, Answerer, Operation
from sluice_runtime.http.principal import Principal
from sluice_runtime.http.problems import Problem

REPLAY: Final = "Idempotency-Replay"

_API: Final = "/api/"
_KEPT_HEADERS: Final = ("Content-Type", "ETag", "Location")
_OF_THE_MOMENT: Final = frozenset({401, 403, 408, 429})


class Guard:
    """Rates and idempotency keys; give it to `add_operations` and its `write_rate_limit` to the application."""

    def __init__(self, settings: GuardSettings, store: AnswerStore, clock: Clock) -> None:
        self._limiter = RateLimiter(settings.rate_limit_per_second, settings.rate_limit_burst)
        self._book = AnswerBook(settings.remembered_answers, settings.remembered_answer_bytes)
        self._store = store
        self._clock = clock
        self._trusted_proxies = settings.trusted_proxies

    def protect(self, app: web.Application) -> None:
        """Have every answer of `app` say what is left of the caller's rate, and have `app` know its gateways."""
        app[TRUSTED_PROXIES] = self._trusted_proxies
        app[FINISHES].append(self.write_rate_limit)

    def charge(self, request: web.Request, principal: Principal, cost: int, *, returned: int = 0) -> None:
        """Take `cost` tokens of the workspace, and of the stream that is called. See `api.Guarding`.

        A stream that has none left costs its workspace nothing.
        """
        now = monotonic()
        allowance = None
        if principal.stream_id is not None:
            allowance = self._limiter.take(principal.stream_id, cost, now, principal.stream_rate, returned=returned)
        if allowance is None or allowance.retry_seconds is None:
            taken = self._limiter.take(principal.workspace_id, cost, now, returned=returned)
            allowance = tighter(taken, allowance)
        request[EXCHANGE].allowance = allowance
        if allowance.retry_seconds is not None:
            detail = f"The rate limit is used up. Try again in {allowance.retry_seconds} s."
            raise Problem(429, detail=detail, headers={"Retry-After": str(allowance.retry_seconds)})

    def write_rate_limit(self, request: web.Request, response: web.StreamResponse) -> None:
        """Tell the caller what is left; an `exchange.Finish`."""
        allowance = request[EXCHANGE].allowance
        if allowance is None:
            if not request.path.startswith(_API):
                return
            allowance = self._limiter.full()
        allowance.write(response.headers)

    async def once(
        self, operation: Operation, request: web.Request, principal: Principal, raw: bytes, answer: Answerer
    ) -> web.StreamResponse:
        """Return what `answer` returns, or the answer kept for the request's key. See `api.Guarding`."""
        key = _checked(request.headers[IDEMPOTENCY_KEY])
        place = (principal.stream_id or principal.workspace_id, key)
        fingerprint = _fingerprint(operation, request, raw)
        found = self._book.begin(place, fingerprint, self._clock.now())
        if found is not Verdict.GO_AHEAD:
            return _repeated(found, fingerprint, key)
        try:
            found = await self._store.claim(place, fingerprint)
            if found is Verdict.GO_AHEAD:
                return await self._first(request, place, fingerprint, answer)
            if isinstance(found, Answer):
                self._book.finish(place, found)
            return _repeated(found, fingerprint, key)
        finally:
            self._book.abandon(place)

    async def _first(
        self, request: web.Request, place: Place, fingerprint: bytes, answer: Answerer
    ) -> web.StreamResponse:
        kept: Answer | None = None
        try:
            try:
                response = await answer()
            except Problem as problem:
                response = rendered(problem, request)
            response.headers[IDEMPOTENCY_KEY] = place[1]
            if isinstance(response, web.Response) and _is_final(response.status):
                kept = _answer_of(response, fingerprint, self._clock)
                self._book.finish(place, kept)
                self._store.put(place, kept)
            return response
        finally:
            if kept is None:
                self._store.abandon(place)


def _is_final(status: int) -> bool:
    return status < 500 and status not in _OF_THE_MOMENT


def _checked(key: str) -> str:
    if not key or len(key) > MAX_KEY_LENGTH or not (key.isascii() and key.isprintable()):
        detail = f"{IDEMPOTENCY_KEY} must have 1 to {MAX_KEY_LENGTH} printable ASCII characters."
        raise Problem(400, "Invalid idempotency key", detail)
    return key


def _fingerprint(operation: Operation, request: web.Request, raw: bytes) -> bytes:
    digest = blake2b(operation.name.encode(), digest_size=32)
    for name, value in sorted(request.match_info.items()):
        digest.update(f"\x00{name}={value}".encode("utf-8", "surrogateescape"))
    digest.update(b"\x00\x00" + request.query_string.encode("utf-8", "surrogateescape") + b"\x00" + raw)
    return digest.digest()


def _answer_of(response: web.Response, fingerprint: bytes, clock: Clock) -> Answer:
    body = response.body if isinstance(response.body, bytes | bytearray) else b""
    headers = {name: value for name in _KEPT_HEADERS if (value := response.headers.get(name))}
    return Answer(fingerprint, response.status, headers, bytes(body), clock.now())


def _repeated(found: Answer | Verdict, fingerprint: bytes, key: str) -> web.Response:
    if found is Verdict.IN_PROGRESS:
        detail = f'Request with key "{key}" is currently being processed. Please retry after 1 second'
        raise Problem(409, "In progress", detail, headers={"Retry-After": "1", IDEMPOTENCY_KEY: key})
    if not isinstance(found, Answer) or found.fingerprint != fingerprint:
        detail = f'Request with key "{key}" is being reused for a different body'
        raise Problem(422, "Idempotency key reused", detail, headers={IDEMPOTENCY_KEY: key})
    headers = {**found.headers, IDEMPOTENCY_KEY: key, REPLAY: "true"}
    return web.Response(status=found.status, body=found.body, headers=headers)
