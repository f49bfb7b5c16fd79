"""An answer that is whole when it is given, as nearly all are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import SERVER_SOFTWARE

_WITHOUT_BODY: Final = frozenset({204, 205, 304})


class WholeAnswer(web.Response):
    """Head and body leave in one write, without the steps that aiohttp's answers share with streams.

    `headers` name the type of `body`. Where HTTP asks for more than that, the answer goes aiohttp's way.
    """

    def __init__(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        super().__init__(status=status, body=body, headers=headers)

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Send all of it; `write_eof` has nothing left to do then."""
        body = self._body
        if not isinstance(body, bytes) or not self._is_plain(request):
            return await super().prepare(request)
        headers = self._headers
        headers[hdrs.CONTENT_LENGTH] = str(len(body))
        headers[hdrs.DATE] = rfc822_formatted_time()
        headers[hdrs.SERVER] = SERVER_SOFTWARE
        writer = request.writer
        await writer.write_headers(f"HTTP/1.1 {self._status} {self._reason}", headers)
        await writer.write_eof(body)
        self._keep_alive = True
        self._eof_sent = True
        return None

    def _is_plain(self, request: web.BaseRequest) -> bool:
        return (
            not self.prepared
            and self._keep_alive is None
            and self._cookies is None
            and not self._compression
            and self._status not in _WITHOUT_BODY
            and request.method != hdrs.METH_HEAD
            and request.keep_alive
            and request.version == HttpVersion11
        )
