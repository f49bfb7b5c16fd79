"""Cursors: opaque to callers, and nothing but the place behind which the next page begins."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError


class BadCursorError(ValueError):
    """The text is not a cursor of this list."""


def write_cursor(place: Any) -> str:
    """Return `place`, any JSON value, as a cursor."""
    return urlsafe_b64encode(orjson.dumps(place)).decode().rstrip("=")


def read_cursor(text: str, shape: TypeAdapter[Any]) -> Any:
    """Return the place that a cursor stands for, as `shape` has it.

    Raises BadCursorError when it is not a cursor of this shape.
    """
    try:
        return shape.validate_json(urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4)))
    except (Base64Error, ValidationError, ValueError) as error:
        raise BadCursorError(text) from error


def pagination(limit: int, next_place: Any) -> dict[str, Any]:
    """Return the member that every list carries; `next_place` is None on the last page."""
    return {
        "limit": limit,
        "has_more": next_place is not None,
        "next_cursor": None if next_place is None else write_cursor(next_place),
    }
