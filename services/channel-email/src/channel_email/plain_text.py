"""A plain-text template made from an HTML template, for mail programs that show no HTML and filters that want both."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Final

_LIQUID: Final = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_STASHED: Final = re.compile("\ue000([0-9]+)\ue001")
_HIDDEN: Final = frozenset({"head", "style", "script", "title", "template"})
_BLOCKS: Final = frozenset(
    {"p", "div", "h1", "h2", "h3", "h4", "h5", "h6", "table", "ul", "ol", "blockquote", "section", "header", "footer"}
)
_LINES: Final = frozenset({"br", "tr", "li", "hr"})


def text_template_of(html: str) -> str:
    """Return the text of an HTML template with its Liquid tags where they were; links are followed by their address."""
    stash: list[str] = []

    def put_away(match: re.Match[str]) -> str:
        stash.append(match[0])
        return f"\ue000{len(stash) - 1}\ue001"

    extractor = _TextExtractor()
    extractor.feed(_LIQUID.sub(put_away, html.replace("\ue000", "").replace("\ue001", "")))
    extractor.close()
    return _STASHED.sub(lambda match: stash[int(match[1])], extractor.text())


class _TextExtractor(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._pieces: list[str] = []
        self._hidden = 0
        self._links: list[tuple[str, int]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _HIDDEN:
            self._hidden += 1
        elif tag in _BLOCKS:
            self._pieces.append("\n\n")
        elif tag in _LINES:
            self._pieces.append("\n- " if tag == "li" else "\n")
        elif tag == "a":
            self._links.append((dict(attrs).get("href") or "", len(self._pieces)))
        elif tag == "img":
            self._pieces.append(dict(attrs).get("alt") or "")

    def handle_endtag(self, tag: str) -> None:
        if tag in _HIDDEN:
            self._hidden = max(0, self._hidden - 1)
        elif tag in _BLOCKS:
            self._pieces.append("\n\n")
        elif tag == "a" and self._links:
            href, began = self._links.pop()
            label = "".join(self._pieces[began:]).strip()
            if href and not href.startswith("#") and href != label:
                self._pieces.append(f" ({href})" if label else href)

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self._pieces.append(re.sub(r"\s+", " ", data))

    def text(self) -> str:
        lines = (re.sub(r"[ \t]+", " ", line).strip() for line in "".join(self._pieces).split("\n"))
        return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
