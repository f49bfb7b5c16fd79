"""Twilio and Meta as a test sees them: they answer in the providers' shapes, in the order that they are told to."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar
from uuid import uuid4

import orjson
from aiohttp import web
from aiohttp.test_utils import TestServer

Answer = tuple[int, Mapping[str, Any], Mapping[str, str]]
"""A status, a JSON body, and headers."""

HANG_UP: Final = "hang up"
"""Instead of an answer: read the request whole and cut the connection."""

Double = TypeVar("Double", bound="ProviderDouble")


class ProviderDouble:
    """Keeps every request with its time on the loop's clock. `answers` are given in turn; after them all goes well."""

    def __init__(self) -> None:
        self.base_url = ""
        self.requests: list[dict[str, Any]] = []
        self.headers: list[Mapping[str, str]] = []
        self.times: list[float] = []
        self.answers: deque[Answer | str] = deque()

    @property
    def application(self) -> web.Application:
        """What answers at `base_url`."""
        application = web.Application()
        application.router.add_post("/{path:.*}", self._answer)
        return application

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        content = await self.read(request)
        self.requests.append({**content, "path": request.path})
        self.headers.append(dict(request.headers))
        self.times.append(asyncio.get_running_loop().time())
        answer = self.answers.popleft() if self.answers else self.accepted(content)
        if isinstance(answer, str):
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        status, body, headers = answer
        return web.Response(status=status, body=orjson.dumps(body), content_type="application/json", headers=headers)

    async def read(self, request: web.Request) -> dict[str, Any]:
        """Return the content of a request."""
        raise NotImplementedError

    def accepted(self, content: Mapping[str, Any]) -> Answer:
        """Return the answer of a provider that takes the message."""
        raise NotImplementedError


class Twilio(ProviderDouble):
    """`POST /2010-04-01/Accounts/{sid}/Messages.json`."""

    sids: list[str]

    def __init__(self) -> None:
        super().__init__()
        self.sids = []

    async def read(self, request: web.Request) -> dict[str, Any]:
        assert request.content_type == "application/x-www-form-urlencoded"
        return {name: str(value) for name, value in (await request.post()).items()}

    def accepted(self, content: Mapping[str, Any]) -> Answer:
        sid = f"SM{uuid4().hex}"
        self.sids.append(sid)
        account = "AC" + "0" * 32
        body = {
            "account_sid": account,
            "api_version": "2010-04-01",
            "body": content["Body"],
            "date_created": "Thu, 24 Aug 2023 05:01:45 +0000",
            "date_sent": None,
            "date_updated": "Thu, 24 Aug 2023 05:01:45 +0000",
            "direction": "outbound-api",
            "error_code": None,
            "error_message": None,
            "from": content["From"],
            "messaging_service_sid": None,
            "num_media": "0",
            "num_segments": "1",
            "price": None,
            "price_unit": None,
            "sid": sid,
            "status": "queued",
            "subresource_uris": {"media": f"/2010-04-01/Accounts/{account}/Messages/{sid}/Media.json"},
            "to": content["To"],
            "uri": f"/2010-04-01/Accounts/{account}/Messages/{sid}.json",
        }
        return 201, body, {}

    def refuses(self, status: int, code: int, **headers: str) -> None:
        """Answer the next request with one of Twilio's errors."""
        body = {
            "code": code,
            "message": f"Error {code}",
            "more_info": f"https://www.twilio.com/docs/errors/{code}",
            "status": status,
        }
        self.answers.append((status, body, {name.replace("_", "-"): value for name, value in headers.items()}))


class Meta(ProviderDouble):
    """`POST /{version}/{phone-number-id}/messages`. `wa_ids` are the numbers that WhatsApp knows by another one."""

    wamids: list[str]

    def __init__(self) -> None:
        super().__init__()
        self.wamids = []
        self.wa_ids: dict[str, str] = {}

    async def read(self, request: web.Request) -> dict[str, Any]:
        assert request.content_type == "application/json"
        body: dict[str, Any] = await request.json()
        return body

    def accepted(self, content: Mapping[str, Any]) -> Answer:
        wamid = f"wamid.HBg{uuid4().hex}"
        self.wamids.append(wamid)
        contacts = [{"input": content["to"], "wa_id": self.wa_ids.get(content["to"], content["to"])}]
        messages = [{"id": wamid, "message_status": "accepted"}]
        return 200, {"messaging_product": "whatsapp", "contacts": contacts, "messages": messages}, {}

    def refuses(self, status: int, code: int) -> None:
        """Answer the next request with one of Meta's errors."""
        error = {
            "message": f"(#{code}) refused",
            "type": "OAuthException",
            "code": code,
            "error_data": {"messaging_product": "whatsapp", "details": f"Details of {code}"},
            "is_transient": False,
            "fbtrace_id": "A1",
        }
        self.answers.append((status, {"error": error}, {}))


@asynccontextmanager
async def running(make: Callable[[], Double]) -> AsyncIterator[Double]:
    """Yield a double that listens on loopback."""
    double = make()
    async with TestServer(double.application) as server:
        double.base_url = str(server.make_url("")).rstrip("/")
        yield double
