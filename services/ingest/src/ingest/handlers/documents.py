"""`/api/openapi.json` and `/api/docs`: the API to read and to try."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from importlib.resources import files
from typing import Final

from aiohttp import web

from sluice_runtime.http.bodies import encode_json
from sluice_runtime.http.openapi import openapi_document
from sluice_runtime.http.operations import Call, Operation

TITLE: Final = "Sluice"
VERSION: Final = "1"
_PAGE_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class Documents:
    """Serves the document of the whole API, which is generated from every service's operations.

    Where that file is not there, the document of `operations` alone is served.
    """

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._document = _generated() or encode_json(openapi_document(operations, title=TITLE, version=VERSION))
        self._etag = f'"{sha256(self._document).hexdigest()[:32]}"'
        pages = files("ingest") / "pages"
        self._page = (pages / "docs.html").read_bytes()
        self._script = (pages / "docs.js").read_bytes()

    def operations(self) -> list[Operation]:
        """Return the operations for `add_operations`."""
        tag = "Documentation"
        return [
            Operation("GET", "/api/openapi.json", "openapi", "The API as OpenAPI 3.1", tag, self._openapi, None,
                      answers={200: None, 304: None}),
            Operation("GET", "/api/docs", "docs", "A page to read the API and try it", tag, self._docs, None,
                      answers={200: None}),
            Operation("GET", "/api/docs.js", "docs_script", "The page's script", tag, self._docs_script, None,
                      answers={200: None}),
        ]  # fmt: skip

    async def _openapi(self, call: Call) -> web.StreamResponse:
        headers = {"ETag": self._etag, "Cache-Control": "no-cache"}
        if self._etag in call.request.headers.get("If-None-Match", ""):
            return web.Response(status=304, headers=headers)
        return web.Response(body=self._document, content_type="application/json", headers=headers)

    async def _docs(self, call: Call) -> web.StreamResponse:
        return web.Response(body=self._page, content_type="text/html", charset="utf-8", headers=_PAGE_HEADERS)

    async def _docs_script(self, call: Call) -> web.StreamResponse:
        return web.Response(body=self._script, content_type="text/javascript", charset="utf-8", headers=_PAGE_HEADERS)


def _generated() -> bytes | None:
    entry = files("sluice_contracts") / "openapi.json"
    return entry.read_bytes() if entry.is_file() else None
