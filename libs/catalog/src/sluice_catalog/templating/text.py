"""How a value becomes text in a message, the same on both ways of rendering."""

from __future__ import annotations

from typing import Any

import orjson
from markupsafe import escape


def text_of(value: Any, *, escape_html: bool) -> str:
    """Return a JSON value as text: lists run together, objects stay JSON. Escaped for HTML where asked.

    What is marked as HTML already (`__html__`: the engine's own capture of escaped output) is not escaped twice.
    """
    if not isinstance(value, str):
        value = _plain(value)
    return str(escape(value)) if escape_html else value


def _plain(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case list() | tuple():
            return "".join(item if isinstance(item, str) else _plain(item) for item in value)
        case dict():
            return orjson.dumps(value, default=str).decode()
        case range():
            return f"{value.start}..{value.stop - 1}"
        case _:
            return str(value)
