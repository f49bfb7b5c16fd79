"""JSON for people: an object's fields on lines of their own, a column of numbers or texts on one."""

from __future__ import annotations

import json
from typing import Any, Final

_INDENT: Final = "  "


def pretty(value: Any, level: int = 0) -> str:
    """Return `value` as indented JSON text that reads back as the same."""
    inner, outer = _INDENT * (level + 1), _INDENT * level
    match value:
        case dict() if value:
            fields = [f"{inner}{_text(name)}: {pretty(item, level + 1)}" for name, item in value.items()]
            return "{\n" + ",\n".join(fields) + f"\n{outer}}}"
        case list() if any(isinstance(item, dict | list) for item in value):
            return "[\n" + ",\n".join(inner + pretty(item, level + 1) for item in value) + f"\n{outer}]"
        case _:
            return _text(value)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
