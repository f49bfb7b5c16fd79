"""The values that request bodies are made of, each with the limits that everything downstream relies on.

Postgres stores neither NUL characters nor lone surrogates, and a JSON value nested deeper than a few dozen levels is an
attack, not a message: all three are refused here, so that nobody behind this door meets them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from math import isfinite
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field

MAX_DEPTH: Final = 32
MAX_EXTERNAL_ID: Final = 255
MAX_RECIPIENTS: Final = 1000
MAX_EXCLUDED: Final = 10_000
MAX_TAGS: Final = 50
MAX_ITEMS: Final = 1000
MAX_SOURCE: Final = 65_536
_MAX_INTEGER: Final = 2**63


def _is_storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("a text cannot hold the NUL character")
    return text


def _is_one_line(text: str) -> str:
    if not text.isprintable() and any(character < " " or character == "\x7f" for character in text):
        raise ValueError("must be one line without control characters")
    if not text.strip():
        raise ValueError("must not be blank")
    return text


def plain_json(value: dict[str, Any]) -> dict[str, Any]:
    """Return `value`. Raises ValueError where it holds what Postgres cannot store, or is nested too deep."""
    # A stack of our own: recursion would end at a limit that the caller chooses.
    stack: list[tuple[Any, int]] = [(value, 1)]
    while stack:
        item, depth = stack.pop()
        if depth > MAX_DEPTH:
            raise ValueError(f"cannot be nested deeper than {MAX_DEPTH} levels")
        if isinstance(item, str):
            _is_storable(item)
        elif isinstance(item, dict):
            for key, inner in item.items():
                _is_storable(key)
                stack.append((inner, depth + 1))
        elif isinstance(item, list):
            stack.extend((inner, depth + 1) for inner in item)
        elif isinstance(item, int) and not -_MAX_INTEGER <= item < _MAX_INTEGER:
            raise ValueError("a whole number must fit into 64 bits")
        elif isinstance(item, float) and not isfinite(item):
            raise ValueError("a number must be finite")
    return value


def _is_text(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("must be an ISO 8601 time with a zone, as text")
    return value


def _to_utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("a time needs a zone, Z for UTC")
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("is beyond the calendar") from error


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


Source = Annotated[str, Field(min_length=1, max_length=MAX_SOURCE), AfterValidator(_is_storable)]
"""A text with Liquid in it."""

Line = Annotated[str, Field(min_length=1, max_length=998), AfterValidator(_is_one_line)]
"""A short text on one line (998 is the longest line of an email, RFC 5322 §2.1.1)."""

Name = Annotated[str, Field(min_length=1, max_length=MAX_EXTERNAL_ID), AfterValidator(_is_one_line)]
"""A caller's own name for something: an external id, a key, a tag."""

Address = Annotated[str, Field(min_length=1, max_length=320), AfterValidator(_is_one_line)]
"""A phone number or an email address as the caller writes it."""

Names = Annotated[list[Name], Field(min_length=1, max_length=MAX_TAGS), BeforeValidator(_as_list)]
"""One name or several."""

Values = Annotated[dict[str, Any], AfterValidator(plain_json)]
"""A JSON object of the caller's."""

Moment = Annotated[datetime, BeforeValidator(_is_text), AfterValidator(_to_utc)]
"""A moment as ISO 8601 text with a zone; UTC afterwards."""
