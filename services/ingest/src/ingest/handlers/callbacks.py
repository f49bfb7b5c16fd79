"""`GET|POST /callbacks/{channel}/{account_id}`: what providers say later is verified, appended and answered at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final
from uuid import UUID

from aiohttp import web

from ingest.domain.callbacks import callback, record_key
from ingest.handlers.intake import Intake
from sluice_catalog.models import ProviderAccount
from sluice_channel.signatures import SignedRequest, meta_challenge, verify
from sluice_contracts import topics
from sluice_messaging.records import outbound
from sluice_runtime import metrics
from sluice_runtime.clock import Clock
from sluice_runtime.http.bodies import read_body
from sluice_runtime.http.operations import Call, Operation
from sluice_runtime.http.problems import Problem, not_found

BODY_LIMIT: Final = 512 * 1024
_PATH: Final = "/callbacks/{channel}/{account_id}"
_TWIML: Final = b'<?xml version="1.0" encoding="UTF-8"?><Response/>'


FindAccount = Callable[[UUID], ProviderAccount | None]
"""Looks a provider account up in memory; its secrets say how its callbacks are signed."""


class Callbacks:
    """The providers' door. `base_urls` are our addresses seen from outside: Twilio signs the URL that it called."""

    def __init__(self, find_account: FindAccount, intake: Intake, clock: Clock, base_urls: Iterable[str]) -> None:
        self._find_account = find_account
        self._intake = intake
        self._clock = clock
        self._base_urls = tuple(dict.fromkeys(base_urls))

    def operations(self) -> list[Operation]:
        """Return the operations for `add_operations`."""
        return [
            Operation(
                "POST",
                _PATH,
                "receive_callback",
                "Take in a provider's callback",
                "Callbacks",
                self._post,
                None,
                answers={200: None},
            ),
            Operation(
                "GET",
                _PATH,
                "register_callback",
                "Answer a provider's check",
                "Callbacks",
                self._get,
                None,
                answers={200: None},
            ),
        ]

    async def _get(self, call: Call) -> web.StreamResponse:
        """Meta checks a webhook with a GET; others send their callbacks with one."""
        account = self._account(call.request)
        if account.provider != "meta":
            return await self._receive(call.request, account, b"")
        challenge = meta_challenge(self._signed(call.request, b"")[0], account.secrets)
        if challenge is None:
            raise self._forged(account)
        return web.Response(text=challenge, content_type="text/plain", headers={"X-Content-Type-Options": "nosniff"})

    async def _post(self, call: Call) -> web.StreamResponse:
        account = self._account(call.request)
        body = await read_body(call.request, BODY_LIMIT)
        return await self._receive(call.request, account, body)

    async def _receive(self, request: web.Request, account: ProviderAccount, body: bytes) -> web.StreamResponse:
        signed = self._signed(request, body)
        if not any(verify(account.provider, variant, account.secrets) for variant in signed):
            raise self._forged(account)
        query = dict(request.query)
        headers = signed[0].headers
        content_type = headers.get("content-type", "")
        received = callback(
            account,
            query=query,
            headers=headers,
            content_type=content_type,
            body=body,
            now=self._clock.now(),
        )
        key = record_key(query, content_type, body)
        await self._intake.append([outbound(topics.receipts(account.channel), received, key)])
        metrics.RECEIPTS.labels(account.provider, "verified").inc()
        if account.provider == "twilio":
            return web.Response(body=_TWIML, content_type="text/xml")
        return web.Response(text="{}", content_type="application/json")

    def _account(self, request: web.Request) -> ProviderAccount:
        try:
            account_id = UUID(request.match_info["account_id"])
        except ValueError:
            raise not_found("provider account") from None
        account = self._find_account(account_id)
        if account is None or account.channel.value != request.match_info["channel"]:
            raise not_found("provider account")
        return account

    def _signed(self, request: web.Request, body: bytes) -> list[SignedRequest]:
        """Return the request as it may have been signed: under each of our addresses."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        return [SignedRequest(request.method, base + request.raw_path, headers, body) for base in self._base_urls]

    def _forged(self, account: ProviderAccount) -> Problem:
        metrics.RECEIPTS.labels(account.provider, "rejected").inc()
        return Problem(403, detail="The signature is not the provider's.")
