"""The fast path: a template that is text and `{{ dotted.path }}` needs no engine, only a list to join.

It must come out exactly as the engine would do it; whatever could differ (white-space control, `first`, `last` and
`size`, words of the language) is left to the engine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any, Final

from sluice_catalog.templating.problems import MAX_OUTPUT_BYTES, TOO_LONG, MissingVariable, TemplateLimitExceeded
from sluice_catalog.templating.scanner import Piece
from sluice_catalog.templating.text import text_of
from sluice_catalog.templating.variables import field_of

_PATH: Final = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)\s*\}\}")
_WORDS_OF_THE_LANGUAGE: Final = frozenset(
    {"true", "false", "nil", "null", "empty", "blank", "and", "or", "not", "contains", "if", "else", "in", "for"}
    | {"with", "as", "first", "last", "size", "limit", "offset", "reversed", "cols", "continue"}
)

_MOST_BYTES_A_CHARACTER: Final = 4
Part = str | tuple[str, ...]


def plain_parts(pieces: Sequence[Piece]) -> tuple[Part, ...] | None:
    """Return texts and paths in order, or None where the template needs the engine."""
    parts: list[Part] = []
    for piece in pieces:
        if piece.kind == "text":
            if "\r" in piece.text:
                # The engine writes every kind of line end as a line feed.
                return None
            parts.append(piece.text)
            continue
        match = _PATH.fullmatch(piece.text)
        path = tuple(match[1].split(".")) if match else ()
        if not path or not _WORDS_OF_THE_LANGUAGE.isdisjoint(path):
            return None
        parts.append(path)
    return tuple(parts)


def render_parts(parts: Sequence[Part], values: Mapping[str, Any], *, escape_html: bool) -> str:
    """Join the parts with the values that the paths lead to.

    Raises MissingVariable for a path that leads nowhere or to null, TemplateLimitExceeded for what is too long.
    """
    texts: list[str] = []
    characters = 0
    for part in parts:
        text = part if isinstance(part, str) else text_of(_look_up(part, values), escape_html=escape_html)
        characters += len(text)
        if characters > MAX_OUTPUT_BYTES:
            raise TemplateLimitExceeded(TOO_LONG)
        texts.append(text)
    joined = "".join(texts)
    if characters * _MOST_BYTES_A_CHARACTER > MAX_OUTPUT_BYTES and len(joined.encode()) > MAX_OUTPUT_BYTES:
        raise TemplateLimitExceeded(TOO_LONG)
    return joined


def render_columns(
    parts: Sequence[Part],
    fields: Mapping[str, Sequence[Any]],
    variables: Mapping[str, Any],
    *,
    escape_html: bool,
) -> list[str | None] | None:
    """Return what `render_parts` makes of each contact, whose values by path are the rows of `fields`.

    None for a contact whose text cannot be made so: `render_parts` will say why. None altogether where a path leads to
    what has no column of its own.
    """
    contacts = len(next(iter(fields.values())))
    columns: list[Iterable[str | None]] = [repeat("", contacts)]
    for part in parts:
        if isinstance(part, str):
            columns.append(repeat(part, contacts))
        elif part[0] in variables:
            try:
                columns.append(repeat(text_of(_look_up(part, variables), escape_html=escape_html), contacts))
            except MissingVariable:
                return None
        else:
            values = fields.get(field_of(part) or "")
            if values is None:
                return None
            columns.append([None if value is None else text_of(value, escape_html=escape_html) for value in values])
    return [_joined(row) for row in zip(*columns, strict=True)]


def _joined(row: tuple[str | None, ...]) -> str | None:
    try:
        text = "".join(row)  # type: ignore[arg-type] # a value that is missing is what is found out here
    except TypeError:
        return None
    return text if len(text) * _MOST_BYTES_A_CHARACTER <= MAX_OUTPUT_BYTES else None


def _look_up(path: tuple[str, ...], values: Mapping[str, Any]) -> Any:
    found: Any = values
    for segment in path:
        found = found.get(segment) if isinstance(found, Mapping) else None
        if found is None:
            raise MissingVariable(".".join(path))
    return found
