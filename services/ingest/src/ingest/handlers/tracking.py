"""`/o/{token}.gif`, `/c/{token}`, `/u/{token}`: what recipients do with a message, through links that we signed."""

from __future__ import annotations

from base64 import b64decode
from importlib.resources import files
from typing import Final
from urllib.parse import quote

from aiohttp import web

from ingest.domain.machines import is_machine
from ingest.handlers.engagements import Engagements, tracking_record
from ingest.handlers.intake import Intake
from sluice_channel.tracking import ForgedTokenError, LinkKind, TrackedLink, is_web_address, read_link
from sluice_contracts.messages.receipt import TrackingReceived
from sluice_contracts.vocabulary import Engagement
from sluice_runtime.clock import Clock
from sluice_runtime.http.operations import Call, Operation
from sluice_runtime.http.problems import Problem

PIXEL: Final = b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")

_NEVER_STORED: Final = {"Cache-Control": "no-store, no-cache, private, max-age=0"}
_NOT_INDEXED: Final = {**_NEVER_STORED, "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex"}
_PAGE: Final = {
    **_NOT_INDEXED,
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
}
_KEPT_IN_URLS: Final = "%/:=&?~#+!$,;'@()*[]"
_TAG: Final = "Tracking"


class Tracking:
    """The recipients' doors. `key` is the installation's key for tracking links."""

    def __init__(self, key: bytes, engagements: Engagements, intake: Intake, clock: Clock) -> None:
        self._key = key
        self._engagements = engagements
        self._intake = intake
        self._clock = clock
        pages = files("ingest") / "pages"
        self._ask_page = (pages / "unsubscribe.html").read_text(encoding="utf-8")
        self._done_page = (pages / "unsubscribed.html").read_text(encoding="utf-8")

    def operations(self) -> list[Operation]:
        """Return the operations for `add_operations`."""
        return [
            Operation("GET", "/o/{token}.gif", "open_pixel", "Note that a message was opened", _TAG, self._open, None,
                      answers={200: None}),
            Operation("GET", "/c/{token}", "follow_link", "Note a click and lead on", _TAG, self._click, None,
                      answers={302: None}),
            Operation("GET", "/u/{token}", "ask_to_unsubscribe", "Ask before unsubscribing", _TAG, self._ask, None,
                      answers={200: None}),
            Operation("POST", "/u/{token}", "unsubscribe", "Unsubscribe at once", _TAG, self._unsubscribe, None,
                      answers={200: None}),
        ]  # fmt: skip

    async def _open(self, call: Call) -> web.StreamResponse:
        """Whatever the token is, a mail program gets its image: a broken one in a message helps nobody."""
        link = self._read(call.request, LinkKind.OPEN)
        if link is not None:
            self._note(call.request, link, Engagement.OPENED)
        return web.Response(body=PIXEL, content_type="image/gif", headers=_NEVER_STORED)

    async def _click(self, call: Call) -> web.StreamResponse:
        link = self._read(call.request, LinkKind.CLICK)
        if link is None or not is_web_address(link.destination):
            raise _unknown()
        self._note(call.request, link, Engagement.CLICKED)
        location = quote(link.destination, safe=_KEPT_IN_URLS)
        return web.Response(status=302, headers={**_NOT_INDEXED, "Location": location})

    async def _ask(self, call: Call) -> web.StreamResponse:
        """Link scanners follow every link of a message: a GET changes nothing."""
        if self._read(call.request, LinkKind.UNSUBSCRIBE) is None:
            raise _unknown()
        return web.Response(text=self._ask_page, content_type="text/html", headers=_PAGE)

    async def _unsubscribe(self, call: Call) -> web.StreamResponse:
        """A mail program's one click (RFC 8058), or the button of our page. It counts once the broker has it."""
        link = self._read(call.request, LinkKind.UNSUBSCRIBE)
        if link is None:
            raise _unknown()
        event = self._event(call.request, link, Engagement.UNSUBSCRIBED)
        await self._intake.append([tracking_record(event)])
        return web.Response(text=self._done_page, content_type="text/html", headers=_PAGE)

    def _read(self, request: web.Request, kind: LinkKind) -> TrackedLink | None:
        try:
            return read_link(request.match_info["token"], kind, self._key)
        except ForgedTokenError:
            return None

    def _note(self, request: web.Request, link: TrackedLink, engagement: Engagement) -> None:
        if request.method == "GET":
            self._engagements.add(self._event(request, link, engagement))

    def _event(self, request: web.Request, link: TrackedLink, engagement: Engagement) -> TrackingReceived:
        return TrackingReceived(
            channel=link.channel,
            received_at=self._clock.now(),
            reference=link.reference,
            engagement=engagement,
            by_machine=engagement is not Engagement.UNSUBSCRIBED and is_machine(request.headers),
            link=link.destination or None,
        )


def _unknown() -> Problem:
    return Problem(404, "Not found", "This link is not one of ours, or it was cut short.")
