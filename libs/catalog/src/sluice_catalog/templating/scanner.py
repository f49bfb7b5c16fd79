"""A look over a template's source before anything parses it.

The Liquid lexer is one regular expression that backtracks over what is never closed, and so takes minutes for 64 kB of
`{{`. Here every opener is found to have its closer, and every piece to be short, in one pass; behind that the lexer has
nothing to backtrack over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from sluice_catalog.templating.problems import TemplateSyntaxProblem

MAX_SOURCE_BYTES: Final = 64 * 1024
MAX_PIECE_LENGTH: Final = 1000
MAX_BLANK_RUN: Final = 100

_OPENER: Final = re.compile(r"\{\{|\{%")
_TAG_NAME: Final = re.compile(r"\{%-?\s*(#|\w+)")
_BLANK_RUN: Final = re.compile(rf"\s{{{MAX_BLANK_RUN},}}")
_VERBATIM: Final = {
    name: re.compile(rf"\{{%-?\s{{0,{MAX_BLANK_RUN}}}end{name}\s{{0,{MAX_BLANK_RUN}}}-?%\}}")
    for name in ("raw", "comment")
}


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of source. `text` is all of it, delimiters included."""

    kind: Literal["text", "output", "tag"]
    text: str
    start: int


def position(source: str, index: int) -> tuple[int, int]:
    """Return the line and column, from 1, of a place in `source`."""
    return source.count("\n", 0, index) + 1, index - (source.rfind("\n", 0, index) + 1) + 1


def scan(source: str) -> list[Piece]:
    """Cut a source into its pieces, in order; what lies between `raw` or `comment` and its end belongs to the tag.

    Raises TemplateSyntaxProblem for a source that is too long, or has a piece that is too long or is never closed.
    """
    if len(source.encode()) > MAX_SOURCE_BYTES:
        raise TemplateSyntaxProblem(1, 1, f"A template has at most {MAX_SOURCE_BYTES // 1024} kB")
    return list(_pieces(source))


def _pieces(source: str) -> Iterator[Piece]:
    index = 0
    while opener := _OPENER.search(source, index):
        start = opener.start()
        if start > index:
            yield Piece("text", source[index:start], index)
        kind: Literal["output", "tag"] = "output" if opener.group() == "{{" else "tag"
        index = _end_of_piece(source, start, "}}" if kind == "output" else "%}")
        if kind == "tag" and (name := _TAG_NAME.match(source, start)) and name[1] in _VERBATIM:
            closing = _VERBATIM[name[1]].search(source, index)
            if closing is None:
                raise TemplateSyntaxProblem(*position(source, start), f"{name[1]} is never closed")
            index = closing.end()
        yield Piece(kind, source[start:index], start)
    if index < len(source):
        yield Piece("text", source[index:], index)


def _end_of_piece(source: str, start: int, closer: str) -> int:
    end = source.find(closer, start + 2, start + MAX_PIECE_LENGTH)
    if end < 0:
        never = source.find(closer, start + 2) < 0
        reason = f"{source[start : start + 2]} is never closed" if never else "this is too long"
        raise TemplateSyntaxProblem(*position(source, start), reason)
    if _BLANK_RUN.search(source, start, end):
        raise TemplateSyntaxProblem(*position(source, start), "too much blank space in here")
    return end + 2
