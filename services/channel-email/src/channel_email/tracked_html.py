"""Tracked links in HTML: every web link leads through our door, and a pixel says that the mail was opened."""

from __future__ import annotations

import re
from html import escape, unescape
from typing import Final

from sluice_channel.tracking import Links, is_web_address
from sluice_contracts.vocabulary import Channel

_ANCHOR: Final = re.compile(r"<a\s[^>]*>", re.IGNORECASE)
_HREF: Final = re.compile(r"(\shref\s*=\s*)(\"[^\"]*\"|'[^']*')", re.IGNORECASE)
_NOT_TRACKED: Final = re.compile(r"\sdata-notrack(?=[\s=/>])", re.IGNORECASE)
_UP_TO_THE_END_OF_THE_BODY: Final = re.compile(r".*(?=</body\s*>)", re.IGNORECASE | re.DOTALL)
"""Greedy, and so it is the last end that is found; from behind, where it nearly always is."""

_PIXEL: Final = '<img src="{}" width="1" height="1" alt="" style="display:block;border:0">'


def track(html: str, links: Links, reference: str) -> str:
    """Return `html` with its http and https links made trackable and a pixel as the last thing in its body.

    Left alone are other schemes and fragments, links marked `data-notrack`, and links to unsubscribe.
    """
    number = 0

    def tracked_href(match: re.Match[str]) -> str:
        nonlocal number
        destination = unescape(match[2][1:-1]).strip()
        if "unsubscribe" in destination.lower() or not is_web_address(destination):
            return match[0]
        number += 1
        return f'{match[1]}"{escape(links.click(Channel.EMAIL, reference, number, destination))}"'

    def tracked_anchor(match: re.Match[str]) -> str:
        tag = match[0]
        return tag if _NOT_TRACKED.search(tag) else _HREF.sub(tracked_href, tag, count=1)

    if "<a" in html or "<A" in html:
        html = _ANCHOR.sub(tracked_anchor, html)
    pixel = _PIXEL.format(escape(links.open_pixel(Channel.EMAIL, reference)))
    body = _UP_TO_THE_END_OF_THE_BODY.match(html)
    end = len(html) if body is None else body.end()
    return html[:end] + pixel + html[end:]
