"""A carrier of SMS with Twilio's wire: it keeps a journal, sends signed receipts, and treats callers as it is told."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self
from uuid import uuid4

import aiohttp
from aiohttp import web

from chaos.journal import Journal, Mood, mark_in
from chaos.people import STUBBORN

ACCOUNT_SID: Final = "AC" + "c" * 32
SENDER: Final = "+15005550006"
_RECEIPT_PAUSES: Final = (0.3, 1, 2, 4, 8, 15, 30, 60, 60, 60)
"""Seconds before each attempt to deliver a receipt."""

_RECEIPTS_AT_ONCE: Final = 20
_UNREACHABLE: Final = 30003


class Carrier:
    """Listens on a port of its own while the context is open."""

    def __init__(self, journal: Journal, auth_token: str) -> None:
        self.mood = Mood.WELL
        self._journal = journal
        self._auth_token = auth_token
        self._receipts: set[asyncio.Task[None]] = set()
        self._refused: set[str] = set()
        self._posting = asyncio.Semaphore(_RECEIPTS_AT_ONCE)
        self._port = 0

    def account(self, rate_per_second: float) -> dict[str, Any]:
        """Return the body that makes a workspace send so much through this carrier."""
        return {
            "name": "carrier",
            "channel": "sms",
            "provider": "twilio",
            "config": {"account_sid": ACCOUNT_SID, "from": SENDER, "base_url": f"http://127.0.0.1:{self._port}"},
            "secrets": {"auth_token": self._auth_token},
            "rate_per_second": rate_per_second,
            "is_default": True,
        }

    async def __aenter__(self) -> Self:
        application = web.Application()
        application.router.add_post("/{path:.*}", self._take)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self._port = self._runner.addresses[0][1]
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        for task in self._receipts:
            task.cancel()
        await asyncio.gather(*self._receipts, return_exceptions=True)
        await self._session.close()
        await self._runner.cleanup()

    async def at_rest(self, seconds: float) -> None:
        """Return once every receipt has been delivered, or after so many seconds."""
        if self._receipts:
            await asyncio.wait(self._receipts, timeout=seconds)

    async def _take(self, request: web.Request) -> web.StreamResponse:
        form = {name: str(value) for name, value in (await request.post()).items()}
        match self.mood:
            case Mood.REFUSING:
                self._journal.defer(form["To"])
                return web.json_response({"code": 20500, "message": "down", "status": 503}, status=503)
            case Mood.THROTTLING:
                self._journal.defer(form["To"])
                body = {"code": 20429, "message": "Too Many Requests", "status": 429}
                return web.json_response(body, status=429, headers={"Retry-After": "1"})
            case Mood.SILENT:
                self._journal.write(form["Body"], form["To"], answered=False)
                while self.mood is Mood.SILENT:  # noqa: ASYNC110 (looked at by many, changed twice)
                    await asyncio.sleep(0.1)
                if request.transport is not None:
                    request.transport.abort()
                return web.Response()
        if form["To"] == STUBBORN["sms"] and mark_in(form["Body"]) not in self._refused:
            self._refused.add(mark_in(form["Body"]))
            self._journal.refuse(form["Body"], form["To"])
            return web.json_response({"code": _UNREACHABLE, "message": "unreachable", "status": 400}, status=400)
        sid = f"SM{uuid4().hex}"
        self._journal.write(form["Body"], form["To"], answered=True, message=sid)
        task = asyncio.create_task(self._receipt(form["StatusCallback"], sid, form["To"]))
        self._receipts.add(task)
        task.add_done_callback(self._receipts.discard)
        return web.json_response({"sid": sid, "status": "queued", "num_segments": "1"}, status=201)

    async def _receipt(self, url: str, sid: str, to: str) -> None:
        form = {"MessageSid": sid, "MessageStatus": "delivered", "AccountSid": ACCOUNT_SID, "To": to}
        headers = {"X-Twilio-Signature": signature(self._auth_token, url, form)}
        for pause in _RECEIPT_PAUSES:
            await asyncio.sleep(pause)
            async with self._posting:
                try:
                    async with self._session.post(url, data=form, headers=headers) as answer:
                        if answer.status < 300:
                            self._journal.receipt(sid)
                            return
                except (aiohttp.ClientError, OSError, TimeoutError):
                    continue


def signature(token: str, url: str, form: Mapping[str, str]) -> str:
    """Return what Twilio puts into X-Twilio-Signature."""
    text = url + "".join(f"{name}{form[name]}" for name in sorted(form))
    return base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()
